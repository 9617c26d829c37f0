"""A campaign becomes runs of wandb: complete, each once, and whatever happens to wandb happens to nothing else."""

from __future__ import annotations

import copy
import dataclasses
import fcntl
import json

import pytest

from harness.curves import CURVE, commit_curves
from harness.errors import UserError
from harness.ledger import Ledger
from harness.wandb_export import check
from results import curves, table
from results.leaderboard import leaderboard
from tests.harness.test_bad_input import assert_refused
from tests.harness.wandb_runs import runs
from tests.harness.wandb_server import server

pytestmark = pytest.mark.ray

KEY = "0123456789" * 4


@pytest.fixture
def export(pacbench, campaign, tmp_path):
    """Export the campaign to a project, in an environment that knows nothing of wandb but what is given."""

    def export(project="a project", folder=campaign, **env):
        home = {"HOME": str(tmp_path / "home"), "WANDB_API_KEY": "", "WANDB_MODE": "", "WANDB_BASE_URL": ""}
        return pacbench("export", folder, "--wandb", project, env=home | env)

    (tmp_path / "home").mkdir()
    return export


def files(campaign):
    """The run files and when they were written."""
    return {path: path.stat().st_mtime_ns for path in campaign.glob("export/wandb/*/run-*.wandb")}


def one_more_row(campaign, **changes):
    """Commit another row like the first final one; returns it."""
    row = table.final_rows(table.read(campaign)).slice(0, 1).to_pylist(maps_as_pydicts="strict")[0] | changes
    row[CURVE] = ((50, 2.0), (70, 1.0))
    Ledger(campaign).append(commit_curves(campaign, [row]))
    return row


def test_each_row_is_a_run_with_its_config_curve_and_scores(export, campaign, tmp_path):
    """Without a key the runs are files; what they hold is what the ledger and the curves hold."""
    process = export()
    assert process.returncode == 0, process.stderr
    assert process.stdout == f"25 new runs in {campaign / 'export' / 'wandb'}; 0 rows were there\n"
    assert "no key is set" in process.stderr
    assert list((tmp_path / "home").iterdir()) == []
    found = {run.config.get("key"): run for run in runs(campaign / "export" / "wandb").values()}
    points = curves.read(campaign).to_pylist()
    rows = table.read(campaign).to_pylist(maps_as_pydicts="strict")
    assert len(found) == len(rows) + 1
    for row in rows:
        run = found[row["key"]]
        for name in ("task", "label", "stage", "target_size", "seed", "engine", "attempt", "data_hash", "versions"):
            assert run.config[name] == row[name]
        assert run.config["hyperparameters"] == json.loads(row["config"])
        for name in ("status", "score_validation", "score_test", "trained_parameters", "adapt_seconds", "extra"):
            assert run.summary.get(name) == row[name]
        curve = [(point["step"], point["value"]) for point in points if point["key"] == row["key"]]
        assert [(line["_step"], line["train/loss"]) for line in run.history] == curve != []
        about = run.run
        assert (about.project, about.run_group, about.job_type) == ("a project", "small", row["stage"])
        assert list(about.tags) == [row["task"], row["label"]]
        assert about.display_name.startswith(f"{row['label']} {row['task']} n={row['target_size']} seed={row['seed']}")
        assert run.exit_code == 0


def test_the_leaderboard_is_one_run_that_is_updated(export, campaign):
    """Its table is the board's; an unchanged board is not sent again, a changed one keeps its run."""

    def board():
        folder = campaign / "export" / "wandb"
        (run,) = [run for run in runs(folder).values() if run.run.job_type == "leaderboard"]
        (path,) = folder.glob(f"*-{run.run.run_id}/files/{run.summary['leaderboard/path']}")
        return run, json.loads(path.read_text())

    assert export().returncode == 0
    before, shown = board()
    standings = [dataclasses.asdict(standing) for standing in leaderboard(table.read(campaign)).methods]
    assert [dict(zip(shown["columns"], line, strict=True)) for line in shown["data"]] == standings
    row = one_more_row(campaign, key="f" * 32, seed=2, score_test=1e9, status="failed")
    again = export()
    assert again.stdout.startswith("2 new runs in "), again.stderr
    after, changed = board()
    assert after.run.run_id == before.run.run_id
    assert changed["data"] != shown["data"]
    (added,) = [r for r in runs(campaign / "export" / "wandb").values() if r.config.get("key") == row["key"]]
    assert added.exit_code == 1
    assert [(line["_step"], line["train/loss"]) for line in added.history] == [(50, 2.0), (70, 1.0)]


