"""What is looked at before anything runs: disks, folders, versions. And what status tells of a run from outside."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import time

import pytest
import ray

from harness import heartbeat, provenance
from harness.cluster import Request, cluster
from harness.embedded import Embedded
from harness.errors import UserError
from harness.schedule import check_disk
from harness.supervise import Crashed
from harness.worker import Terms, unfit
from tests.conftest import COMMAND


class Place:
    """As much of a campaign as the check of disks looks at."""

    def __init__(self, folder):
        self.folder = folder


def test_a_disk_without_room_is_refused_with_what_is_needed(tmp_path):
    """More than any disk has: one message that says where, how much is free and how much is needed."""
    check_disk(Place(tmp_path), 1000, tmp_path)
    with pytest.raises(UserError, match=r"MB free, 1000000000000 MB needed for the rows"):
        check_disk(Place(tmp_path), 10**18, tmp_path)


def test_a_worker_compares_versions_and_the_campaign_it_sees(tmp_path):
    """Equal: fit. Another version, no campaign there, another campaign there: not, in words."""
    (tmp_path / "campaign.json").write_bytes(b"{}")
    versions = provenance.versions() | provenance.arithmetic()
    terms = Terms(tmp_path, b"{}", versions, Request(1, 0, 0), alone=False)
    assert unfit(terms) is None
    other = dataclasses.replace(terms, versions=versions | {"torch": "1.0"})
    assert "torch is" in unfit(other)
    assert "where the command runs it is 1.0" in unfit(other)
    assert "sees another campaign" in unfit(dataclasses.replace(terms, record=b"{} "))
    assert "must be shared by all nodes" in unfit(dataclasses.replace(terms, folder=tmp_path / "absent"))


def test_a_damaged_heartbeat_is_none(tmp_path):
    """It is a display: what cannot be read is not there."""
    for content in (b"", b"{}", b"[1]", b'{"slots": 3}', b"\xff", b'{"slots": [{}]}'):
        (tmp_path / heartbeat.NAME).write_bytes(content)
        assert heartbeat.read(tmp_path) is None
    (tmp_path / heartbeat.NAME).unlink()
    assert heartbeat.read(tmp_path) is None


@pytest.mark.ray
@pytest.mark.parametrize("stage", ["tune", "explore"])
def test_status_tells_what_runs_and_that_it_was_killed(stage, small_suite, pacbench, tmp_path):
    """From another shell: stage, counts and what each worker of a suite does; after SIGKILL that nobody runs it."""
    out = tmp_path / "out"
    work = ["run", str(small_suite), "--set", "budget.steps=20000"]
    if stage == "explore":
        work = ["explore", "fine_tuning", "friedman1", "--steps", "20000"]
    command = [str(COMMAND), *work, "--out", str(out)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        deadline = time.monotonic() + 120
        running = None
        while time.monotonic() < deadline and not (running and (running["slots"] or stage == "explore")):
            time.sleep(0.5)
            if (out / "campaign.json").exists():
                running = json.loads(pacbench("status", out, "--json").stdout)["running"]
        assert running["alive"]
        assert running["stage"] == stage
        assert stage == "explore" or "friedman1" in running["slots"][0]["work"]
        assert "running: process" in pacbench("status", out).stdout
    finally:
        process.kill()
        if running:
            os.kill(running["pid"], signal.SIGKILL)  # before it sees that the command is gone
        process.wait()
    while os.path.exists(f"/proc/{running['pid']}") and time.monotonic() < deadline:
        time.sleep(0.1)
    shown = pacbench("status", out).stdout
    assert "killed: process" in shown
    assert "the same command resumes" in " ".join(shown.split())


def test_a_ray_that_does_not_start_is_no_traceback(monkeypatch, tmp_path):
    """Ray raises a bare Exception where its start takes too long: the embedded one is tried again by the command."""

    def init(*arguments, **settings):
        raise Exception("The current node timed out during startup.")

    monkeypatch.setattr(ray, "init", init)
    monkeypatch.setattr(os, "environ", dict(os.environ))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Crashed, match="timed out during startup"), cluster(Embedded(tmp_path), None):
        raise AssertionError("there is no cluster")
    with pytest.raises(UserError, match=r"127\.0\.0\.1:1.*timed out during startup"), cluster(None, "127.0.0.1:1"):
        raise AssertionError("there is no cluster")
