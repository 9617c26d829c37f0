"""Kill a sweep again and again, at random moments, and see whether anything is lost.

A suite is run once undisturbed. Then it is run over and over in new folders; at a seeded random moment of each run one
process is killed with SIGKILL, of each of four kinds in turn:

- driver: the command, or the process under it that drives Ray;
- worker: one that trains, or the desk that hands out packs;
- raylet: Ray's own server on the one machine, or its control store;
- node: the raylet of one of two nodes of a cluster on this machine; another node joins.

Whatever was killed, the same command is given again until it is complete (for all kinds but the killed command itself
it goes on alone). Then the exported table is compared with the undisturbed run's: keys that are missing, keys with more
than one row or more than one `done`, and score columns that are not bitwise equal; and the processes that are left of
the run, known by their session, are counted.

Only what the run itself started is ever killed: the processes of its session.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from harness.engines.allocator import round_alike
from results import table

KINDS = ("driver", "worker", "raylet", "node")
COMMAND = Path(sys.executable).with_name("pacbench")
SCORES = [name for name in table.SCHEMA.names if name.startswith("score_")]
ATTEMPTS = 10
LIMIT_SECONDS = 3600.0
LEAVE_SECONDS = 20.0

CLUSTER = """
import os, sys
from ray.cluster_utils import Cluster
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
for _ in range(2):
    cluster.add_node(num_cpus=1)
print(cluster.address, flush=True)
for line in sys.stdin:
    victim = sorted(cluster.worker_nodes, key=lambda node: node.unique_id)[int(line) % 2]
    victim.kill_raylet(check_alive=False)
    cluster.worker_nodes.discard(victim)
    cluster.add_node(num_cpus=1)
    print("joined", flush=True)