def test_what_was_exported_is_not_exported_again(export, campaign):
    """Not by a second export, not even one that has lost its record: the ids are the same, and each has one file."""
    assert export().returncode == 0
    first = files(campaign)
    again = export()
    assert again.stdout == f"0 new runs in {campaign / 'export' / 'wandb'}; 24 rows were there\n"
    assert files(campaign) == first
    (record,) = (campaign / "export").glob("*.txt")
    record.write_text(record.read_text()[:-20])  # a crash has cut the last line short
    assert export().stdout.startswith("1 new runs in ")
    record.unlink()
    ids = set(runs(campaign / "export" / "wandb"))
    assert export().stdout.startswith("25 new runs in ")
    assert set(runs(campaign / "export" / "wandb")) == ids
    other = export("another project")
    assert other.stdout.startswith("25 new runs in "), other.stderr
    assert len(runs(campaign / "export" / "wandb")) == 50


def test_online_runs_are_sent_once(export, campaign):
    """As they are written to files; an export that has lost its record adds no run and no point."""
    rows = {row["key"]: row for row in table.read(campaign).to_pylist()}
    with server() as online:
        reached = {"WANDB_API_KEY": KEY, "WANDB_BASE_URL": online.url}
        first = export(**reached)
        assert (first.returncode, first.stderr) == (0, "")
        assert first.stdout == "25 new runs sent to the wandb project a project; 0 rows were there\n"
        before = copy.deepcopy(online.runs)
        assert export(**reached).stdout.startswith("0 new runs ")
        (record,) = (campaign / "export").glob("*.txt")
        record.write_text("".join(record.read_text().splitlines(keepends=True)[:-5]))
        assert export(**reached).stdout.startswith("5 new runs ")
        after = online.runs
    assert [run["jobType"] for run in before.values()].count("leaderboard") == 1
    assert set(after) == set(before)
    for name, run in before.items():
        if run["jobType"] == "leaderboard":
            assert run["summary"]["leaderboard"]["nrows"] == 3
            continue
        config = {key: entry["value"] for key, entry in json.loads(run["config"]).items()}
        row = rows[config["key"]]
        assert (run["groupName"], run["jobType"], run["project"]) == ("small", row["stage"], "a project")
        assert config["hyperparameters"] == json.loads(row["config"])
        assert run["summary"]["score_validation"] == row["score_validation"]
        assert [line["_step"] for line in run["history"]] == [20]
        assert after[name]["history"] == run["history"]
    assert [path.name for path in (campaign / "export").iterdir()] == [record.name]


def test_a_key_that_is_refused_leaves_files(export, campaign):
    with server(accepts=False) as refusing:
        process = export(WANDB_API_KEY=KEY, WANDB_BASE_URL=refusing.url)
    assert process.returncode == 0, process.stderr
    assert "user is not logged in" in process.stderr
    assert KEY not in process.stderr
    assert len(runs(campaign / "export" / "wandb")) == 25


def test_a_key_without_a_network_leaves_files(export, campaign):
    process = export(WANDB_API_KEY=KEY, WANDB_BASE_URL="http://127.0.0.1:9")
    assert process.returncode == 0, process.stderr
    assert "connection refused" in process.stderr
    assert len(process.stderr) < 500
    assert len(runs(campaign / "export" / "wandb")) == 25


def test_a_malformed_key_leaves_files(export, campaign):
    process = export(WANDB_API_KEY="short")
    assert process.returncode == 0, process.stderr
    assert "40" in process.stderr
    assert len(runs(campaign / "export" / "wandb")) == 25


