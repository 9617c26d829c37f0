"""Rows of several campaigns as one table, or the refusal to mix what was made under different conditions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from results.costs import SHOWN
from results.display import name
from results.errors import ResultsError
from results.facts import FACTS
from results.repeats import differing
from results.table import COMMITTED, ORDER, final_rows, latest, ordered

ONE_FOR_ALL: Final = ("protocol", "budget_steps")
"""What all final rows must agree on, where they state it, whatever their task."""

ONE_PER_TASK: Final = ("task_version", "data_hash", "metric", "higher_is_better")

ONE_PER_LABEL: Final = ("method", "method_version")

JUDGED: Final = tuple(
    dict.fromkeys(
        (
            *(
                "stage",
                "exploratory",
                "pair_key",
                "suite",
                "method",
                "method_version",
                "tuning_configs",
                "tuning_seeds",
            ),
            *("exclusive_device", *ORDER, *COMMITTED, *FACTS, *SHOWN),
        )
    )
)
"""The columns that boards, comparisons and advice are made of; a report shows the others too."""

MOST_SAID: Final = 4


@dataclass(frozen=True)
class Source:
    """Rows of one place, one for each key. ``tuning_configs``: how many its suite allows; None: as its rows say."""

    name: str
    rows: pa.Table
    tuning_configs: int | None = None


def merged(sources: Sequence[Source]) -> pa.Table:
    """The rows of all sources, one for each key, in the fixed order; a trial that several have counts once.

    Raises: ResultsError with one message that names everything in which final rows of the sources differ although they
    must not (protocol, budgets, versions of tasks and methods, data, metrics, source models and splits, results of one
    trial), and where.
    """
    if len(sources) == 1:
        return sources[0].rows
    finals = [(source.name, final_rows(source.rows)) for source in sources]
    each = [*_each(finals, "task", ONE_PER_TASK), *_each(finals, "label", ONE_PER_LABEL)]
    wrong = [*_budgets(finals, sources), *each, *_pairs(finals)]
    rows = pa.concat_tables([source.rows for source in sources])
    unlike = [] if wrong else differing(rows)
    if unlike:
        more = f" (and {len(unlike) - 1:,} more like it)" if len(unlike) > 1 else ""
        wrong.append(f"one trial has two results{more}: {unlike[0]}")
    if wrong:
        raise ResultsError(
            f"these rows are not mixed: {'; '.join(wrong)}. Read them apart, or leave out what does not belong"
        )
    return ordered(latest(rows))


def tuning_budget(source: Source) -> int | None:
    """How many configurations the methods of a source could be tuned with; None where nothing says so."""
    if source.tuning_configs is not None:
        return source.tuning_configs
    most = pc.max(final_rows(source.rows)["tuning_configs"]).as_py()
    return None if most is None else int(most)


def tuning_seeds(source: Source) -> tuple[int, ...]:
    """On how many seeds its methods that were tuned were judged."""
    tuned = final_rows(source.rows).filter(pc.field("tuning_configs") > 1)
    return _said(tuned["tuning_seeds"])


def _budgets(finals: Sequence[tuple[str, pa.Table]], sources: Sequence[Source]) -> list[str]:
    wrong = []
    for column in ONE_FOR_ALL:
        wrong += _unlike(column, [(where, _said(rows[column])) for where, rows in finals])
    budgets = [(source.name, tuning_budget(source)) for source in sources if len(final_rows(source.rows))]
    wrong += _unlike("tuning_configs", [(where, () if most is None else (most,)) for where, most in budgets])
    return wrong + _unlike("tuning_seeds", [(source.name, tuning_seeds(source)) for source in sources])


def _each(finals: Sequence[tuple[str, pa.Table]], what: str, columns: Sequence[str]) -> list[str]:
    """What the sources do not agree on for one task, or for one label, which is the method's name where there is none.

    One message for each column: the first task or label, and how many more there are.
    """
    wrong = []
    for column in columns:
        said: dict[str, list[tuple[str, tuple[Any, ...]]]] = defaultdict(list)
        for where, rows in finals:
            values: dict[str, set[Any]] = defaultdict(set)
            named = pc.coalesce(rows["label"], rows["method"]) if what == "label" else rows[what]
            pairs = pa.table({"named": named, "value": rows[column]}).group_by(["named", "value"]).aggregate([])
            for one, value in zip(pairs["named"].to_pylist(), pairs["value"].to_pylist(), strict=True):
                values[str(one)] |= set() if value is None else {value}
            for one, known in values.items():
                said[one].append((where, tuple(sorted(known))))
        found = [(one, message) for one in sorted(said) for message in _unlike(column, said[one])]
        noun = {"task": "task", "label": "method"}[what]
        wrong += [f"{noun} {name(one)}: {message}{_more(found, noun)}" for one, message in found[:1]]
    return wrong


def _pairs(finals: Sequence[tuple[str, pa.Table]]) -> list[str]:
    """Trials that would be paired although they have other source models or splits, of rows that say their data."""
    held: dict[tuple[Any, ...], tuple[str, str]] = {}
    unlike = []
    columns = ("task", "target_size", "seed", "pair_key")
    for where, rows in finals:
        rows = rows.filter(pc.is_valid(rows["data_hash"])).select(list(columns))
        distinct = rows.group_by(list(columns)).aggregate([])
        for *place, key in zip(*(distinct[column].to_pylist() for column in columns), strict=True):
            first_key, first = held.setdefault(tuple(place), (key, where))
            if key != first_key and where != first:
                unlike.append((tuple(place), first, where))
    if not unlike:
        return []
    (task, size, seed), first, where = min(unlike, key=str)
    trial = f"task {name(task)}, target size {size}, seed {seed}"
    return [f"{trial}: pair_key differs between {first} and {where}, so not the same source and split"]


def _said(column: pa.ChunkedArray) -> tuple[Any, ...]:
    """The distinct values, sorted, without null."""
    return tuple(sorted(value for value in pc.unique(column).to_pylist() if value is not None))


def _unlike(column: str, said: Iterable[tuple[str, tuple[Any, ...]]]) -> list[str]:
    """One message if the sources that say something do not say the same."""
    stated = [(where, values) for where, values in said if values]
    if len({values for _, values in stated}) < 2:
        return []
    first: dict[tuple[Any, ...], str] = {}
    for where, values in stated:
        first.setdefault(values, where)
    parts = [f"{', '.join(name(v) for v in values[:MOST_SAID])} in {where}" for values, where in first.items()]
    return [f"{column} is {', '.join(parts[:MOST_SAID])}"]


def _more(found: Sequence[object], noun: str) -> str:
    more = len(found) - 1
    return f" (and {more:,} more {noun}{'s' if more > 1 else ''})" if more > 0 else ""
