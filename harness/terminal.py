"""What commands print: one JSON document, or tables of text for people."""

from __future__ import annotations

import json
import math
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from results.display import DASH

LONGEST_ON_ONE_LINE = 24
"""Characters of a value that is not broken over lines."""


def json_text(document: object) -> str:
    """One JSON document; NaN and infinity, which JSON lacks, become null."""
    return json.dumps(_finite(document), indent=1)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def show(console: Console, header: list[str], lines: list[list[Any]], tight: bool = False) -> None:
    """A table of text; None is shown as a dash. Numbers stay on one line, long names are folded.

    ``tight``: one space between columns instead of two, and no column that has no value.
    """
    text = [["-" if v is None else f"{v:.3g}" if isinstance(v, float) else str(v) for v in line] for line in lines]
    kept = [i for i in range(len(header)) if not tight or any(line[i] not in ("-", DASH) for line in text)]
    table = Table(box=None, pad_edge=False, collapse_padding=tight)
    for index in kept:
        first = index == 0
        table.add_column(
            header[index],
            justify="left" if first else "right",
            overflow="fold",
            no_wrap=not first and all(len(line[index]) <= LONGEST_ON_ONE_LINE for line in text),
        )
    for line in text:
        table.add_row(*(escape(line[index]) for index in kept))
    console.print(table)
