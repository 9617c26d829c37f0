"""The commands that only read rows: status, report, leaderboard, compare, export. Neither torch nor Ray is imported."""

from __future__ import annotations

import dataclasses
import json
import math
import sys
import tempfile
import time
import warnings
from argparse import Namespace
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from harness import commands_wandb, heartbeat
from harness.errors import UserError, nearest
from harness.progress import duration
from harness.record import open_place, read_record
from results import table as tables
from results.compare import compare
from results.leaderboard import leaderboard
from results.place import Place, explain, write_durably
from results.repeats import COLUMNS as COMPARED
from results.repeats import differing
from results.report import write_report
from results.schema import SCHEMA

STATUS = (*COMPARED, "stage", "reason")
"""The columns that `status` reads."""


def read_attempts(folders: Sequence[str | Place], columns: Sequence[str] = tuple(SCHEMA.names)) -> pa.Table:
    """All attempts in all folders. Raises: UserError for a folder without campaign or rows it cannot read."""
    read = []
    for folder in map(open_place, folders):
        read_record(folder)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                read.append(tables.read_attempts(folder, columns))
            except ValueError as error:
                raise UserError(str(error)) from error
            except OSError as error:
                raise UserError(f"{folder}: cannot be read ({explain(error)})") from error
        for warning in caught:
            print(f"pacbench: {warning.message}", file=sys.stderr)
    return pa.concat_tables(read)


def read_rows(folders: Sequence[str | Place]) -> pa.Table:
    """The rows of all folders, one per key. Raises: UserError as `read_attempts` does."""
    return tables.latest(read_attempts(folders))


def status_command(options: Namespace) -> int:
    """Print counts by status and cell, and what is missing."""
    record = read_record(open_place(options.folder))
    attempts = read_attempts([options.folder], STATUS)
    try:
        document = status(record, tables.latest(attempts))
    except (KeyError, TypeError) as error:
        raise UserError(f"{options.folder}: campaign.json is damaged ({error!r})") from error
    repeats = differing(attempts)
    document["not_deterministic"] = [dataclasses.asdict(repeat) for repeat in repeats]
    running = heartbeat.read(open_place(options.folder))
    document["running"] = None if running is None else {**dataclasses.asdict(running[0]), "alive": running[1]}
    if options.json:
        print(_json(document))
        return 0
    console = Console()
    counts = ", ".join(f"{count} {name}" for name, count in document["counts"].items()) or "nothing committed"
    if document["planned"] is None:
        console.print(escape(f"{document['suite']}: rows that were {document['origin']}; {counts}"))
    else:
        missing = "complete" if document["complete"] else f"{document['missing']} missing"
        console.print(f"{escape(document['suite'])}: {document['planned']} trials planned; {counts}; {missing}")
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
        _show(console, ["stage", "task", "method", "n", "missing", "committed"], lines)
    for reason, count in document["reasons"].items():
        console.print(f"{count} x {escape(reason)}", style="red")
    for repeat in repeats:
        console.print(escape(str(repeat)), style="red")
    if running is not None:
        _show_running(console, *running)
    return 0


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
        _show(console, ["worker", "process", "for", "on"], lines)


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


def report_command(options: Namespace) -> int:
    """Write the report and print where it is."""
    rows = read_rows(options.folders)
    records = [read_record(open_place(folder)) for folder in options.folders]
    folder = open_place(options.out) if options.out else open_place(options.folders[0]) / "report"
    if not options.out and isinstance(folder, Path) and folder.is_symlink():
        raise UserError(f"{folder} is a link to {folder.resolve()}; say --out {folder.resolve()} if you mean that")
    try:
        with _local(folder) as local:
            written = write_report(rows, local, baseline=options.baseline, campaigns=records)
    except OSError as error:
        raise UserError(f"--out {folder}: cannot be written ({explain(error)})") from error
    except ValueError as error:
        raise UserError(str(error)) from error
    for path in written.values():
        print(folder / path.name)
    return 0


