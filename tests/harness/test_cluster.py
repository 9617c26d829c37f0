"""Several nodes on one machine: one is killed in mid-sweep, another joins; versions and folders are compared first."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from results import table
from tests.conftest import COMMAND
from tests.harness.test_survive import exact

pytestmark = pytest.mark.ray

HOME = Path(__file__).parents[2]
DISABLED = {"RAY_AUTH_MODE": "disabled"}

NODES = '''
"""Keep a cluster for the tests: a head without CPUs, and nodes that come and go by what stdin says."""
import os, sys
os.environ["RAY_AUTH_MODE"] = "disabled"
os.environ.update(%r)
from ray.cluster_utils import Cluster

cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
print(cluster.address, flush=True)
for line in sys.stdin:
    if line.strip() == "kill":
        victim = nodes.pop()
        victim.kill_raylet(check_alive=False)
    if line.strip() == "add":
        nodes.append(cluster.add_node(num_cpus=1))
    if line.startswith("add other "):
        nodes.append(cluster.add_node(num_cpus=1, env_vars={"PYTHONPATH": line.split()[2]}))
    if line.strip() == "remove":
        cluster.remove_node(nodes.pop())
    print(line.strip(), flush=True)
cluster.shutdown()
'''


class Nodes:
    """The cluster's process."""

    def __init__(self, environment=None):
        self.process = subprocess.Popen(
            [sys.executable, "-c", NODES % (environment or {})],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        self.address = self.process.stdout.readline().strip()

    def say(self, word):
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline().strip() == word

    def end(self):
        self.process.stdin.close()
        try:
            self.process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.process.stdout.close()


def other_code(folder):
    """A copy of the program that differs from ours by a comment."""
    for package in ("harness", "methods", "results", "suites", "tasks"):
        shutil.copytree(HOME / package, folder / package)
    with (folder / "harness" / "seeds.py").open("a") as file:
        file.write("# edited\n")
    return folder


def test_nodes_are_compared_and_one_is_killed_in_mid_sweep(finished, pacbench, small_suite, tmp_path):
    """A node with other code is refused before anything runs. Without it, one node is killed and another joins: the
    sweep ends complete, with the scores of an undisturbed run on one machine."""
    from harness.engines.allocator import round_alike

    round_alike()
    nodes = Nodes({"MKL_CBWR": os.environ.get("MKL_CBWR", "")})
    try:
        out = tmp_path / "out"
        nodes.say(f"add other {other_code(tmp_path / 'copy')}")
        refused = pacbench("run", small_suite, "--out", out, "--address", nodes.address, env=DISABLED)
        assert refused.returncode == 2, refused.stderr
        assert re.search(r": code is [0-9a-f]{12}, where the command runs it is [0-9a-f]{12}", refused.stderr)
        assert not table.ledger_files(out)
        nodes.say("remove")
        command = [str(COMMAND), "run", str(small_suite), "--out", str(out), "--address", nodes.address]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ, **DISABLED})
        deadline = time.monotonic() + 120
        while not table.ledger_files(out) and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        nodes.say("kill")
        nodes.say("add")
        _, stderr = process.communicate(timeout=200)
    finally:
        nodes.end()
    assert process.returncode == 0, stderr
    assert exact(out) == exact(finished)
    assert len({row["key"] for row in table.read_attempts(out).to_pylist()}) == 24
