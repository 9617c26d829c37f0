"""No space left: a clear message, nothing half-written, and once there is space the same command goes on."""

from __future__ import annotations

import errno
import shutil
import subprocess
import time

import pytest

from harness.ledger import Ledger
from results import table
from tests.conftest import COMMAND
from tests.harness.test_ledger import row
from tests.harness.test_run import scores

SIZE = 4 * 2**20


@pytest.fixture
def small_disk(tmp_path):
    """A file system of SIZE bytes; skipped where mounting is not permitted."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "pacbench-test", str(disk)]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"cannot mount a small file system here: {mounted.stderr.strip()}")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def fill_up(disk, left):
    """Take all space but `left` bytes. Another may take of it meanwhile: then the space has ended before the last byte,
    and the disk is as full as it was to be."""
    with (disk / "ballast").open("wb", buffering=0) as ballast:
        try:
            while (missing := shutil.disk_usage(disk).free - left) > 0:
                ballast.write(bytes(missing))
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise


@pytest.mark.parametrize("left", [0, 4096, 16384])
def test_a_commit_that_does_not_fit_leaves_nothing(left, small_disk):
    """Nothing is half-written wherever space ends; rows of before are there; afterwards the commit works."""
    ledger = Ledger(small_disk / "campaign")
    ledger.append([row("before")])
    fill_up(small_disk, left)
    rows = [row(f"key-{number}", reason=f"{number:060d}") for number in range(2000)]
    with pytest.raises(OSError, match="No space left") as refused:
        ledger.append(rows)
    assert refused.value.errno == errno.ENOSPC
    assert len(list((small_disk / "campaign" / "ledger").iterdir())) == 1
    assert table.read(small_disk / "campaign")["key"].to_pylist() == ["before"]
    (small_disk / "ballast").unlink()
    ledger.append(rows)
    assert len(table.read(small_disk / "campaign")) == 2001


@pytest.mark.ray
def test_a_run_on_a_full_disk_ends_with_a_message_and_resumes(small_disk, finished, pacbench, small_suite):
    """The real command, on a disk that another fills while it runs: no hang, no endless restarts, exit status 2; the
    second run completes with the same scores."""
    out = small_disk / "campaign"
    command = [str(COMMAND), "run", str(small_suite), "--out", str(out)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 120
        while not list(out.glob("cache/source-*.pt")) and time.monotonic() < deadline:
            time.sleep(0.01)
        fill_up(small_disk, 0)
        errors = process.communicate(timeout=120)[1]
    assert process.returncode == 2, errors
    assert "Traceback" not in errors
    (message,) = [line for line in errors.splitlines() if line.startswith("pacbench: ")]
    assert str(out) in message
    assert "cannot be written (No space left on device)" in message
    refused = pacbench("run", small_suite, "--out", out)
    assert refused.returncode == 2
    kept = set(table.read(out)["key"].to_pylist())
    assert set(table.read(out)["status"].to_pylist()) <= {"done"}, "a full disk is no trial's failure"
    (small_disk / "ballast").unlink()
    resumed = pacbench("run", small_suite, "--out", out)
    assert resumed.returncode == 0, resumed.stderr
    assert f"{24 - len(kept)} trials run" in resumed.stderr
    assert scores(out) == scores(finished)
