"""A trial's ranks, each on resources of its own that are reserved together: started, waited for, and ended together."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import ray
from ray import cloudpickle
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy
from torch.distributed import TCPStore  # type: ignore[attr-defined]

from harness import provenance
from harness import trial as trials
from harness.cluster import LEADER_CPUS, Request
from harness.plan import Pack
from harness.ranks import Order, main
from harness.suite import EngineChoice
from results.place import Place

Row = dict[str, Any]

GRACE_SECONDS = 15.0
"""Ranks end at the same moment. One that does not within so long after the first of them is taken to hang."""

LEFT_ALONE = ("(distributed_c10d.py:", "Timed out waiting", "Connection closed by peer", "Connection reset", "NCCL")
"""What a rank's error says whose trouble is that another one is not there."""


class RankLost(Exception):  # noqa: N818 - what happened to a process, not what it did wrong
    """A rank's process ended without a word."""


class Seat:
    """Where one rank runs: an actor that holds the resources, and starts a fresh process for each trial.

    On a CPU processes are forked from one that has imported everything and done nothing; beside CUDA they start anew.
    """

    def __init__(self, rank: int, asked: Request) -> None:
        self.rank = rank
        self.child: BaseProcess | None = None
        self.wanted = True
        self.met: TCPStore | None = None
        self.context: Any = multiprocessing.get_context("spawn" if asked.gpus else "forkserver")
        if not asked.gpus:
            os.environ["DS_ACCELERATOR"] = "cpu"
            self.context.set_forkserver_preload(["harness.ranks", "deepspeed", "transformers", "torch._dynamo"])

    def meet(self) -> tuple[str, int]:
        """A new place where the ranks of one trial find each other."""
        self.wanted = True
        host: str = ray.util.get_node_ip_address()  # type: ignore[no-untyped-call]
        self.met = TCPStore(host, 0, is_master=True, wait_for_workers=False)
        return host, self.met.port

    def run(self, order: Order) -> list[Row]:
        """The rows that this rank's process leaves. Raises: RankLost."""
        receiving, sending = self.context.Pipe(duplex=False)
        content = cloudpickle.dumps(order)  # type: ignore[no-untyped-call]
        self.child = child = self.context.Process(target=main, args=(sending, self.rank, content))
        child.start()
        if not self.wanted:  # another rank was lost before this one began
            child.kill()
        sending.close()
        try:
            rows: list[Row] = pickle.loads(receiving.recv_bytes())
        except EOFError:
            child.join()
            where = f"rank {self.rank} of {order.engine.ranks} on {provenance.host()}, process {child.pid}"
            raise RankLost(f"{where}, {_ending(child.exitcode)}") from None
        return rows

    def end(self) -> None:
        """Kill the process, if one runs or is about to."""
        self.wanted = False
        if self.child is not None:
            self.child.kill()


def _ending(code: int | None) -> str:
    return f"was ended by signal {-code}" if code is not None and code < 0 else f"ended by itself with status {code}"


class Gang:
    """The seats of one slot. To be made in the slot's own actor, whose placement group has a bundle for each rank."""

    def __init__(
        self, folder: Place, engine: EngineChoice, asked: Request, alone: bool, models: Path | None = None
    ) -> None:
        self.folder, self.engine, self.asked, self.alone, self.models = folder, engine, asked, alone, models
        group: Any = ray.util.get_current_placement_group()
        options = {"num_cpus": asked.cpus - LEADER_CPUS / engine.ranks, "num_gpus": asked.gpus, "max_concurrency": 3}
        options |= {"memory": asked.memory} if asked.memory else {}
        self.seats: list[Any] = [
            ray.remote(Seat)
            .options(scheduling_strategy=PlacementGroupSchedulingStrategy(group, rank + 1), **options)
            .remote(rank, asked)
            for rank in range(engine.ranks)
        ]

    def run(self, pack: Pack) -> list[Row]:
        """The rows of a pack's trials; none of a source pack. Raises: RankLost."""
        host, port = ray.get(self.seats[0].meet.remote())
        order = Order(pack, self.folder, self.engine, self.asked, self.alone, (host, port), self.models)
        running = {seat.run.remote(order): rank for rank, seat in enumerate(self.seats)}
        answers: dict[int, list[Row]] = {}
        try:
            while running:
                ready, _ = ray.wait(list(running), timeout=GRACE_SECONDS if self._late(answers, running) else None)
                if not ready:
                    break
                answers |= {running.pop(done): ray.get(done) for done in ready}
        finally:
            with contextlib.suppress(ray.exceptions.RayError):  # a seat that is gone has ended its process
                ray.get([seat.end.remote() for seat in self.seats])
        if pack.kind == "source":
            return []
        silent = sorted(running.values())
        return [
            self._agreed(trial, {r: rows[n] for r, rows in answers.items()}, silent)
            for n, trial in enumerate(pack.trials)
        ]

    def _late(self, answers: dict[int, list[Row]], running: dict[Any, int]) -> bool:
        """Whether those that still run should have ended; the first rank alone may be writing what the others made."""
        done = all(row["status"] == "done" for rows in answers.values() for row in rows)
        return bool(answers) and not (done and set(running.values()) == {0})

    def _agreed(self, trial: Any, rows: dict[int, Row], silent: list[int]) -> Row:
        """One row of what the ranks say: the first rank's where all are done, else that of the rank to blame."""
        first = rows[min(rows)]
        failed = {rank: row for rank, row in sorted(rows.items()) if row["status"] not in ("done", "declined")}
        guilty = {r: row for r, row in failed.items() if not any(words in str(row["reason"]) for words in LEFT_ALONE)}
        if guilty:
            rank, row = next(iter(guilty.items()))
            return {**row, "reason": f"rank {rank} of {self.engine.ranks}: {row['reason']}"}
        if silent:
            names = ", ".join(map(str, silent))
            reason = (
                f"rank {names} of {self.engine.ranks} hung: it let the others wait for {self.engine.silent_seconds:g} s"
            )
            return trials.lost(trial, "timeout", reason)
        if failed:
            return next(iter(failed.values()))
        spent = [row["energy_joules"] for row in rows.values()]
        first["energy_joules"] = None if None in spent else sum(spent)
        peaks = [row["peak_memory_bytes"] for _, row in sorted(rows.items())]
        if None not in peaks:
            first["peak_memory_bytes"] = max(peaks)
            first["extra"] = first["extra"] | {"peak_memory_bytes_by_rank": ",".join(map(str, peaks))}
        return first
