"""The driver's watch over a run: progress, what is stuck, and what becomes of a pack whose worker was lost."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from typing import Any

import ray
from ray import cloudpickle, tune

from harness import note
from harness.campaign import Campaign
from harness.cluster import Request, is_running, nodes, on_node, services
from harness.desk import Held, Worker
from harness.errors import UserError
from harness.gang import RankLost
from harness.heartbeat import Heartbeat, Slot
from harness.plan import Trial
from harness.progress import Progress, duration
from harness.recovery import Decision, Job, Loss, Recovery, describe
from harness.supervise import Child
from harness.trial import lost
from harness.worker import Renewed, oom_kills
from results.place import names

LOOK_SECONDS = 1.0
ANSWER_SECONDS = 30.0

SILENT_SECONDS = 120.0
"""After so long without a finished pack the watch says what runs; next after twice as long, and so on."""

NO_NODE_SECONDS = 600.0
"""So long a run waits for a node if none is left that can hold a pack."""

BROKEN_STARTS = 6
"""Workers in a row that may die before they take a pack."""

TIMES, GRACE_SECONDS = 3, 60.0
"""A pack may take its trials' limits three times: source models, prepared networks, the trials. The worker's own
watchdog knows better; this is for one that is frozen with it."""


class Watch(tune.Callback):
    """Called by Tune's loop, in the driver's main thread."""

    def __init__(
        self,
        campaign: Campaign,
        asked: Request,
        desk: Any,
        more: Callable[[set[str]], list[Job]],
        progress: Progress,
        beat: Heartbeat,
        child: Child,
    ) -> None:
        self.campaign, self.asked, self.desk, self.more = campaign, asked, desk, more
        self.progress, self.beat, self.child = progress, beat, child
        self.here = ray.get_runtime_context().get_node_id()
        self.services = services()
        self.recovery = Recovery()
        self.jobs: dict[int, Job] = {}
        self.exhausted: set[str] = set()
        self.overdue: set[int] = set()
        self.unwritten: str | None = None
        self.broken_starts = 0
        self.looked = self.finished = self.had_node = time.monotonic()
        self.silent_seconds = SILENT_SECONDS

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune keeps a copy of its callbacks for a restart that is never asked of it."""
        return {}

    def exhausted_trials(self) -> list[Trial]:
        """The trials that ran out of memory and may try with more."""
        given = {trial.key: trial for job in self.jobs.values() for trial in job.pack.trials}
        return [trial for key, trial in given.items() if key in self.exhausted]

    def put(self, again: list[tuple[Job, float]], instead_of: int | None = None) -> None:
        """Give jobs to the desk, each with the seconds to wait before; more, or none, once it has nothing open.

        Raises: what pickling a method raises.
        """
        numbered = []
        for job, wait in again:
            number = len(self.jobs)
            self.jobs[number] = job
            numbered.append((number, [ray.put(job)], wait))
        taken = self.desk.put.remote(numbered, instead_of)
        if not numbered:
            self._go_on(self._ask(taken))

    def _go_on(self, still_open: int) -> None:
        """Where all jobs are done: the next ones, on the same workers, or the end."""
        if still_open:
            return
        if self.unwritten is None and (jobs := self.more(self.exhausted)):
            self.put([(job, 0.0) for job in jobs])
        else:
            self._ask(self.desk.close.remote())

    def on_trial_result(self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **_: Any) -> None:
        self.unwritten = result.get("unwritten", self.unwritten)
        if self.unwritten is not None:
            self._ask(self.desk.close.remote())
        if "statuses" in result:
            self.exhausted |= set(result.get("exhausted", ()))
            if result["statuses"] or "exhausted" not in result:
                self.progress.add(result["statuses"])
            self._moved()
            self._go_on(self._ask(self.desk.done.remote(trial.config["slot"])))

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **_: Any) -> None:
        """A slot's worker is lost; Tune starts another one in its place."""
        error = _error(trial)
        held: Held | None = self._ask(self.desk.drop.remote(trial.config["slot"]))
        if held is None:
            if not (isinstance(error, ray.exceptions.RayTaskError) and isinstance(error.cause, Renewed)):
                self._could_not_start(error)
            return
        self.broken_starts = 0
        job = self.jobs[held.number]
        loss = self._examine(held, error)
        missing = self._missing(job)
        decision = self.recovery.decide(job, loss, missing)
        where = f"on {held.worker.host}, process {held.worker.pid}"
        self.progress.note(f"lost ({loss.cause}) {where}: {describe(job.pack.trials)}")
        self.progress.note(f"  {decision.words}")
        self._settle(job, missing, decision)
        self.put(decision.again, instead_of=held.number)

    def on_step_end(self, iteration: int, trials: list[Any], **_: Any) -> None:
        """Look around, now and then."""
        now = time.monotonic()
        if now - self.looked < LOOK_SECONDS:
            return
        self.looked = now
        if not all(map(is_running, self.services)):
            self.child.crash()
        held: dict[int, Held] = self._ask(self.desk.look.remote())
        for one in held.values():
            self._end_if_overdue(one)
        if now - self.finished > self.silent_seconds:
            self._say_what_runs(held, now)
        if self.beat.due():
            self.beat.write(self.progress.state(), [self._slot(slot, one) for slot, one in sorted(held.items())])
            self._need_a_node(now)

    def _ask(self, reference: Any) -> Any:
        """The desk's answer. Without a desk this driver is at its end; another one resumes."""
        try:
            return ray.get(reference, timeout=ANSWER_SECONDS)
        except (ray.exceptions.RayActorError, ray.exceptions.GetTimeoutError):
            self.child.crash()

    def _moved(self) -> None:
        self.finished = time.monotonic()
        self.silent_seconds = SILENT_SECONDS
        self.broken_starts = 0
        self.child.alive()

    def _examine(self, held: Held, error: Exception | None) -> Loss:
        """Why a worker was lost, from what it left on its node and from what Ray says."""
        try:
            left, killed = self._on(held.worker, _left_behind, held.worker.note)
        except ray.exceptions.RayError:
            return Loss("node", f"node {held.worker.host} was lost")
        if isinstance(error, ray.exceptions.RayTaskError) and isinstance(error.cause, RankLost):
            return Loss("died", str(error.cause), left.trial)
        text = str(error)
        if isinstance(error, ray.exceptions.OutOfMemoryError) or "low on memory" in text:
            return Loss("memory", "Ray ended it, its node ran out of memory", left.trial)
        if held.number in self.overdue:
            return Loss("timeout", "its process did nothing any more", left.trial)
        if left.killed:
            return Loss("timeout", f"it was ended in {left.place or 'a place unknown'}", left.trial)
        if killed > held.worker.oom_kills:
            return Loss("memory", "the system ended it, its node ran out of memory", left.trial)
        if left.place:
            return Loss("died", f"it crashed in {left.place}", left.trial)
        if isinstance(error, ray.exceptions.RayActorError):
            return Loss("died", "its process ended by itself or was killed", left.trial)
        return Loss("died", text.strip().splitlines()[-1][:300] if text.strip() else "no reason known", left.trial)

    def _missing(self, job: Job) -> list[Any]:
        """The trials of a job that have no row, or no source model, yet."""
        if job.pack.kind == "source":
            cached = set(names(self.campaign.cache))
            return [trial for trial in job.pack.trials if f"source-{trial.source_key}.pt" not in cached]
        return self.campaign.missing(job.pack.trials)

    def _settle(self, job: Job, missing: list[Any], decision: Decision) -> None:
        """Commit the rows of trials that are at their end, and count what the lost worker had done."""
        if job.pack.kind == "source":  # the trials that need the source model meet what it met
            self.progress.more(len(decision.again) - 1)
            return
        absent = {trial.key for trial in missing}
        if absent != {trial.key for trial in job.pack.trials}:
            rows = self.campaign.ledger.outcomes()
            found = dict(zip(rows["key"].to_pylist(), rows["status"].to_pylist(), strict=True))
            self.progress.add(found[trial.key] for trial in job.pack.trials if trial.key not in absent)
        self.exhausted |= {trial.key for trial in decision.exhausted}
        if decision.ended:
            self.campaign.commit([lost(trial, status, reason) for trial, status, reason in decision.ended])
            self.progress.add(status for _, status, _ in decision.ended)
            self._moved()

    def _could_not_start(self, error: Exception | None) -> None:
        self.broken_starts += 1
        lines = str(error).strip().splitlines() or ["no reason known"]
        if self.broken_starts == 2:  # one may have been killed on the way
            self.progress.note(f"workers could not start: {lines[-1][:300]}")
        if self.broken_starts >= BROKEN_STARTS:
            raise UserError(f"{BROKEN_STARTS} workers in a row could not start: {lines[-1]}")

    def _end_if_overdue(self, held: Held) -> None:
        trials = self.jobs[held.number].pack.trials
        limit = TIMES * sum(trial.trial_seconds for trial in trials) + GRACE_SECONDS
        if time.time() - held.since > limit and held.number not in self.overdue:
            self.overdue.add(held.number)
            self.progress.note(f"stuck for {duration(limit)}, ended: {self._words(held)}")
            try:
                self._on(held.worker, os.kill, held.worker.pid, signal.SIGKILL)
            except (OSError, ray.exceptions.RayError):
                return

    def _say_what_runs(self, held: dict[int, Held], now: float) -> None:
        self.progress.note(f"nothing finished for {duration(now - self.finished)}:")
        for one in held.values() or ():
            self.progress.note(f"  {self._words(one)}")
        if not held:
            self.progress.note("  no worker has a pack; waiting for one to start")
        self.silent_seconds *= 2

    def _words(self, held: Held) -> str:
        since = time.strftime("%H:%M:%S", time.localtime(held.since))
        where = f"on {held.worker.host}, process {held.worker.pid}, since {since}"
        return f"{describe(self.jobs[held.number].pack.trials)} {where}"

    def _slot(self, slot: int, held: Held) -> Slot:
        pack = self.jobs[held.number].pack
        work = ("source models: " if pack.kind == "source" else "") + describe(pack.trials)
        return Slot(slot, held.worker.host, held.worker.pid, work, held.since)

    def _need_a_node(self, now: float) -> None:
        if self.asked.slots(nodes().values()):
            self.had_node = now
        elif now - self.had_node > NO_NODE_SECONDS:
            raise UserError(
                f"no node that can hold a pack ({self.asked}) for {duration(NO_NODE_SECONDS)}; what is committed is "
                "kept, the same command resumes"
            )

    def _on(self, worker: Worker, function: Any, *arguments: Any) -> Any:
        """What a function returns on the worker's node. Raises: RayError if the node is gone."""
        if worker.node == self.here:
            return function(*arguments)
        remote = ray.remote(function).options(**on_node(worker.node))
        return ray.get(remote.remote(*arguments), timeout=ANSWER_SECONDS)


def _error(trial: Any) -> Exception | None:
    """What Tune last heard of a worker. Its own reader looks where the file is copied to later."""
    try:
        with open(trial.pickled_error_file, "rb") as file:
            error: Exception = cloudpickle.load(file)
        return error
    except (OSError, TypeError, EOFError):
        return None


def _left_behind(path: str) -> tuple[note.Read, int]:
    """The note that a lost worker left, and how many processes the system has ended for their memory so far."""
    try:
        return note.read(path), oom_kills()
    except OSError:
        return note.Read("", False, ""), oom_kills()
