"""Simulations that judge the judge: how often a reported verdict is wrong, and how often an interval covers the truth.

Score = level of the task + effect of the method on the task + noise of the run; effects have mean 0 over tasks where
there is no difference. The paired difference of two methods then has the variance 1 over tasks and seeds together,
which `ratio` splits into task to seed variance. Noise and effects are Gaussian, heavy-tailed (t with 3 degrees of
freedom) or skewed (exponential, the first method's Gaussian), each scaled to the same variance. Skewed ones are shown;
nothing is promised of them, for signed ranks test the centre of symmetric differences.

Verdicts are computed for all simulated tables at once. `judge` follows `results.compare` step by step, and each run
first compares both on real tables of rows (`check_against_compare`); so does a test.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cache
from itertools import product
from typing import Any

import numpy as np
from scipy import stats

from results import power
from results.compare import compare
from results.ranking import resampled_means, win_matrix
from results.schema import table
from results.statistics import ALPHA, FloatArray, mean_of_fixed_tasks, signed_rank

TASKS, SEEDS, RATIOS = (6, 10, 20, 50), (3, 5, 20), (0.1, 1.0, 10.0)
NOISES = ("gaussian", "heavy-tailed", "skewed")
METHODS = 5
MARGIN = 0.5
"""Of equivalence, in standard deviations of a paired difference over tasks and seeds together."""
BATCH = 4_000_000
"""Scores that are held at once."""


def draw(rng: np.random.Generator, noise: str, shape: tuple[int, ...]) -> FloatArray:
    """Numbers with mean 0 and variance 1."""
    if noise == "gaussian":
        return rng.standard_normal(shape)
    if noise == "heavy-tailed":
        return rng.standard_t(3, shape) / np.sqrt(3)
    return rng.standard_exponential(shape) - 1


def simulate(
    rng: np.random.Generator, noise: str, ratio: float, shape: tuple[int, int, int, int], shift: float = 0.0
) -> tuple[FloatArray, FloatArray]:
    """Scores, and the effects of methods on tasks in them; every method but the first is better by `shift`.

    Shapes: (tables, tasks, seeds, methods) -> the same, and (tables, tasks, methods).
    """
    tables, tasks, _, methods = shape
    effects = draw(rng, noise, (tables, tasks, methods)) * np.sqrt(ratio / (1 + ratio) / 2)
    runs = draw(rng, noise, shape) * np.sqrt(1 / (1 + ratio) / 2)
    if noise == "skewed":  # the difference of two methods that are skewed alike is symmetric
        effects[..., 0] = draw(rng, "gaussian", (tables, tasks)) * np.sqrt(ratio / (1 + ratio) / 2)
        runs[..., 0] = draw(rng, "gaussian", shape[:3]) * np.sqrt(1 / (1 + ratio) / 2)
    effects[:, :, 1:] += shift
    return effects[:, :, None] + runs, effects


@cache
def p_values(tasks: int) -> FloatArray:
    """Two-sided p of each sum of the ranks of one sign, from the test itself. Shapes: (sums,), up to half of all."""
    found = []
    for total in range(tasks * (tasks + 1) // 4 + 1):
        signs, left = np.ones(tasks), total
        for rank in range(tasks, 0, -1):
            if rank <= left:
                signs[rank - 1], left = -1, left - rank
        found.append(signed_rank(signs * np.arange(1, tasks + 1)).p_value)
    return np.array(found)


@dataclass(frozen=True)
class Judged:
    """What the comparison with the first method says. Shapes: (tables, rivals) each; `verdicts` are 1, 0 and -1."""

    verdicts: FloatArray
    low: FloatArray
    high: FloatArray
    low90: FloatArray
    high90: FloatArray


def judge(scores: FloatArray) -> Judged:
    """Every table at once: exact signed ranks of task means, Holm over the rivals, t interval over tasks.

    Shapes: (tables, tasks, seeds, methods), without ties.
    """
    means = scores.mean(axis=2)
    differences = means[:, :, 1:] - means[:, :, :1]
    tasks = differences.shape[1]
    ranks = np.abs(differences).argsort(axis=1).argsort(axis=1) + 1
    minus = np.where(differences < 0, ranks, 0).sum(axis=1)
    total = tasks * (tasks + 1) // 2
    raw = p_values(tasks)[np.minimum(minus, total - minus)]
    order = raw.argsort(axis=1, kind="stable")
    stepped = np.take_along_axis(raw, order, axis=1) * np.arange(raw.shape[1], 0, -1)
    adjusted = np.empty_like(raw)
    np.put_along_axis(adjusted, order, np.minimum(1.0, np.maximum.accumulate(stepped, axis=1)), axis=1)
    side = np.sign(total - 2 * minus)
    middle, error = differences.mean(axis=1), differences.std(axis=1, ddof=1) / np.sqrt(tasks)
    wide, narrow = stats.t.isf([ALPHA / 2, ALPHA], tasks - 1)
    verdicts = np.where(adjusted < ALPHA, side, 0).astype(np.float64)
    return Judged(
        verdicts, middle - wide * error, middle + wide * error, middle - narrow * error, middle + narrow * error
    )


def rows_of(scores: FloatArray) -> Any:
    """One simulated table as rows. Shapes: (tasks, seeds, methods)."""
    common = {
        "schema_version": 1,
        "suite": "s",
        "protocol": 1,
        "stage": "final",
        "exploratory": False,
        "status": "done",
    }
    common |= {"metric": "score", "higher_is_better": True, "target_size": 1}
    rows = []
    for (t, s, m), score in np.ndenumerate(scores):
        named = {"key": f"{t}/{s}/{m}", "pair_key": f"{t}/{s}", "task": f"t{t:03}", "seed": s, "label": f"m{m}"}
        rows.append(common | named | {"method": f"m{m}", "score_test": float(score)})
    return table(rows)


def check_against_compare(tables: int, rng: np.random.Generator) -> int:
    """Whether `judge` says what `results.compare` says of rows; the number of comparisons. Raises: AssertionError."""
    checked = 0
    for number in range(tables):
        tasks, seeds = int(rng.choice([6, 9, 14])), int(rng.integers(1, 4))
        shift = float(rng.choice([0.0, 0.7, -2.0]))
        scores, _ = simulate(rng, NOISES[number % 3], 1.0, (1, tasks, seeds, METHODS), shift)
        mine = judge(scores)
        told = [c for c in compare(rows_of(scores[0]), "m0") if c.question == "population" and c.target_size is None]
        for rival, claim in enumerate(told):
            words = {1.0: "better", 0.0: "undecided", -1.0: "worse"}
            assert claim.verdict == words[mine.verdicts[0, rival]], (number, rival)
            bounds = (mine.low, mine.high, mine.low90, mine.high90)
            theirs = (claim.interval_low, claim.interval_high, claim.interval90_low, claim.interval90_high)
            assert np.allclose([bound[0, rival] for bound in bounds], theirs, rtol=0, atol=1e-10), (number, rival)
            checked += 1
    return checked


def share(hits: FloatArray) -> tuple[float, float]:
    """The mean of hits and its Monte-Carlo standard error."""
    mean = float(np.mean(hits))
    return mean, float(np.sqrt(max(mean * (1 - mean), 1 / len(hits)) / len(hits)))


@dataclass(frozen=True)
class Cell:
    """One design under no effect; shares of tables. `error` is the Monte-Carlo standard error of `wrong`.

    `wrong_better`: some rival is called better; `wrong`: better or worse; `pooled`: a t test that takes all seeds of
    all tasks for independent; `population` and `fixed`: the t intervals cover the truth; `wrong_equivalent`: a method
    that differs by just the margin has its 90 % interval inside it.
    """

    noise: str
    ratio: float
    tasks: int
    seeds: int
    tables: int
    wrong_better: float
    wrong: float
    error: float
    wrong_two_methods: float
    pooled: float
    population: float
    fixed: float
    wrong_equivalent: float


def no_effect(rng: np.random.Generator, noise: str, ratio: float, tasks: int, seeds: int, tables: int) -> Cell:
    """Simulate one design."""
    batch = max(1, BATCH // (tasks * seeds * METHODS))
    parts: dict[str, list[FloatArray]] = {}
    for start in range(0, tables, batch):
        scores, effects = simulate(rng, noise, ratio, (min(batch, tables - start), tasks, seeds, METHODS))
        judged = judge(scores)
        first = judge(scores[..., :2])
        pairs = (scores[..., 1] - scores[..., 0]).reshape(len(scores), -1)
        pooled = np.abs(pairs.mean(axis=1)) / (pairs.std(axis=1, ddof=1) / np.sqrt(pairs.shape[1]))
        low, high = fixed_intervals(scores[..., 1] - scores[..., 0])
        truth = (effects[..., 1] - effects[..., 0]).mean(axis=1)
        found = {
            "better": np.any(judged.verdicts > 0, axis=1),
            "wrong": np.any(judged.verdicts != 0, axis=1),
            "two": first.verdicts[:, 0] != 0,
            "pooled": pooled > stats.t.isf(ALPHA / 2, pairs.shape[1] - 1),
            "population": (judged.low[:, 0] <= 0) & (judged.high[:, 0] >= 0),
            "fixed": (low <= truth) & (high >= truth),
            "equivalent": (judged.low90[:, 0] > -2 * MARGIN) & (judged.high90[:, 0] < 0),
        }
        for name, hits in found.items():
            parts.setdefault(name, []).append(hits)
    shares = {name: share(np.concatenate(hits).astype(np.float64)) for name, hits in parts.items()}
    return Cell(
        noise=noise,
        ratio=ratio,
        tasks=tasks,
        seeds=seeds,
        tables=tables,
        wrong_better=shares["better"][0],
        wrong=shares["wrong"][0],
        error=shares["wrong"][1],
        wrong_two_methods=shares["two"][0],
        pooled=shares["pooled"][0],
        population=shares["population"][0],
        fixed=shares["fixed"][0],
        wrong_equivalent=shares["equivalent"][0],
    )


def fixed_intervals(differences: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Satterthwaite's t interval over seeds of each table. Shapes: (tables, tasks, seeds) -> (tables,) each."""
    _, tasks, seeds = differences.shape
    variances = differences.var(axis=2, ddof=1) / seeds
    total = variances.sum(axis=1)
    freedom = total**2 / (variances**2 / (seeds - 1)).sum(axis=1)
    middle = differences.mean(axis=(1, 2))
    half = stats.t.isf(ALPHA / 2, freedom) * np.sqrt(total) / tasks
    checked = mean_of_fixed_tasks(differences[0])
    assert checked is not None
    assert np.allclose(checked.interval(), (middle[0] - half[0], middle[0] + half[0]))
    return middle - half, middle + half


