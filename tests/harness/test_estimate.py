"""What `plan` says about time comes with a range, and agrees with what the rows of a real run say."""

from __future__ import annotations

import json
from datetime import datetime

import pytest

from results import table

pytestmark = pytest.mark.ray


def wall(folder):
    """Seconds from the campaign's creation to its last row."""
    created = datetime.fromisoformat(json.loads((folder / "campaign.json").read_text())["created_at"])
    return (max(table.read(folder)["finished_at"].to_pylist()) - created).total_seconds()


def test_rows_of_the_same_suite_give_its_own_time_and_more_seeds_take_longer(finished, pacbench, small_suite):
    """The finished run's own time lies in the range; twice the final seeds take longer, not twice as long."""
    same = json.loads(pacbench("plan", small_suite, "--json", "--from", finished).stdout)
    low, high = same["estimated_seconds_range"]
    assert low < wall(finished) < high
    assert low < same["estimated_seconds"] < high
    more = ("--set", "final.seeds=4", "--set", "tuning.seeds=2")
    longer = json.loads(pacbench("plan", small_suite, "--json", "--from", finished, *more).stdout)
    assert same["estimated_seconds"] < longer["estimated_seconds"] < 2.2 * same["estimated_seconds"]
    assert longer["trials"] == 2 * same["trials"]


def test_without_rows_of_the_kind_it_calibrates_and_says_so(finished, pacbench, small_suite):
    """Another task: a calibrated estimate with a wider range."""
    other = ("--set", 'tasks=["fair_affairs"]')
    process = pacbench("plan", small_suite, "--json", "--from", finished, *other)
    assert "no rows of fair_affairs" in process.stderr
    plan = json.loads(process.stdout)
    low, high = plan["estimated_seconds_range"]
    assert high / low == pytest.approx(9.0, rel=0.1)
    assert "steps of each task's network" in plan["estimated_from"]


def test_from_a_folder_that_is_no_campaign(pacbench, small_suite, tmp_path):
    """One message, exit status 2."""
    process = pacbench("plan", small_suite, "--from", tmp_path)
    assert (process.returncode, "no campaign here" in process.stderr) == (2, True)
