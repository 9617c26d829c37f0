"""One driver at a time: the others are told who; a dead one's lease ends."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest

from harness import lease as leases
from harness.errors import UserError
from harness.lease import NAME, lease, myself, read

HOLD = """
import sys, time
from pathlib import Path
from harness.errors import UserError
from harness.lease import lease
print("ready", flush=True)
sys.stdin.readline()
try:
    with lease(Path(sys.argv[1])):
        print("held", flush=True)
        sys.stdin.readline()
except UserError as error:
    print(error, flush=True)
"""


def driver(folder):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "ready\n"
    return process


def answer(process):
    process.stdin.write("\n")
    process.stdin.flush()
    return process.stdout.readline()


def write(folder, holder):
    (folder / NAME).write_text(json.dumps(dataclasses.asdict(holder)))


def ago(seconds):
    return (datetime.now(UTC) - timedelta(seconds=seconds)).isoformat()


def test_a_second_driver_is_told_who_holds_the_campaign(made, pacbench, small_suite, tmp_path):
    """The real command: exit status 2, one message with user, host, process and time; reading needs no lease. Killed,
    the holder is no obstacle at all."""
    folder = tmp_path / "campaign"
    shutil.copytree(made, folder)
    with driver(folder) as holder:
        assert answer(holder) == "held\n"
        refused = pacbench("run", small_suite, "--out", folder)
        assert refused.returncode == 2
        assert refused.stderr.count("\n") == 1
        me = myself()
        for text in (me.user, me.host, f"process {holder.pid}", f"since {me.since[:11].replace('T', ' ')}"):
            assert text in refused.stderr
        assert pacbench("status", folder).returncode == 0
        holder.kill()
        holder.wait()
    assert (folder / NAME).exists(), "the dead driver could not take it away"
    started = time.monotonic()
    with lease(folder):
        assert time.monotonic() - started < 1
    assert not (folder / NAME).exists()


def test_of_eight_that_start_at_once_one_wins(tmp_path):
    drivers = [driver(tmp_path) for _ in range(8)]
    for process in drivers:
        process.stdin.write("\n")
    for process in drivers:
        process.stdin.flush()
    answers = [process.stdout.readline() for process in drivers]
    assert sorted(line == "held\n" for line in answers) == [False] * 7 + [True]
    assert all("another driver runs this campaign" in line for line in answers if line != "held\n")
    for process in drivers:
        process.communicate("\n", timeout=30)


def test_a_process_number_used_again_is_another_process(tmp_path):
    """The lease names a process that is alive, but started at another time: its number went to somebody else."""
    write(tmp_path, dataclasses.replace(myself(), started="1"))
    with lease(tmp_path) as held:
        assert read(tmp_path).id == held.holder.id


def test_a_driver_elsewhere_is_believed_until_its_lease_expires(tmp_path, monkeypatch):
    monkeypatch.setattr(leases, "RENEW", 0.05)
    elsewhere = dataclasses.replace(myself(), host="far", machine="far")
    write(tmp_path, dataclasses.replace(elsewhere, renewed=ago(leases.LIFE - 5)))
    with pytest.raises(UserError, match=f"far, process {os.getpid()}"), lease(tmp_path):
        pass
    write(tmp_path, dataclasses.replace(elsewhere, renewed=ago(leases.LIFE + 5)))
    with lease(tmp_path) as held:
        assert read(tmp_path).id == held.holder.id


def test_a_clock_that_is_behind_does_not_cost_a_driver_its_lease(tmp_path, monkeypatch):
    """A driver elsewhere whose times look old, but which renews while we watch, keeps its lease."""
    monkeypatch.setattr(leases, "RENEW", 0.3)
    elsewhere = dataclasses.replace(myself(), host="far", machine="far", renewed=ago(3600))
    write(tmp_path, elsewhere)
    renewal = threading.Timer(0.2, write, (tmp_path, dataclasses.replace(elsewhere, renewed=ago(3599))))
    renewal.start()
    with pytest.raises(UserError, match="far"), lease(tmp_path):
        pass
    renewal.join()
    assert read(tmp_path).host == "far"


def test_the_holder_renews(tmp_path, monkeypatch):
    monkeypatch.setattr(leases, "RENEW", 0.05)
    with lease(tmp_path):
        first = read(tmp_path)
        time.sleep(0.5)
        assert read(tmp_path).renewed > first.renewed
        assert read(tmp_path).since == first.since


def test_a_driver_that_lost_its_lease_stops(tmp_path, monkeypatch):
    """Silent too long, for instance on a machine that slept, it finds another in its place and gives way."""
    monkeypatch.setattr(leases, "RENEW", 0.05)
    other = dataclasses.replace(myself(), host="far", machine="far")
    before = signal.default_int_handler  # a shell may have started us with interrupts ignored
    ours = signal.signal(signal.SIGINT, before)
    holding = lease(tmp_path)
    held = holding.__enter__()
    assert held.held()

    def take_over():
        for _ in range(100):  # the first may fall between the holder's look and its renewal
            write(tmp_path, other)
            time.sleep(0.2)

    with pytest.raises(KeyboardInterrupt) as interrupted:
        take_over()
    with pytest.raises(UserError, match="took over"):
        holding.__exit__(KeyboardInterrupt, interrupted.value, None)
    assert signal.signal(signal.SIGINT, ours) is before
    assert not held.held()
    assert read(tmp_path).id == other.id, "what is another's stays"


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b'{"id": 1}', b"[" * 100_000, b"\xff"])
def test_a_damaged_lease_is_nobodys(content, tmp_path):
    (tmp_path / NAME).write_bytes(content)
    with lease(tmp_path) as held:
        assert read(tmp_path).id == held.holder.id


def test_a_folder_that_cannot_be_made_is_one_message(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot be written"), lease(tmp_path / "file" / "out"):
        pass