@dataclass(frozen=True)
class BootstrapCell:
    """How often the 95 % interval of the two-level bootstrap covers the truth, under no effect, Gaussian, ratio 1."""

    tasks: int
    seeds: int
    tables: int
    mean_difference: float
    mean_rank: float
    error: float


def bootstrap(rng: np.random.Generator, tasks: int, seeds: int, tables: int, draws: int = 1000) -> BootstrapCell:
    """The interval of a mean difference, and of the mean rank of one of exchangeable methods, as on the leaderboard."""
    scores, _ = simulate(rng, "gaussian", 1.0, (tables, tasks, seeds, METHODS))
    weights, middle = np.full((draws, tasks), 1 / tasks), (METHODS + 1) / 2
    covered = []
    for one in scores:
        means, _ = resampled_means(one, draws, rng)
        gaps = (means[..., 1] - means[..., 0]).mean(axis=1)
        ranks = METHODS - win_matrix(means, weights).sum(axis=-1)[:, 0]
        low, high = np.quantile([gaps, ranks], [ALPHA / 2, 1 - ALPHA / 2], axis=1)
        covered.append((low <= [0.0, middle]) & (high >= [0.0, middle]))
    hits = np.array(covered, np.float64)
    return BootstrapCell(tasks, seeds, tables, *(float(mean) for mean in hits.mean(axis=0)), share(hits[:, 0])[1])


