"""Tables of trials: how they ended and why, what they ran with, and which stand behind each number."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from results import display
from results.cells import Cell
from results.listing import Item, Listing, listing, named, size_of, valued
from results.table import final_rows

MOST_REASONS: Final = 30
MOST_KEYS: Final = 6000
"""Keys on one page; where cells are many each shows the first few of its own."""
KEY_LETTERS: Final = 12


def status_listing(rows: pa.Table) -> Listing:
    """How many trials of each label ended how, for each stage."""
    said = {name: rows[name] for name in ("label", "stage")}
    said["status"] = pc.coalesce(rows["status"], pa.scalar("not stated"))
    counted = _counted(pa.table(said))
    statuses = sorted({str(status) for _, _, status in counted}, key=lambda status: (status != "done", status))
    places = sorted({(str(label), str(stage)) for label, stage, _ in counted})
    numbers = {(str(label), str(stage), str(status)): number for (label, stage, status), number in counted.items()}
    lines = []
    for label, stage in places:
        here = [numbers.get((label, stage, status), 0) for status in statuses]
        marked = (
            valued(n, display.count(n), "lacking" if n and status not in ("done", "not stated") else "")
            for n, status in zip(here, statuses, strict=True)
        )
        lines.append([named(label), named(stage), *marked])
    return listing("statuses", {"method": False, "stage": False} | dict.fromkeys(statuses, True), lines)


def _counted(rows: pa.Table) -> Counter[tuple[object, ...]]:
    """How often each combination of values is there."""
    counted = rows.group_by(rows.column_names).aggregate([([], "count_all")])
    lines = zip(*(counted[name].to_pylist() for name in rows.column_names), strict=True)
    return Counter(dict(zip(lines, counted["count_all"].to_pylist(), strict=True)))


def reason_listing(rows: pa.Table) -> Listing:
    """The first trials that are not done, with their reasons."""
    lost = rows.filter(pc.fill_null(pc.not_equal(rows["status"], "done"), False)).slice(0, MOST_REASONS)
    columns = {"task": False, "target examples": True, "method": False, "stage": False, "seed": True, "status": False}
    lines = [
        [
            named(row["task"]),
            size_of(row["target_size"]),
            named(row["label"]),
            named(row["stage"]),
            valued(row["seed"], display.count(row["seed"])),
            named(row["status"], "lacking"),
            Item(display.name(row["reason"], 400), kind="words"),
            Item(key_prefix(row["key"]), kind="letters"),
        ]
        for row in lost.to_pylist()
    ]
    return listing("reasons", columns | {"reason": False, "trial": False}, lines)


def configuration_listing(found: Sequence[Cell], rows: pa.Table) -> Listing:
    """What each cell was finally run with, and out of how many tried configurations: those of its tuning rows, else as
    many as its final rows state."""
    places = ["task", "target_size", "label"]
    tune = rows.select([*places, "config", "status", "stage"])
    tune = tune.filter(pc.field("stage") == "tune").drop_columns("stage")
    final = final_rows(rows.select([*places, "tuning_configs", "stage", "exploratory"]))
    pairs = final.group_by([*places, "tuning_configs"]).aggregate([])
    stated = zip(*(pairs[name].to_pylist() for name in places), strict=True)
    said = dict(zip(stated, pairs["tuning_configs"].to_pylist(), strict=True))
    tried: dict[tuple[object, ...], set[object]] = defaultdict(set)
    lost: Counter[tuple[object, ...]] = Counter()
    for (task, size, label, config, status), count in _counted(tune).items():
        tried[task, size, label].add(config)
        lost[task, size, label] += count * (status != "done")
    lines = []
    for cell in found:
        place = (cell.task, cell.target_size, cell.label)
        configs = "; ".join(display.name(config, 400) for config in cell.configs) or display.DASH
        known = (len(tried[place]), lost[place]) if place in tried else (said.get(place), None)
        numbers = [valued(n, display.count(n)) for n in known]
        lines.append(
            [named(cell.task), size_of(cell.target_size), named(cell.label), Item(configs, kind="letters"), *numbers]
        )
    columns = {"task": False, "target examples": True, "method": False, "configuration of the final trials": False}
    return listing("configurations", columns | {"configurations tried": True, "tuning trials not done": True}, lines)


def key_listing(found: Sequence[Cell]) -> Listing:
    """The trials behind each cell, by the beginning of their keys."""
    lines = []
    most = max(3, MOST_KEYS // max(1, len(found)))
    for cell in found:
        keys = " ".join(map(key_prefix, cell.keys[:most]))
        more = f" and {len(cell.keys) - most:,} more" if len(cell.keys) > most else ""
        lines.append(
            [named(cell.task), size_of(cell.target_size), named(cell.label), Item(keys + more, kind="letters")]
        )
    return listing("keys", {"task": False, "target examples": True, "method": False, "trials": False}, lines)


def key_prefix(key: object) -> str:
    """Enough of a trial's key to find its row."""
    return display.name(key, 200)[:KEY_LETTERS]
