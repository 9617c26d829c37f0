"""What no statistic over rows may depend on: order of rows, names, which side is first, a method listed twice."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from results.bayesian import beliefs
from results.compare import compare, compare_per_task
from results.design import designs
from results.pivot import pivot
from results.profile import profile
from results.tuning_curve import mean_curves, tuning_curves

SEEDS = st.integers(0, 2**32 - 1)
RENAMED = {"base": "z", "p": "y", "q": "x"}
FEW = settings(max_examples=3, deadline=None)
FAMILY = ("p_holm", "smallest_detectable", "verdict", "note", "comparisons", "fewest_tasks")
"""What depends on how many methods are judged together."""


def shaped(rows_of, seed: int) -> pa.Table:
    """Final and tuning rows with gaps, failures, sizes, variants and ties, between anchors."""
    rng = np.random.default_rng(seed)
    extra = {"extra": [("anchor_zero", "0.1"), ("anchor_one", "0.9")]}
    cells = [
        (f"{task}(shift={shift})", size, label)
        for task in "abcdefgh"
        for shift in (1, 2)
        for size in (5, 50)
        for label in RENAMED
        if rng.random() < 0.95
    ]
    final = {c: ["oom" if rng.random() < 0.04 else float(rng.integers(0, 9)) / 10 for _ in range(3)] for c in cells}
    parts = [rows_of(final, **extra)]
    for config in "uvw":
        tuned = rows_of(
            {cell: [float(rng.integers(0, 9)) / 10] for cell in cells}, stage="tune", config=config, **extra
        )
        parts.append(
            tuned.set_column(tuned.column_names.index("score_validation"), "score_validation", tuned["score_test"])
        )
    return pa.concat_tables(parts)


def relabelled(rows: pa.Table, names: dict[str, str]) -> pa.Table:
    labels = pa.array([names[label] for label in rows["label"].to_pylist()], pa.string())
    return rows.set_column(rows.column_names.index("label"), "label", labels)


def everything(rows: pa.Table, baseline: str) -> dict[str, list[dict]]:
    """All statistics that name a label, as plain documents."""
    found = profile(pivot(rows), np.random.default_rng(0))
    curves = tuning_curves(rows)
    bands = [] if found is None else [found.shares.T, found.low.T, found.high.T]
    return {
        "comparisons": [asdict(c) for c in compare(rows, baseline, margin=0.1)],
        "tasks": [asdict(c) for c in compare_per_task(rows, baseline)],
        "designs": [asdict(d) for d in designs(rows, baseline, difference=0.1)],
        "beliefs": [asdict(b) for b in beliefs(rows, baseline, rope=0.05)],
        "curves": [asdict(c) for c in curves],
        "mean curves": [{"label": label, "expected": curve} for label, curve in mean_curves(curves).items()],
        "profiles": [
            {"label": label, "bands": [band[i].tolist() for band in bands]} for i, label in enumerate(found.labels)
        ],
    }


def sorted_by_name(documents: list[dict]) -> list[dict]:
    return sorted(
        documents, key=lambda d: str([d.get(n) for n in ("candidate", "label", "task", "target_size", "question")])
    )


@FEW
@given(SEEDS)
def test_row_order_does_not_matter(rows_of, seed):
    """Shuffled rows give the same documents, digit for digit."""
    rows = shaped(rows_of, seed)
    assert everything(rows.take(np.random.default_rng(seed).permutation(len(rows))), "base") == everything(rows, "base")


@FEW
@given(SEEDS)
def test_names_do_not_matter(rows_of, seed):
    """Labels in another alphabetical order have the same numbers."""
    rows = shaped(rows_of, seed)
    here, there = everything(rows, "base"), everything(relabelled(rows, RENAMED), "z")
    for kind, documents in here.items():
        renamed = [
            {k: RENAMED.get(v, v) if k in ("candidate", "baseline", "label") else v for k, v in d.items()}
            for d in documents
        ]
        for one, other in zip(sorted_by_name(renamed), sorted_by_name(there[kind]), strict=True):
            same(one, other, f"{kind}: {one.get('candidate', one.get('label'))}")


@FEW
@given(SEEDS)
def test_swapping_the_sides_turns_beliefs_and_keeps_designs(rows_of, seed):
    """Better becomes worse with the same chance; variances, power and needs have no side."""
    rows = shaped(rows_of, seed)
    there, back = (
        next(b for b in beliefs(rows, first, rope=0.05) if b.candidate == second).posterior
        for first, second in (("base", "p"), ("p", "base"))
    )
    assert (there.better, there.equivalent, there.worse) == pytest.approx((back.worse, back.equivalent, back.better))
    mine, other = (
        asdict(next(d for d in designs(rows, first, difference=0.1) if d.candidate == second))
        for first, second in (("base", "p"), ("p", "base"))
    )
    for side in ("candidate", "baseline"):
        del mine[side], other[side]
    same(mine, other, "design")


@FEW
@given(SEEDS)
def test_a_method_listed_twice_changes_no_other(rows_of, seed):
    """A copy under another label has the numbers of the original; the others keep theirs, but for the larger family."""
    rows = shaped(rows_of, seed)
    copy = relabelled(rows.filter(pc.equal(rows["label"], "p")), {"p": "copy"})
    before, after = everything(rows, "base"), everything(pa.concat_tables([rows, copy]), "base")
    for kind, documents in after.items():
        named = "label" if kind in ("curves", "mean curves", "profiles") else "candidate"
        mine = [d for d in documents if d[named] != "copy"]
        copied = [d | {named: "p"} for d in documents if d[named] == "copy"]
        original = [d for d in mine if d[named] == "p"]
        for one, other in zip(before[kind], mine, strict=True):
            same(
                one,
                other,
                kind,
                leave_out=FAMILY + (("power", "tasks_needed", "seeds_needed") if kind == "designs" else ()),
            )
        for one, other in zip(copied, original, strict=True):
            same(one, other, f"copy in {kind}")


def same(one, other, where: str, leave_out: tuple[str, ...] = ()) -> None:
    """Equal documents, numbers up to rounding."""
    if isinstance(one, dict):
        assert set(one) == set(other), where
        for key in set(one) - set(leave_out):
            same(one[key], other[key], f"{where}, {key}", leave_out)
    elif isinstance(one, list | tuple):
        assert len(one) == len(other), where
        for a, b in zip(one, other, strict=True):
            same(a, b, where, leave_out)
    elif isinstance(one, float) and isinstance(other, float):
        assert one == pytest.approx(other, abs=1e-12, nan_ok=True), where
    else:
        assert one == other, where