@dataclass(frozen=True)
class PowerCell:
    """How often a true difference is found on the right side, among two methods and among five, and what
    `results.power` says of both. `effect` is the difference in standard deviations over tasks of seed-averaged ones."""

    tasks: int
    effect: float
    tables: int
    two_methods: float
    expected_two: float
    five_methods: float
    expected_five: float
    error: float


def power_curve(rng: np.random.Generator, tasks: int, effect: float, tables: int) -> PowerCell:
    """One point. Only the first rival differs, so that Holm's first step is what it must pass."""
    seeds, variances = 5, power.Variances(0.5, 0.5)
    difference = effect * (variances.deviation(seeds) or 0.0)
    scores, _ = simulate(rng, "gaussian", 1.0, (tables, tasks, seeds, METHODS))
    scores[..., 1] += difference
    found = [share(judge(part).verdicts[:, 0] > 0) for part in (scores[..., :2], scores)]
    expected = [power.power_of(variances, difference, tasks, seeds, rivals) or 0.0 for rivals in (1, METHODS - 1)]
    (two, error), (five, _) = found
    return PowerCell(tasks, effect, tables, two, expected[0], five, expected[1], error)


def worst(cells: list[Cell]) -> dict[str, Any]:
    """What is promised, held against the worst cell of the grid, with its distance in Monte-Carlo errors."""
    promised = [cell for cell in cells if cell.noise != "skewed"]
    gaussian = [cell for cell in promised if cell.noise == "gaussian"]
    heavy = [cell for cell in promised if cell.noise == "heavy-tailed"]
    most = max(promised, key=lambda cell: cell.wrong)
    return {
        "wrong_better": max(cell.wrong_better for cell in promised),
        "wrong": most.wrong,
        "error": most.error,
        "wrong_at": f"{most.noise}, {most.tasks} tasks x {most.seeds} seeds, ratio {most.ratio:g}",
        "population_gaussian": [f([cell.population for cell in gaussian]) for f in (min, max)],
        "population_heavy_tailed": [f([cell.population for cell in heavy]) for f in (min, max)],
        "fixed_gaussian": [f([cell.fixed for cell in gaussian]) for f in (min, max)],
        "fixed_heavy_tailed": [f([cell.fixed for cell in heavy]) for f in (min, max)],
        "wrong_equivalent": max(cell.wrong_equivalent for cell in promised),
        "holds": bool(
            all(cell.wrong <= ALPHA + 3 * cell.error for cell in promised)
            and all(0.93 <= cell.population <= 0.97 for cell in gaussian)
            and all(cell.population >= 0.93 for cell in heavy)
        ),
    }


