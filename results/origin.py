"""Where rows come from: what a reader needs to find or repeat the trials behind a number."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from results.display import DASH, count, name

MOST_VALUES: Final = 40

_SINGLE: Final = {
    "suite": "suites",
    "protocol": "protocol",
    "budget_steps": "steps on the target",
    "tuning_configs": "configurations tuned",
    "tuning_seeds": "tuning seeds",
    "commit": "commits",
    "host": "hosts",
    "device": "devices",
    "engine": "engines",
    "precision": "precision",
    "schema_version": "row schema",
}


def origin(rows: pa.Table) -> list[tuple[str, str]]:
    """Titles and values: trials, tasks with version and data hash, commits, versions, machines and dates."""
    stages = pc.value_counts(rows["stage"].combine_chunks()).to_pylist() if len(rows) else []
    said = [("trials", ", ".join(sorted(f"{count(s['counts'])} {name(s['values'])}" for s in stages)) or "none")]
    said += [(title, _values(rows[column])) for column, title in _SINGLE.items()]
    dirty = {None: "not known", False: "no", True: "yes"}
    said.append(("uncommitted changes", _joined({dirty[value] for value in pc.unique(rows["dirty"]).to_pylist()})))
    tasks = rows.group_by(["task", "task_version", "data_hash"]).aggregate([]).to_pylist()
    for task in sorted(tasks, key=lambda task: tuple(map(str, task.values()))):
        said.append(
            (f"task {name(task['task'])}", f"version {name(task['task_version'])}, data {name(task['data_hash'])}")
        )
    methods = rows.group_by(["method", "method_version"]).aggregate([]).to_pylist()
    said.append(("methods", _joined({f"{name(m['method'])} version {name(m['method_version'])}" for m in methods})))
    said.append(("versions", _versions(rows["versions"])))
    first, last = pc.min(rows["started_at"]).as_py(), pc.max(rows["finished_at"]).as_py()
    said.append(("run", f"{first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M} UTC" if first and last else DASH))
    return said


def campaign_texts(campaigns: Sequence[Mapping[str, Any]]) -> list[str]:
    """Each campaign.json as indented text with sorted keys; letters beyond ASCII are spelled out."""
    return [json.dumps(campaign, indent=2, sort_keys=True, default=str) for campaign in campaigns]


def _values(column: pa.ChunkedArray) -> str:
    values = pc.unique(column).to_pylist()
    known = sorted(value for value in values if value is not None)
    return _joined([name(value) for value in known] + ["not stated"] * (None in values))


def _joined(values: Sequence[str] | set[str]) -> str:
    ordered = sorted(values) if isinstance(values, set) else list(values)
    more = len(ordered) - MOST_VALUES
    return ", ".join(ordered[:MOST_VALUES]) + (f" and {more:,} more" if more > 0 else "") or DASH


def _versions(column: pa.ChunkedArray) -> str:
    found: set[str] = set()
    for chunk in column.chunks:
        pairs = pa.table({"library": chunk.keys, "version": chunk.items}).group_by(["library", "version"]).aggregate([])
        found |= {f"{name(pair['library'])} {name(pair['version'])}" for pair in pairs.to_pylist()}
    return _joined(found)
