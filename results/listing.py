"""Tables as a reader sees them: text in cells, with what to sort by. One shape for HTML and Markdown."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from results import display
from results.cells import COSTS, NEEDS_DEVICE_ALONE, RETENTION, Cell

SHORT_NAME: Final = 24
"""Names up to this length are never broken over lines."""


_LEADING: Final = re.compile(rf"[~+]?([{display.MINUS}-]?[\d,]*\.?\d+(?:e[+-]?\d+)?)")
"""The number that a text begins with, as the page's script reads it."""


@dataclass(frozen=True)
class Item:
    """One table cell: its text, the value it sorts by (else its text) and a kind that the style sheet knows."""

    text: str
    order: float | None = None
    kind: str = ""

    @property
    def sorts(self) -> str | None:
        """What a page must know to sort a number, where its text does not say it to within a hundredth."""
        if self.order is None:
            return None
        said = _LEADING.match(self.text)
        written = float(said[1].replace(",", "").replace(display.MINUS, "-")) if said else math.nan
        close = abs(written - self.order) <= 0.01 * abs(self.order)
        return None if close else f"{self.order:.6g}"


@dataclass(frozen=True)
class Listing:
    """One table. ``numeric`` says for each column whether it holds numbers."""

    identity: str
    columns: tuple[str, ...]
    numeric: tuple[bool, ...]
    lines: tuple[tuple[Item, ...], ...]

    @property
    def words(self) -> str:
        """Its identity as words."""
        return self.identity.replace("-", " ")

    @property
    def right(self) -> str:
        """The style sheet's classes that set its columns of numbers to the right."""
        return "".join(f" n{place}" for place, numeric in enumerate(self.numeric, start=1) if numeric)


def listing(identity: str, columns: dict[str, bool], lines: Sequence[Sequence[Item]]) -> Listing:
    """A listing from column titles, each with whether it is numeric, and lines; columns of dashes only are left out."""
    kept = [
        index for index in range(len(columns)) if not lines or any(line[index].text != display.DASH for line in lines)
    ]
    return Listing(
        identity,
        tuple(list(columns)[index] for index in kept),
        tuple(list(columns.values())[index] for index in kept),
        tuple(tuple(line[index] for index in kept) for line in lines),
    )


def markdown_table(table: Listing) -> str:
    """The listing as a Markdown table; nothing where it has no lines."""
    if not table.lines:
        return ""
    rows = [table.columns, *([item.text for item in line] for line in table.lines)]
    text = [f"| {' | '.join(map(display.markdown, row))} |" for row in rows]
    rule = "|".join(" ---: " if numeric else " --- " for numeric in table.numeric)
    return "\n".join([text[0], f"|{rule}|", *text[1:]])


def named(text: object, kind: str = "") -> Item:
    """A name from the rows, made safe to look at."""
    shown = display.name(text)
    return Item(shown, kind=f"{kind} long".strip() if len(shown) > SHORT_NAME else kind)


def size_of(target_size: int | None, none: str = "not stated") -> Item:
    """A target size."""
    return Item(none, -1.0) if target_size is None else Item(display.count(target_size), float(target_size))


def valued(value: float | None, text: str, kind: str = "") -> Item:
    """A number and how it is written."""
    return Item(text, None if value is None else float(value), kind)


def score_listing(found: Sequence[Cell]) -> Listing:
    """Test scores in native units: a line for each task and target size, a column for each label."""
    labels = sorted({cell.label for cell in found})
    places: dict[tuple[str, int | None], dict[str, Cell]] = defaultdict(dict)
    for cell in found:
        places[cell.task, cell.target_size][cell.label] = cell
    lines = []
    for (task, size), by_label in places.items():
        one = next(iter(by_label.values()))
        scores = (_score(by_label.get(label)) for label in labels)
        lines.append((named(task), size_of(size), Item(metric_words(one), kind="metric"), *scores))
    titles = ("task", "target examples", "metric", *map(display.name, labels))
    return Listing("scores", titles, (False, True, False, *(True for _ in labels)), tuple(lines))


def metric_words(cell: Cell) -> str:
    """The metric with its direction, as in ``rmse, lower is better``."""
    if cell.higher_is_better is None:
        return display.name(cell.metric)
    return f"{display.name(cell.metric)}, {'higher' if cell.higher_is_better else 'lower'} is better"


def _score(cell: Cell | None) -> Item:
    if cell is None:
        return Item(display.DASH)
    done = cell.score.count if cell.score else 0
    total = sum(cell.statuses.values())
    if cell.score is None:
        return Item(f"none of {display.plural(total, 'seed')}", kind="lacking")
    text = display.estimate(cell.score) + (f" ({done} of {total} seeds)" if done < total else "")
    return Item(text, cell.score.mean, "lacking" if done < total else "")


def retention_listing(found: Sequence[Cell]) -> Listing:
    """Source scores in native units along the transfer, for each cell that has one."""
    measured = [cell for cell in found if cell.retention]
    stages = [stage for stage in RETENTION if any(stage in cell.retention for cell in measured)]
    columns = {"task": False, "target examples": True, "method": False, "metric": False} | dict.fromkeys(stages, True)
    lines = []
    for cell in measured:
        scores = (cell.retention.get(stage) for stage in stages)
        shown = (valued(score.mean if score else None, display.estimate(score)) for score in scores)
        lines.append(
            [
                named(cell.task),
                size_of(cell.target_size),
                named(cell.label),
                Item(metric_words(cell), kind="metric"),
                *shown,
            ]
        )
    return listing("retention", columns, lines)


def cost_listing(found: Sequence[Cell]) -> Listing:
    """Mean cost of a done trial, for each cell; costs that nobody measured have no column."""
    measured = [column for column in COSTS if any(cell.cost(column) is not None for cell in found)]
    columns = {"task": False, "target examples": True, "method": False} | {words(column): True for column in measured}
    lines = [
        [named(cell.task), size_of(cell.target_size), named(cell.label), *(_cost(cell, column) for column in measured)]
        for cell in found
    ]
    return listing("costs", columns, lines)


def size_words(size: int | None) -> str:
    """A target size as a title."""
    return "all target sizes" if size is None else f"{display.plural(size, 'target example')}"


def axis_words(column: str) -> str:
    """A cost with its unit, as the title of an axis."""
    units = {"adapt_seconds": "adapt time (seconds)", "training_flops": "training work (FLOP)"}
    return units.get(column, words(column))


def words(column: str) -> str:
    """A cost column's name as words, without its unit."""
    stem = column.removesuffix("_seconds").removesuffix("_bytes").removesuffix("_flops").removesuffix("_joules")
    return {
        "prepare": "prepare time",
        "adapt": "adapt time",
        "inference": "inference time",
        "training": "training work",
    }.get(stem, stem.replace("_", " "))


def _cost(cell: Cell, column: str) -> Item:
    value = cell.cost(column)
    text = cost_text(value, column)
    shared = value is not None and column in NEEDS_DEVICE_ALONE and not cell.device_alone
    return valued(value, f"~{text}" if shared else text, "shared" if shared else "")


def cost_text(value: float | None, column: str) -> str:
    """A cost in the unit that its column's name says."""
    for unit in ("seconds", "bytes", "flops", "joules"):
        if column.endswith(f"_{unit}"):
            return display.scaled(value, unit)
    if column == "price":
        return display.number(value)
    return display.count(value)