@contextmanager
def _local(folder: Place) -> Iterator[Path]:
    """A folder to write to; what it holds at the end of the block goes to the object store, if `folder` is in one."""
    if isinstance(folder, Path):
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="pacbench-report-") as local:
        yield Path(local)
        for path in Path(local).iterdir():
            write_durably(folder / path.name, path.read_bytes())


def leaderboard_command(options: Namespace) -> int:
    """Print the leaderboard over all target sizes."""
    rows = read_rows(options.folders)
    try:
        board = leaderboard(rows)
    except ValueError as error:
        raise UserError(str(error)) from error
    if options.json:
        print(_json(dataclasses.asdict(board)))
        return 0
    console = Console()
    lines = [
        [m.method, m.mean_rank, _range(m.rank_low, m.rank_high), m.tie_group, m.win_rate, m.tasks, m.seeds, m.failures]
        for m in board.methods
    ]
    _show(console, ["method", "rank", "95 %", "tie", "win rate", "tasks", "seeds", "failed"], lines)
    console.print("Methods that share a letter under `tie` cannot be told apart by these rows.")
    return 0


def compare_command(options: Namespace) -> int:
    """Print the paired comparison of two methods, per target size and over all."""
    folders = [*options.folders, *([options.board] if options.board else [])]
    rows = read_rows(folders)
    labels = set(rows["label"].to_pylist())
    for option, label in (("--candidate", options.candidate), ("--baseline", options.baseline)):
        if label not in labels:
            raise UserError(f"{option} {label}: no rows with that label; {nearest(label, labels)}")
    if options.candidate == options.baseline:
        raise UserError("--candidate and --baseline are the same method")
    if options.margin is not None and not (math.isfinite(options.margin) and options.margin > 0):
        raise UserError(f"--margin {options.margin}: expected a positive number")
    try:
        records = compare(rows, options.baseline, [options.candidate], options.margin)
    except ValueError as error:
        raise UserError(str(error)) from error
    if options.json:
        print(_json([dataclasses.asdict(record) for record in records]))
        return 0
    lines = [
        [
            "all" if r.target_size is None else r.target_size,
            r.question,
            r.tasks,
            r.mean_difference,
            _range(r.interval_low, r.interval_high),
            f"{r.wins}/{r.ties}/{r.losses}",
            r.p_holm,
            r.verdict,
        ]
        for r in records
    ]
    console = Console()
    console.print(f"{escape(options.candidate)} against {escape(options.baseline)}; positive: the candidate is better")
    _show(console, ["n", "question", "tasks", "difference", "95 %", "w/t/l", "p (Holm)", "verdict"], lines)
    for note in dict.fromkeys(r.note for r in records if r.note):
        console.print(escape(note))
    return 0


def export_command(options: Namespace) -> int:
    """Write all rows to one file, or bring them to a project of wandb."""
    if (options.file is None) == (options.wandb is None):
        raise UserError("export: expected either FILE or --wandb PROJECT")
    rows = read_rows([options.folder])
    if options.wandb is not None:
        return commands_wandb.export_rows(options, rows)
    try:
        tables.export(rows, options.file)
    except ValueError as error:
        raise UserError(str(error)) from error
    except OSError as error:
        raise UserError(f"{options.file}: cannot be written ({explain(error)})") from error
    print(f"{len(rows)} rows in {options.file}")
    return 0


def _json(document: object) -> str:
    """One JSON document; NaN and infinity, which JSON lacks, become null."""
    return json.dumps(_finite(document), indent=1)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _range(low: float | None, high: float | None) -> str:
    return "-" if low is None or high is None else f"{low:.3g} to {high:.3g}"


def _show(console: Console, header: list[str], lines: list[list[Any]]) -> None:
    """A table of text; None is shown as a dash."""
    table = Table(box=None, pad_edge=False)
    for index, name in enumerate(header):
        table.add_column(name, justify="left" if index == 0 else "right", overflow="fold")
    for line in lines:
        table.add_row(*(escape("-" if v is None else f"{v:.3g}" if isinstance(v, float) else str(v)) for v in line))
    console.print(table)
