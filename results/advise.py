"""Which methods are not beaten under a practitioner's limits, from the rows at hand, or that these rows cannot say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa

from results.compare import Comparison, compare
from results.constraints import WORDS, Check, Limits, checks
from results.costs import NEEDS_DEVICE_ALONE
from results.dense import dense
from results.pairing import Pairing, pair_all, told_apart
from results.pivot import BoolArray, Grid, as_grid
from results.placing import Placing, placings
from results.power import cannot_decide
from results.statistics import ALPHA, fewest_tasks

FARTHEST: Final = 2.0
"""How many times more or fewer examples than any measured size still may be spoken about."""


@dataclass(frozen=True)
class Advised:
    """One method. ``eligible``: it keeps every limit and has at least half of the cells; else ``why_not`` says why not.

    ``beaten_by`` names the eligible methods that are told apart from it as better. Ranks are among the eligible ones.
    The difference is from ``against``, the eligible method with the best mean rank, chosen after the fact: it is to be
    looked at, and decides nothing.
    """

    method: str
    eligible: bool
    why_not: str | None
    checks: tuple[Check, ...]
    beaten_by: tuple[str, ...]
    mean_rank: float | None
    rank_low: float | None
    rank_high: float | None
    against: str | None
    mean_difference: float | None
    interval_low: float | None
    interval_high: float | None
    smallest_detectable: float | None
    failures: int
    trials: int


@dataclass(frozen=True)
class Advice:
    """``says``: whether these rows can answer; if not, ``reasons`` are why not and ``not_beaten`` is empty.

    ``sizes`` are the measured target sizes that stand for ``target_size``; ``caveats`` hold whatever the answer is.
    ``methods`` are the eligible ones by mean rank, then the others by name.
    """

    says: bool
    target_size: int
    sizes: tuple[int, ...]
    tasks: int
    tasks_needed: int | None
    unit: str | None
    not_beaten: tuple[str, ...]
    reasons: tuple[str, ...]
    caveats: tuple[str, ...]
    methods: tuple[Advised, ...]


def advise(rows: pa.Table | Grid, target_size: int, limits: Limits | None = None) -> Advice:
    """Methods that keep the limits and that no other such method is told apart from as better, over tasks.

    A method is beaten where the signed-rank test over tasks, Holm-adjusted over all pairs of eligible methods, says so.
    A size that was not measured is spoken for by the measured ones on either side, or by the nearest up to a factor of
    ``FARTHEST``. Raises: ResultsError for rows that cannot be compared.
    """
    grid = as_grid(rows)
    sizes, caveats, reasons = _sizes(grid, target_size)
    here = grid.select(np.array([size in sizes for size in grid.target_sizes], bool))
    board = dense(here)
    limits = limits or Limits()
    found = checks(board.whole, limits)
    coverage = dict(zip(board.whole.labels, board.coverage.tolist(), strict=True))
    why_not = {label: _why_not(found[label], coverage[label]) for label in board.whole.labels}
    eligible = np.array([why_not[label] is None for label in board.whole.labels], bool)
    ranked = dense(board.whole.select(np.ones(len(board.whole.facts), bool), eligible)).ranked
    count, tasks = len(ranked.labels), len(ranked.family_index()[0])
    needed = fewest_tasks(ALPHA / (count * (count - 1) / 2)) if count > 1 else None
    if not reasons:
        reasons = _reasons(count, tasks, found)
    pairs = pair_all(ranked) if count > 1 and tasks else []
    apart = told_apart(pairs, count)
    places = placings(ranked, apart)[0] if pairs else [Placing()] * count
    beaten = _beaten(ranked.labels, pairs, apart)
    best, against = _against_best(ranked, places)
    methods = [
        _advised(board.whole, label, why_not[label], found[label], beaten, ranked, places, best, against)
        for label in board.whole.labels
    ]
    methods.sort(key=lambda m: (not m.eligible, m.mean_rank is None, m.mean_rank or 0.0, m.method))
    unbeaten = tuple(m.method for m in methods if m.eligible and not m.beaten_by)
    if not reasons and count > 1 and len(unbeaten) == count:
        caveats.append("These rows tell no two of these methods apart, which does not mean that they are equal.")
    if count == 1 and not reasons:
        caveats.append("It is the only method that keeps the limits, so it is compared with none.")
    caveats += _unsure(methods)
    return Advice(
        says=not reasons,
        target_size=target_size,
        sizes=sizes,
        tasks=tasks if count else len(board.whole.family_index()[0]),
        tasks_needed=needed,
        unit=ranked.normalised()[1],
        not_beaten=() if reasons else unbeaten,
        reasons=tuple(reasons),
        caveats=tuple(caveats),
        methods=tuple(methods),
    )


def _sizes(grid: Grid, wanted: int) -> tuple[tuple[int, ...], list[str], list[str]]:
    """The measured sizes that stand for the wanted one, what to know of that, and why none can."""
    whole = grid.over_tasks(None)
    sizes = sorted({size for size in whole.target_sizes if size is not None})
    if not sizes:
        return (), [], ["There are no final trials that state a target size and may enter an average over tasks."]
    if wanted in sizes:
        return (wanted,), [], []
    below = max((size for size in sizes if size < wanted), default=None)
    above = min((size for size in sizes if size > wanted), default=None)
    if below is not None and above is not None:
        return (below, above), [f"{wanted:,} was not measured; {below:,} and {above:,} together stand for it."], []
    edge = below or above or 0
    if max(wanted, edge) > FARTHEST * min(wanted, edge):
        span = f"{sizes[0]:,}" if len(sizes) == 1 else f"{sizes[0]:,} to {sizes[-1]:,}"
        return (edge,), [], [f"{wanted:,} target examples are far from what was measured ({span})."]
    return (edge,), [f"{wanted:,} was not measured; {edge:,}, the nearest, stands for it."], []


def _why_not(those: Sequence[Check], coverage: float) -> str | None:
    if coverage < 0.5:
        return "has fewer than half of the cells"
    lacking = next((check.limit_on for check in those if check.fits is None), None)
    if lacking:
        return f"{WORDS[lacking]} not measured"
    broken = next((check for check in those if not check.fits), None)
    return None if broken is None else f"{WORDS[broken.limit_on]} beyond the limit"


def _reasons(count: int, tasks: int, found: dict[str, tuple[Check, ...]]) -> list[str]:
    """Why these rows cannot say, the most telling first; none where they can."""
    measured: dict[str, bool] = {}
    for check in (check for those in found.values() for check in those):
        measured[check.limit_on] = measured.get(check.limit_on, False) or check.fits is not None
    for column in sorted(column for column, known in measured.items() if not known):
        alone = " by a trial that had its device alone" if column in NEEDS_DEVICE_ALONE else ""
        return [f"{WORDS[column].capitalize()} was not measured{alone}, so no method is known to keep the limit."]
    if not found:
        return ["There are no methods here."]
    if count == 0:
        return ["No method keeps these limits and has enough cells."]
    if tasks == 0:
        return ["The methods that keep the limits have no task and size in common."]
    sentence = cannot_decide(tasks, count)
    return [sentence] if sentence else []


def _beaten(
    labels: Sequence[str], pairs: Sequence[tuple[int, int, Pairing]], apart: BoolArray
) -> dict[str, tuple[str, ...]]:
    """For each label those that are told apart from it as better."""
    found: dict[str, list[str]] = {label: [] for label in labels}
    for i, j, pairing in pairs:
        side = pairing.test()[1]
        if apart[i, j] and side:
            found[labels[j if side > 0 else i]].append(labels[i if side > 0 else j])
    return {label: tuple(sorted(names)) for label, names in found.items()}


def _against_best(ranked: Grid, places: Sequence[Placing]) -> tuple[str | None, dict[str, Comparison]]:
    """The label with the best mean rank, and the others against it over all cells."""
    by_rank = sorted(zip(places, ranked.labels, strict=True), key=lambda pair: (pair[0].mean_rank or 0.0, pair[1]))
    if len(by_rank) < 2 or by_rank[0][0].mean_rank is None:
        return None, {}
    best = by_rank[0][1]
    found = [c for c in compare(ranked, best) if c.target_size is None and c.question == "population"]
    return best, {c.candidate: c for c in found}


def _advised(
    whole: Grid,
    label: str,
    why_not: str | None,
    those: tuple[Check, ...],
    beaten: dict[str, tuple[str, ...]],
    ranked: Grid,
    places: Sequence[Placing],
    best: str | None,
    against: dict[str, Comparison],
) -> Advised:
    place = places[ranked.labels.index(label)] if label in ranked.labels else Placing()
    found, index = against.get(label), whole.labels.index(label)
    return Advised(
        method=label,
        eligible=why_not is None,
        why_not=why_not,
        checks=those,
        beaten_by=beaten.get(label, ()),
        mean_rank=place.mean_rank,
        rank_low=place.rank_low,
        rank_high=place.rank_high,
        against=best if found else None,
        mean_difference=found.mean_difference if found else None,
        interval_low=found.interval_low if found else None,
        interval_high=found.interval_high if found else None,
        smallest_detectable=found.smallest_detectable if found else None,
        failures=int(whole.failures[:, index].sum()),
        trials=int((whole.row_label == index).sum()),
    )


def _unsure(methods: Sequence[Advised]) -> list[str]:
    said = []
    for column in sorted({check.limit_on for m in methods if m.eligible for check in m.checks if not check.sure}):
        names = [m.method for m in methods if m.eligible and any(c.limit_on == column and not c.sure for c in m.checks)]
        said.append(f"{WORDS[column].capitalize()}: the limit is not surely kept by {', '.join(names)}.")
    return said