def _progress(what: str, items: list[Any]) -> Iterator[Any]:
    for number, item in enumerate(items):
        if sys.stderr.isatty():
            print(f"\r{what} {number + 1}/{len(items)} ", end="", file=sys.stderr)
        yield item
    if sys.stderr.isatty():
        print("\r" + " " * 40 + "\r", end="", file=sys.stderr)


def show(document: dict[str, Any]) -> None:
    """The figures as text, at most 80 columns wide."""
    print(f"{document['compared']} comparisons of real tables judged as results.compare judges them.")
    print(f"\nNo effect, {METHODS} methods; % of {len(RATIOS) * document['tables']:,} tables, ratios {RATIOS} together")
    print("                          wrong  wrong    two pooled interval covers  wrong")
    print("noise        tasks seeds better   word  meth.  seeds  other  fixed equiv.")
    for noise, tasks, seeds in product(NOISES, TASKS, SEEDS):
        group = [c for c in document["no_effect"] if (c["noise"], c["tasks"], c["seeds"]) == (noise, tasks, seeds)]
        names = ("wrong_better", "wrong", "wrong_two_methods", "pooled", "population", "fixed", "wrong_equivalent")
        values = [100 * np.mean([c[name] for c in group]) for name in names]
        print(f"{noise:12} {tasks:5} {seeds:5}" + "".join(f"{value:7.1f}" for value in values))
    print("\nTwo-level bootstrap, 95 % intervals, ratio 1, Gaussian: % that cover")
    print("tasks seeds   mean difference   mean rank   (Monte-Carlo error of the first)")
    for c in document["bootstrap"]:
        print(f"{c['tasks']:5} {c['seeds']:5} {100 * c['mean_difference']:17.1f} {100 * c['mean_rank']:11.1f}", end="")
        print(f"   ({100 * c['error']:.1f})")
    print("\nPower, % found on the right side, ratio 1, 5 seeds; in brackets what results.power says")
    print("tasks   effect in sd   two methods       five methods")
    for c in document["power"]:
        pairs = [(c["two_methods"], c["expected_two"]), (c["five_methods"], c["expected_five"])]
        print(f"{c['tasks']:5} {c['effect']:14}", *(f"{100 * a:8.1f} ({100 * b:5.1f})" for a, b in pairs))
    found = document["worst"]
    print("\nWorst cells of the grid, skewed noise apart:")
    most, error, better = (100 * found[name] for name in ("wrong", "error", "wrong_better"))
    print(f"  wrong word in {most:.2f} % ± {error:.2f} ({found['wrong_at']}),")
    print(f"  better in {better:.2f} % at most; wrongly equivalent {100 * found['wrong_equivalent']:.2f} % at most")
    for name in ("population", "fixed"):
        spans = [
            " to ".join(f"{100 * v:.1f}" for v in found[f"{name}_{noise}"]) for noise in ("gaussian", "heavy_tailed")
        ]
        print(f"  {name} interval covers {spans[0]} % under Gaussian, {spans[1]} % under heavy-tailed noise")
    print(f"  what is promised {'holds' if found['holds'] else 'DOES NOT HOLD'}; {document['seconds']:.0f} s")


