"""benchmarks/stability.py: seeds that are crossed, and nudged weights, in the harness's own trials."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import sys
from pathlib import Path

import pytest
import torch

from harness.source import Store
from harness.trial import run
from methods import METHODS
from tasks import TASKS
from tests.harness.test_isolation import make_trial

SUITE = """
name = "stable"
tasks = ["friedman1"]
methods = ["fine_tuning", "pac", "scratch"]
target_sizes = [10]
[budget]
steps = 15
"""


@pytest.fixture(scope="module")
def stability():
    path = Path(__file__).parents[2] / "benchmarks" / "stability.py"
    spec = importlib.util.spec_from_file_location("stability", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["stability"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["stability"]


@pytest.fixture
def short_source(monkeypatch):
    """Source models of friedman1 that take a moment."""
    recipe = dataclasses.replace(TASKS["friedman1"].recipe, source_steps=20)
    monkeypatch.setattr(TASKS["friedman1"], "recipe", recipe)


@pytest.fixture
def suite(tmp_path):
    path = tmp_path / "stable.toml"
    path.write_text(SUITE)
    return str(path)


def test_each_key_is_that_of_its_seed(stability):
    trials = [make_trial(TASKS["friedman1"](), METHODS["pac"](), seed=seed) for seed in range(3)]
    mixed = stability.crossed(trials[0], 0, 1, 2)
    assert (mixed.source_key, mixed.prepare_key) == (trials[0].source_key, trials[0].prepare_key)
    assert (mixed.draw_key, mixed.pair_key) == (trials[1].draw_key, trials[2].pair_key)
    assert mixed.key == mixed.drawn_by.key == trials[2].key


@pytest.mark.parametrize("method", ["pac", "lora", "scratch"])
def test_equal_seeds_are_the_harness_own_trial(stability, short_source, tmp_path, method):
    """Every score bit for bit, and so where one weight is moved by nothing; a moved one changes the score."""
    trial = make_trial(TASKS["friedman1"](), METHODS[method](), seed=3, steps=15)
    store = Store(tmp_path, torch.device("cpu"))
    same = stability.crossed(trial, 3, 3, 3)
    rows = [run(one, store) for one in (trial, same, stability.nudged(same, 0.0), stability.nudged(same, 1e-3))]
    assert [row["status"] for row in rows] == ["done"] * 4
    scores = [
        [repr(row.get(name)) for name in ("score_validation", "score_test", "score_source_after")] for row in rows
    ]
    assert scores[0] == scores[1] == scores[2]
    assert scores[0] != scores[3]
    assert len({row["key"] for row in rows}) == 1


@pytest.mark.parametrize("method", ["fine_tuning", "pac", "l2_sp"])
def test_a_nudge_moves_one_weight_a_little(stability, method):
    task = TASKS["friedman1"]()
    pairs = []
    for amount in (0.0, 1e-6):
        trial = stability.nudged(make_trial(task, METHODS[method]()), amount)
        with torch.random.fork_rng():
            torch.manual_seed(0)
            network = task.network()
        network = trial.method.prepare(network, None, None) if method != "pac" else with_masks(network)
        problem = stability_problem(task, network)
        objective = trial.method.adapt(network, problem, None)
        pairs.append(torch.cat([parameter.detach().flatten().double() for parameter in objective.parameters()]))
    moved = (pairs[1] - pairs[0]).nonzero()[:, 0]
    assert len(moved) == 1
    assert 0 < float((pairs[1] - pairs[0]).abs().sum()) < 1e-5


def with_masks(network):
    """As PAC's prepare leaves a network of which nothing is allocated: the mask beside each kernel."""
    from harness.objective import kernels
    from methods.pac import essential
    from methods.pac_objectives import MASK

    masks = essential({name: weight.detach().abs() for name, _, _, weight in kernels(network)}, 0.8, "global")
    for name, module, leaf, _ in list(kernels(network)):
        module.register_buffer(leaf + MASK, masks[name])
    return network


def stability_problem(task, network):
    """The target as a method sees it."""
    from harness.data import split
    from harness.source import datasets, problem

    return problem(task, network, split(datasets(task).target_pool, 10, "k")[0], new_head=False, steps=15)


def test_same_command_same_table(stability, short_source, suite, capsys):
    """Twice the same document; what does not depend on the source model has no component of it; at most 80 columns."""
    texts = []
    for _ in range(2):
        assert stability.main([suite, "--blocks", "2", "--resamples", "5", "--json"]) == 0
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1]
    found = {(line["label"], line["baseline"]): line for line in json.loads(texts[0])["lines"]}
    assert set(found) == {
        *((label, None) for label in ("fine_tuning", "pac", "scratch")),
        *((label, "fine_tuning") for label in ("pac", "scratch")),
    }
    scratch, tuned = found["scratch", None], found["fine_tuning", None]
    assert all(part["value"] == 0 for axes, part in scratch["components"].items() if "source" in axes)
    assert tuned["components"]["source"]["value"] != 0
    for line in found.values():
        assert line["blocks"] == 2
        assert sum(part["value"] for part in line["shares"].values()) == pytest.approx(1)
        assert line["test_deviation"] > 0
    assert stability.main([suite, "--blocks", "2", "--resamples", "5", "--set", 'methods=["pac", "scratch"]']) == 0
    printed = capsys.readouterr().out
    assert "- pac" in printed
    assert max(map(len, printed.splitlines())) <= 80


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--blocks", "1"], "--blocks 1: expected"),
        (["--resamples", "0"], "--resamples 0: expected"),
        (["--nudge", "nan"], "--nudge nan: expected"),
        (["--baseline", "pca"], "did you mean 'pac'?"),
        (["--set", "target_sizes=[3]"], "target_sizes"),
        (["--set", "tasks=['friedman9']"], "did you mean"),
    ],
)
def test_bad_input_is_one_message(stability, suite, capsys, given, said):
    assert stability.main([suite, *given]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