HOSTILE = ("a/b\\c/../d", "x" * 300, "x" * 299 + "y", "a\x1b[31m\x00\n\u202eb", " ", "[/b]%s", "../../../x")


def test_hostile_labels_are_shortened_where_shown_and_kept_in_the_config(export, campaign):
    for place, label in enumerate(HOSTILE):
        one_more_row(campaign, key=f"hostile {place}", label=label, suite=label, config="{not json", seed=place + 2)
    process = export()
    assert process.returncode == 0, process.stderr
    found = {run.config.get("key"): run for run in runs(campaign / "export" / "wandb").values()}
    hostile = [found[f"hostile {place}"] for place in range(len(HOSTILE))]
    for label, run in zip(HOSTILE, hostile, strict=True):
        assert (run.config["label"], run.config["hyperparameters"]) == (label, "{not json")
        for shown in (run.run.display_name, run.run.run_group, *run.run.tags):
            assert 0 < len(shown) <= 128
            assert shown.isprintable()
    assert len({run.run.run_group for run in hostile}) == len(HOSTILE)
    inside = {"ledger", "curves", "predictions", "selection", "cache", "export", "campaign.json"}
    assert {path.name for path in campaign.iterdir()} == inside


@pytest.mark.parametrize("project", ["", "  ", "a/b", "a\\b", "a:b", "50%", "x" * 129, "a\nb", "a\x1bb", "a\x00b", "#"])
def test_a_project_that_wandb_would_refuse(project):
    with pytest.raises(UserError, match=r"^--wandb .*expected a project's name"):
        check(project, 120)


def test_a_refused_project_exports_nothing(export, campaign):
    assert_refused(export("a/b"), "--wandb 'a/b'", "expected a project's name")
    assert not (campaign / "export").exists()


def test_wandb_that_is_switched_off_or_missing(export, campaign, tmp_path):
    assert_refused(export(WANDB_MODE="disabled"), "WANDB_MODE")
    assert_refused(export(WANDB_MODE="elsewhere"), "settings", "'offline'")
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['wandb'] = None\n")
    assert_refused(export(PYTHONPATH=str(tmp_path)), "pip install 'pacbench[wandb]'")
    assert not (campaign / "export").exists()


def test_arguments_of_export(pacbench, campaign, tmp_path):
    assert_refused(pacbench("export", campaign), "FILE or --wandb")
    assert_refused(pacbench("export", campaign, tmp_path / "rows.csv", "--wandb", "p"), "FILE or --wandb")
    assert_refused(pacbench("export", campaign, "--wandb", "p", "--wandb-per-minute", "0"), "positive")
    assert_refused(pacbench("export", tmp_path, "--wandb", "p"), "no campaign here")


def test_two_exports_at_once(export, campaign):
    """The second is told, and changes nothing."""
    assert export().returncode == 0
    (record,) = (campaign / "export").glob("*.txt")
    before = files(campaign)
    with record.open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert_refused(export(), "another export")
    assert files(campaign) == before


def test_run_exports_what_it_has_committed(pacbench, small_suite, campaign, tmp_path):
    quiet = {"HOME": str(tmp_path), "WANDB_MODE": "offline"}
    process = pacbench("run", small_suite, "--out", campaign, "--wandb", "p", env=quiet)
    assert process.returncode == 0, process.stderr
    assert process.stdout == ""
    assert "25 new runs in" in process.stderr
    assert len(runs(campaign / "export" / "wandb")) == 25


def test_an_export_that_fails_does_not_fail_the_run(pacbench, small_suite, campaign, tmp_path):
    (campaign / "export").write_text("in the way")
    process = pacbench("run", small_suite, "--out", campaign, "--wandb", "p", env={"HOME": str(tmp_path)})
    assert process.returncode == 0, process.stderr
    assert "the export failed" in process.stderr
    assert "cannot be written" in process.stderr
    assert "Traceback" not in process.stderr


def test_run_refuses_a_bad_project_before_anything_starts(pacbench, small_suite, tmp_path):
    assert_refused(pacbench("run", small_suite, "--out", tmp_path / "out", "--wandb", "a/b"), "expected a project")
    assert not (tmp_path / "out").exists()
