"""Stored predictions give the scores of the run bit for bit, and other scores by another metric, without training."""

from __future__ import annotations

import json

import pyarrow.compute as pc
import pytest
import torch

from harness import cli, plan
from harness.campaign import Campaign
from harness.curves import commit_curves
from harness.known import load_suite
from harness.ledger import Ledger
from harness.predictions import commit_predictions
from harness.source import Store
from harness.trial import run
from results import table

SUITE = """
name = "three"
tasks = ["friedman1", "digits_new_classes", "fair_affairs"]
methods = ["scratch"]
target_sizes = [25]
[tuning]
configs = 1
[final]
seeds = 2
[budget]
steps = 10
[engine]
name = "plain"
"""

METRICS = """
import torch
print("noise on stdout")

def mean_error(predictions, examples):
    return (predictions - examples["targets"]).abs().mean()

def nothing(predictions, examples):
    return float("nan")

def broken(predictions, examples):
    raise RuntimeError("no such thing")
"""


@pytest.fixture(scope="module")
def campaign(tmp_path_factory):
    """Real trials of the three built-in tasks, without Ray."""
    folder = tmp_path_factory.mktemp("three")
    (folder / "three.toml").write_text(SUITE)
    (folder / "metrics.py").write_text(METRICS)
    made = Campaign.open(folder / "run", load_suite(str(folder / "three.toml"), []))
    store = Store(folder / "cache", torch.device("cpu"))
    rows = [run(trial, store) for trial in plan.final_trials(made.suite, made.select())]
    Ledger(folder / "run").append(commit_predictions(folder / "run", commit_curves(folder / "run", rows)))
    assert {row["status"] for row in rows} == {"done"}
    return folder


@pytest.fixture
def command(campaign, monkeypatch, capsys):
    monkeypatch.chdir(campaign)

    def rescore(out, *options, folder="run"):
        status = cli.main(["rescore", folder, "--out", out, *options])
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return status, captured.out, captured.err

    return rescore


def test_the_same_metric_gives_the_same_scores_bit_for_bit(campaign, command):
    """For all built-in tasks; keys, costs and configurations are those of the run."""
    status, out, error = command("same", "--json")
    document = json.loads(out)
    assert (status, document["rescored"], document["changed"], document["left_out"]) == (0, 6, 0, 0), error
    before, after = (table.read(campaign / name) for name in ("run", "same"))
    for column in ("key", "pair_key", "score_test", "metric", "higher_is_better", "config", "adapt_seconds", "task"):
        assert after[column].equals(before[column]), column
    assert after["score_validation"].null_count == len(after)
    extra = [dict(pairs) for pairs in after["extra"].to_pylist()]
    assert [repr(score) for score in before["score_test"].to_pylist()] == [e["score_test_before"] for e in extra]
    record = json.loads((campaign / "same" / "campaign.json").read_text())
    assert record["origin"] == "rescored"
    assert record["rescored"]["suite"]["name"] == "three"


def test_another_metric_of_a_file(campaign, command):
    """Tasks on which it cannot be computed are left out and named; anchors of the old metric do not stay."""
    status, _, error = command("other", "--metric", "metrics.py:mean_error", "--higher-is-better", "false")
    assert status == 1
    assert "task 'digits_new_classes'" in error
    rows = table.read(campaign / "other")
    assert set(rows["task"].to_pylist()) == {"friedman1", "fair_affairs"}
    assert set(rows["metric"].to_pylist()) == {"mean_error"}
    extra = [dict(pairs) for pairs in rows["extra"].to_pylist()]
    assert not any("anchor_zero" in entries for entries in extra)
    assert all(entries["rescored_by"].startswith("metrics.py ") for entries in extra)
    friedman = rows.filter(pc.field("task") == "friedman1")["score_test"].to_pylist()
    old = table.read(campaign / "run").filter(pc.field("task") == "friedman1")["score_test"].to_pylist()
    assert all(0 < mean < root for mean, root in zip(friedman, old, strict=True))


def test_a_score_that_is_none_is_a_failure(campaign, command):
    assert command("nan", "--metric", "metrics.py:nothing", "--higher-is-better", "true")[0] == 0
    rows = table.read(campaign / "nan")
    assert set(rows["status"].to_pylist()) == {"diverged"}
    assert rows["score_test"].null_count == 6


REFUSED = {
    "broken": (["--metric", "metrics.py:broken", "--higher-is-better", "true"], "no such thing"),
    "no function": (["--metric", "metrics.py:mean_eror", "--higher-is-better", "true"], "did you mean 'mean_error'"),
    "no file": (["--metric", "nowhere.py:f", "--higher-is-better", "true"], "nowhere.py"),
    "no module": (["--metric", "no_such_module:f", "--higher-is-better", "true"], "no_such_module"),
    "no direction": (["--metric", "metrics.py:mean_error"], "--higher-is-better"),
    "no metric": (["--metric", "rmse", "--higher-is-better", "true"], "MODULE:FUNCTION"),
}


@pytest.mark.parametrize(("options", "text"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_scored_is_refused(campaign, command, options, text):
    status, out, error = command("refused", *options)
    assert (status, out) == (2, "")
    assert text in error
    assert not (campaign / "refused").exists()


def test_nothing_is_overwritten(campaign, command):
    assert command("run")[0] == 2
    assert command("three.toml")[0] == 2


def test_rows_without_predictions_are_listed(made, tmp_path, command):
    """A campaign of an older program, or test splits that are too large: named one by one, and nothing is written."""
    status, _, error = command(str(tmp_path / "out"), folder=str(made))
    assert status == 2
    assert "left out 12: no predictions are stored" in error
    assert not (tmp_path / "out").exists()


@pytest.mark.ray
def test_a_run_keeps_the_predictions_of_its_final_trials(finished, tmp_path, pacbench):
    """On workers, in lanes and with prepared networks; scored again they give the run's own scores."""
    process = pacbench("rescore", finished, "--out", tmp_path / "again", "--json")
    assert process.returncode == 0, process.stderr
    document = json.loads(process.stdout)
    assert (document["rescored"], document["changed"], document["left_out"]) == (12, 0, 0)
    status = json.loads(pacbench("status", tmp_path / "again", "--json").stdout)
    assert (status["origin"], status["counts"]) == ("rescored", {"done": 12})