def main() -> int:
    """Run all simulations; 1 where what is promised does not hold."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--tables", type=int, default=10_000, help="simulated tables of each design (default 10000)")
    parser.add_argument("--bootstraps", type=int, default=300, help="tables of each bootstrap design (default 300)")
    parser.add_argument("--real", type=int, default=60, help="tables judged by results.compare too (default 60)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    options = parser.parse_args()
    started, rng = time.perf_counter(), np.random.default_rng(options.seed)
    compared = check_against_compare(options.real, rng)
    grid = list(product(NOISES, RATIOS, TASKS, SEEDS))
    cells = [no_effect(rng, *cell, options.tables) for cell in _progress("no effect", grid)]
    designs = [(6, 3), (6, 5), (10, 3), (10, 5), (20, 5), (50, 5)]
    boots = [bootstrap(rng, *design, options.bootstraps) for design in _progress("bootstrap", designs)]
    points = list(product((6, 8, 10, 20, 50), (0.25, 0.5, 1.0, 2.0)))
    curve = [power_curve(rng, *point, options.tables) for point in _progress("power", points)]
    document = {
        "tables": options.tables,
        "compared": compared,
        "no_effect": [asdict(cell) for cell in cells],
        "bootstrap": [asdict(cell) for cell in boots],
        "power": [asdict(point) for point in curve],
        "worst": worst(cells),
        "seconds": time.perf_counter() - started,
    }
    if options.json:
        print(json.dumps(document, indent=1))
    else:
        show(document)
    return 0 if document["worst"]["holds"] else 1


if __name__ == "__main__":
    sys.exit(main())
