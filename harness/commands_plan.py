"""The command plan: what a suite would run. Runs nothing."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from typing import Any

from rich.console import Console
from rich.table import Table

from harness.forecast import forecast
from harness.known import load_suite


def plan_command(options: Namespace) -> int:
    """Print what would run, and about how long."""
    document, note = forecast(load_suite(options.suite, options.set), options.earlier)
    if note is not None:
        print(f"pacbench: {note}", file=sys.stderr)
    if options.json:
        print(json.dumps(document, indent=1))
        return 0
    show_plan(Console(), document)
    return 0


def show_plan(console: Console, document: dict[str, Any]) -> None:
    """What would run, as a table of text."""
    lines = [(key, "", _text(value)) for key, value in document.items() if key != "suite"]
    _print(console, f"plan of {document['suite']}", lines)


def _print(console: Console, title: str, lines: list[tuple[str, str, str]]) -> None:
    table = Table(box=None, title=title, title_justify="left", show_header=False, pad_edge=False)
    table.add_column(no_wrap=True, style="bold")
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, version, text in lines:
        table.add_row(name, version, text)
    console.print(table)
    console.print()


def _text(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
