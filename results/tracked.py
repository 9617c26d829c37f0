"""What an experiment tracker is told of a campaign: a run per row and one for the leaderboard, as plain values."""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from results.errors import ResultsError
from results.leaderboard import Standing, leaderboard

CONFIG: Final = (
    *("schema_version", "key", "pair_key", "suite", "protocol", "stage", "exploratory"),
    *("task", "task_version", "data_hash", "source_key", "target_size", "method", "label", "method_version", "seed"),
    *("budget_steps", "tuning_configs", "tuning_seeds", "attempt", "metric", "higher_is_better"),
    *("engine", "engine_reason", "lanes", "threads", "world_size", "precision"),
    *("device", "exclusive_device", "host", "commit", "dirty", "versions"),
)
"""Columns that say what was run; the hyper-parameters join them. The other columns are what came of it."""

LONGEST_NAME, LONGEST_TAG = 120, 60
AT_ONCE = 1000


@dataclass(frozen=True)
class Tracked:
    """One run of a tracker. curve: (step, training loss) in order. table: header and lines, of the leaderboard only.

    version: another one for the same id means that the run has new content.
    """

    id: str
    name: str
    group: str
    job_type: str
    tags: tuple[str, ...]
    config: dict[str, Any]
    summary: dict[str, Any]
    failed: bool = False
    curve: tuple[tuple[int, float], ...] = ()
    table: tuple[tuple[str, ...], tuple[tuple[Any, ...], ...]] | None = None
    version: str = "1"


def run_ids(project: str, campaign: dict[str, Any], rows: pa.Table) -> list[str]:
    """The id of each row's run: the same for the same project, campaign, key and attempt, whoever exports it."""
    wanted = zip(rows["key"].to_pylist(), rows["attempt"].to_pylist(), strict=True)
    return [_digest([project, *_identity(campaign), key, attempt]) for key, attempt in wanted]


def tracked_rows(ids: list[str], rows: pa.Table, points: pa.Table) -> Iterator[Tracked]:
    """The run of each row, with its learning curve among `points` (`results.curves.SCHEMA`)."""
    for start in range(0, len(rows), AT_ONCE):
        part = rows.slice(start, AT_ONCE)
        curves: dict[str, list[tuple[int, float]]] = {}
        for point in points.filter(pc.is_in(points["key"], part["key"].combine_chunks())).to_pylist():
            curves.setdefault(point["key"], []).append((point["step"], point["value"]))
        for name, row in zip(ids[start : start + AT_ONCE], part.to_pylist(maps_as_pydicts="lossy"), strict=True):
            yield _tracked_row(name, row, tuple(curves.get(row["key"], ())))


def tracked_leaderboard(project: str, campaign: dict[str, Any], rows: pa.Table) -> Tracked | None:
    """The run that shows the leaderboard; None while the rows cannot be ranked."""
    try:
        board = asdict(leaderboard(rows))
    except ResultsError:
        return None
    standings = board.pop("methods")
    del board["pareto"]  # a tracker's summary holds single values
    header = tuple(Standing.__dataclass_fields__)
    lines = tuple(tuple(standing[name] for name in header) for standing in standings)
    suite = str(campaign["suite"]["name"])
    return Tracked(
        id=_digest([project, *_identity(campaign), "leaderboard"]),
        name=shortened(f"{suite} leaderboard", LONGEST_NAME),
        group=shortened(suite, LONGEST_NAME),
        job_type="leaderboard",
        tags=("leaderboard",),
        config={"suite": suite} | {name: campaign.get(name) for name in ("protocol", "created_at", "commit", "dirty")},
        summary={name: value for name, value in board.items() if value is not None},
        table=(header, lines),
        version=_digest([board, standings]),
    )


def shortened(text: str, most: int) -> str:
    """The text as one line of at most `most` characters; a hash at its end keeps long ones apart."""
    line = "".join("\N{REPLACEMENT CHARACTER}" if unicodedata.category(c)[0] == "C" else c for c in text).strip() or "-"
    return line if len(line) <= most else f"{line[: most - 9]}~{_digest(text)[:8]}"


def _tracked_row(name: str, row: dict[str, Any], curve: tuple[tuple[int, float], ...]) -> Tracked:
    outcome = {n: v for n, v in row.items() if n not in (*CONFIG, "config", "extra") and v is not None}
    tags = [shortened(str(text), LONGEST_TAG) for text in (row["task"], row["label"]) if text]
    shown = f"{row['label']} {row['task']} n={row['target_size']} seed={row['seed']}"
    shown += f" {_digest(row['config'])[:4]}" if row["stage"] == "tune" else ""
    return Tracked(
        id=name,
        name=shortened(shown, LONGEST_NAME),
        group=shortened(row["suite"], LONGEST_NAME),
        job_type=shortened(row["stage"], LONGEST_TAG),
        tags=tuple(dict.fromkeys(tags)),
        config={n: row[n] for n in CONFIG if row[n] is not None} | {"hyperparameters": _parsed(row["config"])},
        summary={n: v.isoformat() if isinstance(v, datetime) else v for n, v in outcome.items()}
        | ({"extra": row["extra"]} if row["extra"] else {}),
        failed=row["status"] not in ("done", "declined"),
        curve=curve,
    )


def _parsed(config: str | None) -> Any:
    """The hyper-parameters; foreign text that is no JSON stays text."""
    try:
        return json.loads(config or "{}")
    except ValueError:
        return config


def _identity(campaign: dict[str, Any]) -> tuple[str, str]:
    """A campaign is its suite's name and the moment it was created; its folder may be moved or copied."""
    return str(campaign["suite"]["name"]), str(campaign.get("created_at"))


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:32]
