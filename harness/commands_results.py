"""The commands that only read rows: status, report, export. Neither torch nor Ray is imported."""

from __future__ import annotations

import dataclasses
import sys
import time
import warnings
from argparse import Namespace
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from rich.console import Console
from rich.markup import escape

from harness import commands_wandb, heartbeat
from harness.errors import UserError
from harness.progress import duration
from harness.record import open_place, read_record
from harness.terminal import json_text, show
from results import table as tables
from results.merging import Source, merged
from results.parquet import conform
from results.place import Place, explain
from results.repeats import COLUMNS as COMPARED
from results.repeats import Repeat, differing
from results.schema import IDENTITY, SCHEMA, SCHEMA_VERSION

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


def read_source(address: str | Place, columns: Sequence[str] = tuple(SCHEMA.names)) -> Source:
    """The rows of a campaign, or of a Parquet file that `pacbench export` wrote. Raises: UserError."""
    folder = open_place(address)
    if isinstance(folder, Path) and folder.suffix == ".parquet" and folder.is_file():
        return Source(str(address), tables.latest(_read_file(folder, columns)))
    if isinstance(folder, Path) and folder.is_file():
        expected = "expected a campaign's folder, or a .parquet file that `pacbench export` wrote"
        raise UserError(f"{address}: a file; {expected}; `pacbench import` reads results of other programs")
    suite = read_record(folder)["suite"]
    tuning = suite.get("tuning")
    configs = tuning.get("configs") if isinstance(tuning, dict) else None
    rows = tables.latest(read_attempts([address], columns))
    return Source(str(address), rows, configs if type(configs) is int and configs > 0 else None)


def _read_file(path: Path, columns: Sequence[str]) -> pa.Table:
    try:
        held = set(pq.read_schema(path).names)
        rows = conform(pq.read_table(path, columns=[name for name in columns if name in held]))
    except (pa.ArrowException, OSError, ValueError, KeyError) as error:
        raise UserError(f"{path}: cannot be read as rows ({explain(error)})") from error
    lacking = [name for name in IDENTITY if name not in held or (name in columns and rows[name].null_count)]
    if lacking:
        expected = "expected a file that `pacbench export` wrote"
        raise UserError(f"{path}: rows without {', '.join(lacking)}; {expected}, or `pacbench import` for others")
    if (newest := pc.max(rows["schema_version"]).as_py() or 0) > SCHEMA_VERSION:
        raise UserError(f"{path}: rows of schema version {newest}; this program reads up to {SCHEMA_VERSION}")
    return tables.ordered(tables.distinct(rows.select(list(columns))))


def read_rows(addresses: Sequence[str | Place], columns: Sequence[str] = tuple(SCHEMA.names)) -> pa.Table:
    """The rows of all campaigns, one per key. Raises: UserError as `read_source` does, or where they must not mix."""
    return merged_rows([read_source(address, columns) for address in addresses])


def merged_rows(sources: Sequence[Source]) -> pa.Table:
    """The rows of all sources as one table. Raises: UserError where they must not be mixed."""
    try:
        return merged(sources)
    except ValueError as error:
        raise UserError(str(error)) from error


def judged_source(address: str | Place, columns: Sequence[str] = tuple(SCHEMA.names)) -> Source:
    """As `read_source`, without the rows of explorations, which enter no judgement; how many there were is said."""
    source = read_source(address, columns)
    kept = tables.confirmatory(source.rows)
    if explored := len(source.rows) - len(kept):
        were = "1 exploratory row is" if explored == 1 else f"{explored:,} exploratory rows are"
        print(f"pacbench: {address}: {were} left out; what was explored enters no comparison", file=sys.stderr)
    return dataclasses.replace(source, rows=kept)


def judged_rows(addresses: Sequence[str | Place], columns: Sequence[str] = tuple(SCHEMA.names)) -> pa.Table:
    """As `read_rows`, without the rows of explorations."""
    return merged_rows([judged_source(address, columns) for address in addresses])


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


def report_command(options: Namespace) -> int:
    """Write the report and print where it is: 1 if it refuses to mix the campaigns, and says why."""
    from harness.reporting import write  # with what draws figures, which the other commands do not need

    sources = [judged_source(address) for address in options.folders]
    campaigns = [address for address in options.folders if not Path(address).is_file()]
    records = [read_record(open_place(address)) for address in campaigns]
    if not options.out and options.folders[0] not in campaigns:
        raise UserError(f"{options.folders[0]} is a file of rows; say where the report goes with --out")
    folder = open_place(options.out) if options.out else open_place(options.folders[0]) / "report"
    if not options.out and isinstance(folder, Path) and folder.is_symlink():
        raise UserError(f"{folder} is a link to {folder.resolve()}; say --out {folder.resolve()} if you mean that")
    written = write(sources, folder, options.baseline, records)
    for path in written.files.values():
        print(path)
    if written.refusal is not None:
        print(f"pacbench: the report compares nothing: {written.refusal}", file=sys.stderr)
    return 0 if written.refusal is None else 1


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