cluster.shutdown()
"""


class Run:
    """One campaign in a folder, with its cluster where the kind asks for one."""

    def __init__(self, suite: str, settings: list[str], folder: Path, kind: str | None) -> None:
        self.out = folder / "out"
        self.environment = {**os.environ, "RAY_AUTH_MODE": "disabled"}
        self.command = [str(COMMAND), "run", suite, "--out", str(self.out)]
        for setting in settings:
            self.command += ["--set", setting]
        self.sessions: list[int] = []
        self.cluster: subprocess.Popen[str] | None = None
        if kind == "node":
            self.cluster = self._start([sys.executable, "-c", CLUSTER], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            assert self.cluster.stdout is not None
            self.command += ["--address", self.cluster.stdout.readline().strip()]
        self.log = (folder / "stderr").open("a")

    def start(self) -> subprocess.Popen[str]:
        """The command, from now on."""
        return self._start(self.command, stdout=subprocess.DEVNULL, stderr=self.log)

    def _start(self, command: list[str], **streams: Any) -> subprocess.Popen[str]:
        streams.setdefault("stderr", subprocess.DEVNULL)
        process = subprocess.Popen(command, text=True, env=self.environment, start_new_session=True, **streams)
        self.sessions.append(process.pid)
        return process

    def processes(self) -> list[tuple[int, int, str]]:
        """Number, parent and name of every process of this run that is alive."""
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if int(fields[3]) in self.sessions and fields[0] not in "ZX":
                found.append((int(entry.name), int(fields[1]), words))
        return found

    def kill(self, kind: str, command: int, rng: random.Random) -> str | None:
        """Kill one process of that kind; its name, or None if there is none now."""
        if kind == "node":
            assert self.cluster is not None
            assert self.cluster.stdin is not None
            assert self.cluster.stdout is not None
            self.cluster.stdin.write(f"{rng.randrange(2)}\n")
            self.cluster.stdin.flush()
            self.cluster.stdout.readline()
            return "a node"
        victims = []
        for process, parent, words in self.processes():
            program = words.split(" ")[0].rpartition("/")[2]
            is_kind = {
                "driver": process == command or (parent == command and "pacbench run" in words),
                "worker": words.startswith(("ray::Desk", "ray::ResourceTrainable", "ray::PackRunner")),
                "raylet": program in ("raylet", "gcs_server"),
            }
            if is_kind[kind]:
                victims.append((process, words))
        if not victims:
            return None
        process, words = rng.choice(sorted(victims))
        os.kill(process, signal.SIGKILL)
        return f"{process} {words[:60]}"

    def end(self) -> int:
        """Stop the cluster; how many processes are left, which are then killed."""
        if self.cluster is not None and self.cluster.stdin is not None:
            self.cluster.stdin.close()
            try:
                self.cluster.wait(timeout=60)
            except subprocess.TimeoutExpired:
                os.killpg(self.cluster.pid, signal.SIGKILL)
        deadline = time.monotonic() + LEAVE_SECONDS
        while (left := self.processes()) and time.monotonic() < deadline:
            time.sleep(0.2)
        for process, _, words in left:
            print(f"left behind: {process} {words}", file=sys.stderr)
            os.kill(process, signal.SIGKILL)
        self.log.close()
        return len(left)


def disturbed(run: Run, kind: str, moment: float, rng: random.Random) -> tuple[bool, int]:
    """Run to completion with one kill after `moment` seconds; whether it took place, and how many commands it took."""
    killed = False
    for attempt in range(1, ATTEMPTS + 1):
        process = run.start()
        started = time.monotonic()
        while process.poll() is None and time.monotonic() - started < LIMIT_SECONDS:
            if not killed and time.monotonic() - started > moment:
                victim = run.kill(kind, process.pid, rng)
                killed = victim is not None
                if killed:
                    print(f"  after {moment:.1f} s killed {victim}", file=sys.stderr)
            time.sleep(0.05)
        if process.poll() in (0, 1):
            return killed, attempt
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    return killed, ATTEMPTS


def exported(out: Path, folder: Path) -> list[dict[str, Any]]:
    """The rows as `pacbench export` gives them."""
    subprocess.run([str(COMMAND), "export", str(out), str(folder / "rows.parquet")], check=True, capture_output=True)
    rows: list[dict[str, Any]] = pq.read_table(folder / "rows.parquet").to_pylist()
    return rows


def exact(row: dict[str, Any]) -> tuple[str, ...]:
    """Outcome and scores, as text that tells every bit."""
    return (row["status"], *(repr(row[name]) for name in SCORES))


def compared(whole: list[dict[str, Any]], rows: list[dict[str, Any]], attempts: list[dict[str, Any]]) -> Counter[str]:
    """How many keys are lost, duplicated (two rows, or two attempts that are done) and different."""
    wanted, found = {row["key"]: exact(row) for row in whole}, {row["key"]: exact(row) for row in rows}
    doubled = {key for key, count in Counter(row["key"] for row in rows).items() if count > 1}
    done = Counter(row["key"] for row in attempts if row["status"] == "done")
    doubled |= {key for key, count in done.items() if count > 1}
    return Counter(
        lost=len(wanted.keys() - found.keys()),
        duplicated=len(doubled) + len(found.keys() - wanted.keys()),
        different=sum(found[key] != wanted[key] for key in wanted.keys() & found.keys()),
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suite", default="quick")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="as `pacbench run` takes it")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    round_alike()
    rng = random.Random(options.seed)
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(prefix="chaos-") as temporary:
        first = Path(temporary) / "undisturbed"
        first.mkdir()
        run = Run(options.suite, options.set, first, None)
        started = time.monotonic()
        if run.start().wait() not in (0, 1):
            print((first / "stderr").read_text(), file=sys.stderr)
            return 2
        seconds = time.monotonic() - started
        counts["left_behind"] += run.end()
        whole = exported(run.out, first)
        print(f"undisturbed: {len(whole)} rows in {seconds:.0f} s", file=sys.stderr)
        tried = 0
        while counts["kills"] < options.kills:
            kind = options.kinds[counts["kills"] % len(options.kinds)]
            folder = Path(temporary) / str(tried)
            tried += 1
            folder.mkdir()
            run = Run(options.suite, options.set, folder, kind)
            killed, commands = disturbed(run, kind, rng.uniform(0.0, 0.95 * seconds), rng)
            left = run.end()
            rows = exported(run.out, folder)
            found = compared(whole, rows, table.read_attempts(run.out).to_pylist())
            found["left_behind"] = left
            counts += found
            counts["kills"] += killed
            took = f"{time.monotonic() - started:.0f} s in all"
            print(
                f"{counts['kills']}/{options.kills} {kind}: {commands} commands, {dict(found)}, {took}", file=sys.stderr
            )
            if any(found.values()):
                print((folder / "stderr").read_text()[-3000:], file=sys.stderr)
    document = {name: counts[name] for name in ("kills", "lost", "duplicated", "different", "left_behind")}
    print(json.dumps(document) if options.json else document)
    return 1 if any(document[name] for name in ("lost", "duplicated", "different", "left_behind")) else 0


if __name__ == "__main__":
    sys.exit(main())
