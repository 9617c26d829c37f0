"""Killed before and after every sync, rename and deletion of commit and compaction: nothing lost, nothing twice."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from harness.compaction import compact
from harness.curves import merge_curves
from harness.ledger import Ledger
from results import curves
from results.committed import LEDGER, MERGED, read_manifest
from results.place import STAGED
from tests.harness.test_compaction import fill, fill_curves, keys

VICTIMS = """
import os, signal, sys
from pathlib import Path
from harness.compaction import compact
from harness.curves import merge_curves
from tests.harness.test_compaction import fill

def work(folder, what, moment, number):
    passed = []
    def deadly(name):
        real = getattr(os, name)
        def call(*arguments, **named):
            here = len(passed) == int(number)
            passed.append(name)
            if here and moment == "before":
                os.kill(os.getpid(), signal.SIGKILL)
            result = real(*arguments, **named)
            if here and moment == "after":
                os.kill(os.getpid(), signal.SIGKILL)
            return result
        setattr(os, name, call)
    for name in ("fsync", "replace", "unlink"):
        deadly(name)
    if what == "commit":
        fill(Path(folder), 6, 1)
    elif what == "merging":
        merge_curves(Path(folder))
    else:
        compact(Path(folder))
    print(*passed, end=" ", flush=True)

for line in sys.stdin:
    child = os.fork()
    if not child:
        work(*line.rstrip("\\n").split("\\t"))
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@pytest.fixture(scope="module")
def run():
    """Work in a process of its own that dies at a point; gives the points passed, if it lived, and its exit status."""
    command = [sys.executable, "-c", VICTIMS]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:

        def work(folder, work, moment, number):
            print(folder, work.split()[-1], moment, number, sep="\t", file=process.stdin, flush=True)
            *passed, status = process.stdout.readline().split()
            return passed, int(status)

        yield work


COMMIT = ["fsync", "replace", "fsync"]
POINTS = {
    "first commit": ["fsync", *COMMIT],  # the ledger's folder is made first
    "commit": COMMIT,
    "first compaction": ["fsync", *COMMIT, *COMMIT, *["unlink"] * 6],  # merged file, manifest, the commits
    "compaction": [*COMMIT, *COMMIT, *["unlink"] * 3, "unlink"],  # and the merged file that is in the new one
}


def prepare(folder, work):
    """The state before, and the keys that are committed in it."""
    if work == "first commit":
        return []
    fill(folder, 0, 3)
    if work == "compaction":
        compact(folder)
    fill(folder, 3, 3)
    return [f"key-{number:04d}" for number in range(6)]


@pytest.mark.parametrize("work", POINTS)
def test_the_points_are_all_there_are(work, run, tmp_path):
    prepare(tmp_path, work)
    assert run(tmp_path, work, "never", -1) == (POINTS[work], 0)


@pytest.mark.parametrize(
    ("work", "number", "moment"),
    [
        (work, number, moment)
        for work in POINTS
        for number in range(len(POINTS[work]))
        for moment in ("before", "after")
    ],
)
def test_killed_at_a_point(work, number, moment, run, tmp_path):
    """Readers see every row once, at once; the next writer cleans up, commits and compacts as if nothing had been."""
    committed = prepare(tmp_path, work)
    assert run(tmp_path, work, moment, number) == ([], -signal.SIGKILL)
    new = ["key-0006"] if work.endswith("commit") else []
    renamed = number + (moment == "after") > POINTS[work].index("replace")
    assert keys(tmp_path) == committed + (new if renamed else [])
    Ledger(tmp_path).mend()
    fill(tmp_path, 7, 1)
    wanted = [*committed, *(new if renamed else []), "key-0007"]
    assert keys(tmp_path) == wanted
    compact(tmp_path)
    assert keys(tmp_path) == wanted
    compact(tmp_path)
    assert keys(tmp_path) == wanted
    assert not [path for path in tmp_path.rglob("*") if path.name.startswith(STAGED)]
    assert not list((tmp_path / LEDGER).glob("*.parquet"))
    assert {path.name for path in (tmp_path / LEDGER / MERGED).iterdir()} == set(read_manifest(tmp_path).rows)


MERGING = {
    "first merging": ["fsync", *COMMIT, *["unlink"] * 6],
    "merging": [*COMMIT, *["unlink"] * 3],
}


def prepare_curves(folder, work):
    """The state before, and how the curves read in it."""
    fill_curves(folder, 0, 3)
    if work == "merging":
        merge_curves(folder)
    fill_curves(folder, 3, 3)
    return curves.read(folder)


@pytest.mark.parametrize("work", MERGING)
def test_the_points_of_merging_are_all_there_are(work, run, tmp_path):
    prepare_curves(tmp_path, work)
    assert run(tmp_path, work, "never", -1) == (MERGING[work], 0)


@pytest.mark.parametrize(
    ("work", "number", "moment"),
    [
        (work, number, moment)
        for work in MERGING
        for number in range(len(MERGING[work]))
        for moment in ("before", "after")
    ],
)
def test_killed_at_a_point_of_merging(work, number, moment, run, tmp_path):
    """Every curve is there once, at once and after the next merging, which leaves no commit and nothing staged."""
    before = prepare_curves(tmp_path, work)
    assert run(tmp_path, work, moment, number) == ([], -signal.SIGKILL)
    assert curves.read(tmp_path).equals(before)
    Ledger(tmp_path).mend()
    assert curves.read(tmp_path).equals(before)
    merge_curves(tmp_path)
    assert curves.read(tmp_path).equals(before)
    assert not list((tmp_path / curves.FOLDER).glob("*.parquet"))
    assert not [path for path in tmp_path.rglob("*") if path.name.startswith(STAGED)]
