"""The command status: what a campaign holds and lacks, and the run that works on it. Imports neither torch nor Ray."""

from __future__ import annotations

import dataclasses
import time
from argparse import Namespace
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from rich.console import Console
from rich.markup import escape

from harness import heartbeat
from harness.errors import UserError
from harness.progress import duration
from harness.record import open_place, read_record
from harness.rows import read_attempts
from harness.terminal import json_text, show
from results import table as tables
from results.place import Place
from results.repeats import COLUMNS as COMPARED
from results.repeats import Repeat, differing

STATUS = (*COMPARED, "stage", "reason")
"""The columns that `status` reads."""


@dataclass(frozen=True)
class State:
    """What a campaign holds and lacks, and the run that works on it, if any, with whether that is alive.

    ``document`` is what `status --json` prints.
    """

    document: dict[str, Any]
    repeats: list[Repeat]
    running: tuple[heartbeat.Beat, bool] | None


def state(address: str | Place) -> State:
    """The state of a campaign. Raises: UserError for a folder without campaign, or one that cannot be read."""
    folder = open_place(address)
    record = read_record(folder)
    attempts = read_attempts([folder], STATUS)
    try:
        document = status(record, tables.latest(attempts))
    except (KeyError, TypeError) as error:
        raise UserError(f"{address}: campaign.json is damaged ({error!r})") from error
    repeats = differing(attempts)
    document["not_deterministic"] = [dataclasses.asdict(repeat) for repeat in repeats]
    running = heartbeat.read(folder)
    document["running"] = None if running is None else {**dataclasses.asdict(running[0]), "alive": running[1]}
    return State(document, repeats, running)


def status_command(options: Namespace) -> int:
    """Print counts by status and cell, and what is missing."""
    found = state(options.folder)
    if options.json:
        print(json_text(found.document))
    else:
        show_state(Console(), found)
    return 0


def show_state(console: Console, found: State) -> None:
    """The state of a campaign as text."""
    document = found.document
    console.print(escape(summary(document)))
    open_cells = [cell for cell in document["cells"] if cell["missing"] or set(cell["counts"]) - {"done"}]
    if open_cells:
        lines = [
            [
                c["stage"],
                c["task"],
                c["label"],
                c["target_size"],
                c["missing"],
                " ".join(f"{n} {s}" for s, n in c["counts"].items()),
            ]
            for c in open_cells
        ]
        show(console, ["stage", "task", "method", "n", "missing", "committed"], lines)
    for reason, count in document["reasons"].items():
        console.print(f"{count} x {escape(reason)}", style="red")
    for repeat in found.repeats:
        console.print(escape(str(repeat)), style="red")
    if found.running is not None:
        _show_running(console, *found.running)


def summary(document: dict[str, Any]) -> str:
    """The state of a campaign in one sentence."""
    counts = ", ".join(f"{count} {name}" for name, count in document["counts"].items()) or "nothing committed"
    if document["planned"] is None:
        return f"{document['suite']}: rows that were {document['origin']}; {counts}"
    missing = "complete" if document["complete"] else f"{document['missing']} missing"
    return f"{document['suite']}: {document['planned']} trials planned; {counts}; {missing}"


def _show_running(console: Console, beat: heartbeat.Beat, alive: bool) -> None:
    """What the run does now, or that it ended without a word."""
    who = f"process {beat.pid} on {beat.host}"
    if not alive:
        last = datetime.fromtimestamp(beat.updated).isoformat(" ", "seconds")
        console.print(escape(f"killed: {who}, last sign at {last}; the same command resumes"))
        return
    parts = [f"{beat.stage} {beat.done}/{beat.total}"]
    parts += [f"{beat.rate:.2g}/s"] if beat.rate else []
    parts += [f"{duration(beat.left_seconds)} left"] if beat.left_seconds else []
    console.print(escape(f"running: {who}; {', '.join(parts)}"))
    lines = [[slot.host, slot.pid, duration(time.time() - slot.since), slot.work] for slot in beat.slots]
    if lines:
        show(console, ["worker", "process", "for", "on"], lines)


def status(record: dict[str, Any], rows: pa.Table) -> dict[str, Any]:
    """Planned against committed, by cell; from campaign.json and the rows alone.

    Where rows were not run here (they are imported, or scored again) nothing is planned, and nothing is missing.
    """
    suite = record["suite"]
    committed: dict[tuple[str, str, str, int], Counter[str]] = {}
    names = ("stage", "task", "label", "target_size", "status")
    counted = rows.group_by(list(names)).aggregate([([], "count_all")])
    for stage, task, label, n, outcome, count in zip(*(column.to_pylist() for column in counted.columns), strict=True):
        committed.setdefault((stage, task, label, n), Counter())[str(outcome)] += count
    cells: list[dict[str, Any]] = []
    if not_run := record.get("origin"):
        for (stage, task, label, n), counts in sorted(committed.items(), key=lambda item: str(item[0])):
            cell = {"stage": stage, "task": task, "label": label, "target_size": n}
            cells.append({**cell, "planned": None, "missing": None, "counts": dict(sorted(counts.items()))})
    for stage in () if not_run else ("tune", "final"):
        for task in suite["tasks"]:
            for method in suite["methods"]:
                searched = method["configurations"] if method["configurations"] > 1 else 0
                planned = searched * suite["tuning"]["seeds"] if stage == "tune" else suite["final"]["seeds"]
                for n in suite["target_sizes"]:
                    counts = committed.get((stage, task["id"], method["label"], n), Counter())
                    cell = {"stage": stage, "task": task["id"], "label": method["label"], "target_size": n}
                    missing = max(0, planned - counts.total())
                    outcome = {"planned": planned, "missing": missing, "counts": dict(sorted(counts.items()))}
                    cells.append({**cell, **outcome})
    undone = rows.filter(pc.field("status") != "done")
    reasons = Counter(
        f"{outcome}: {reason}"
        for outcome, reason in zip(undone["status"].to_pylist(), undone["reason"].to_pylist(), strict=True)
    )
    missing = None if not_run else sum(cell["missing"] for cell in cells)
    return {
        "suite": suite["name"],
        "origin": not_run,
        "protocol": record["protocol"],
        "created_at": record["created_at"],
        "planned": None if not_run else sum(cell["planned"] for cell in cells),
        "committed": len(rows),
        "missing": missing,
        "complete": not missing,
        "counts": dict(sorted(Counter(map(str, rows["status"].to_pylist())).items())),
        "reasons": dict(reasons.most_common(10)),
        "cells": cells,
    }
