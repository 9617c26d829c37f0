"""Trials side by side: whenever all of them wait for a training, the trainings of one structure run as lanes.

Trials are written as if each were alone. Each runs as a greenlet, a function that can be left and entered again, in one
thread: where it asks for a training it is left, the next one goes on, and when none can go on what they asked for is
done together. The only file that imports greenlet.
"""

from __future__ import annotations

import dataclasses
import math
import random
import signal
import threading
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, TypeVar

import numpy as np
import torch
from greenlet import getcurrent, greenlet
from torch import nn

from harness import process
from harness.cost import time_limit
from harness.data import Examples, size
from harness.engines.lanes import Asked, Lanes, Predicted, complete, seconds_left
from harness.engines.plain import Plain
from harness.engines.structure import NotLaned
from harness.evaluate import Predict
from harness.fit import Fitted, Job
from harness.note import Note

PREDICTED_TOGETHER = 256
"""Examples up to which predictions on a CPU are lanes; larger splits keep the processor busy one by one (measured)."""

Wanted = tuple[Job | Asked, float]
"""What a trial asks for, and the seconds it has left for it."""

T = TypeVar("T")


class Together:
    """The engine of trials that run side by side. Used outside of `run`, it trains each job alone, as lanes do."""

    name, large = "lanes", False

    def __init__(self, lanes: Lanes | None = None) -> None:
        self.lanes = lanes or Lanes()
        self.note = Note()
        self._main: greenlet | None = None
        self._thread = 0
        self._settings: list[Any] = []

    def run(self, works: Sequence[Callable[[], T]]) -> list[T]:
        """What each of the functions returns. Raises: what one of them raises; the others are then left for good."""
        self._main, self._thread, self._settings = getcurrent(), threading.get_ident(), process.settings()
        results: dict[int, Any] = {}
        running = [greenlet(work) for work in works]
        waiting = {place: self._go_on(running, place, (), results) for place in range(len(works))}
        while any(asked is not None for asked in waiting.values()):
            with process.kept():
                answers = self._serve({p: asked for p, asked in waiting.items() if asked is not None})
            for place, answer in answers.items():
                waiting[place] = self._go_on(running, place, (answer,), results)
        self._main = None
        return [results[place] for place in range(len(works))]

    def train(self, job: Job) -> list[Fitted]:
        """Wait until every trial waits, then train with those that fit. Raises: what an objective of the job raises."""
        if self._main is None:
            return self.lanes.train(job)
        if reason := self._must_be_alone():
            return complete(job, [NotLaned(reason) for _ in job.objectives])
        left, started = seconds_left(job), time.monotonic()
        answers: list[Fitted | BaseException] = self._ask((job, left))
        if job.deadline is not None:  # waiting for others does not count against the limit
            own = sum(answer.seconds for answer in answers if isinstance(answer, Fitted))
            job = dataclasses.replace(job, deadline=job.deadline + time.monotonic() - started - own)
        return complete(job, answers)

    def predict(self, predict: Predict, network: nn.Module, examples: Examples) -> Predicted:
        """Predictions, and this network's share of the seconds they took."""
        alone = size(examples) > PREDICTED_TOGETHER and next(iter(examples.values())).device.type == "cpu"
        if alone:
            return Plain().predict(predict, network, examples)
        if self._main is None:
            return self.lanes.predict(predict, network, examples)
        if self._must_be_alone():
            return Plain().predict(predict, network, examples)
        left = signal.getitimer(signal.ITIMER_REAL)[0] or math.inf
        answer: Predicted | NotLaned = self._ask(((predict, network, examples), left))
        return Plain().predict(predict, network, examples) if isinstance(answer, NotLaned) else answer

    def _go_on(self, running: list[greenlet], place: int, answer: tuple[Any, ...], results: dict[int, Any]) -> Any:
        """Let one trial run until it asks for something or ends; what it asks for, None at its end."""
        asked = running[place].switch(*answer)
        if running[place].dead:
            results[place] = asked
            return None
        return asked

    def _must_be_alone(self) -> str:
        """Why what is asked for here cannot be done together with others', empty if it can."""
        if threading.get_ident() != self._thread:
            return "fit was called from a thread of the method's own"
        if torch.is_autocast_enabled("cpu") or torch.is_autocast_enabled("cuda"):
            return "autocast is on"
        if torch.is_inference_mode_enabled():
            return "inference mode is on"
        return (
            "fit was called with torch's settings or functions changed"
            if process.computes_otherwise(self._settings)
            else ""
        )

    def _ask(self, wanted: Wanted) -> Any:
        assert self._main is not None
        with _Surroundings(self.note, self._settings) as surroundings:
            answer = self._main.switch(wanted)
            if isinstance(answer, list):
                surroundings.spend(sum(result.seconds for result in answer if isinstance(result, Fitted)))
            return answer

    def _serve(self, asked: dict[int, Wanted]) -> dict[int, Any]:
        """Do part of what is asked for: trainings before predictions, and short ones first: those behind catch up.

        Where it takes longer than all of them together may, each does it alone, which finds the guilty one.
        """
        jobs = {place: (job, left) for place, (job, left) in asked.items() if isinstance(job, Job)}
        if not jobs:
            predictions = [wanted for wanted, _ in asked.values() if not isinstance(wanted, Job)]
            with time_limit(sum(left for _, left in asked.values()), self.note):
                return dict(zip(asked, self.lanes.predict_together(predictions), strict=True))
        shortest = min(len(job.order) for job, _ in jobs.values())
        served = {place: wanted for place, wanted in jobs.items() if len(wanted[0].order) == shortest}
        now = time.monotonic()
        timed = [dataclasses.replace(job, deadline=now + left) for job, left in served.values()]
        with time_limit(sum(left for _, left in served.values()), self.note):
            return dict(zip(served, self.lanes.train_together(timed), strict=True))


class _Surroundings:
    """What belongs to the trial that is left: random state, settings, its time limit, and what is noted of it.

    Taken away while the others run, who find the settings `common` to all, and put back when it goes on.
    """

    def __init__(self, note: Note, common: list[Any]) -> None:
        self.note = note
        self.common = common

    def __enter__(self) -> _Surroundings:
        self.random = (random.getstate(), np.random.get_state(), torch.get_rng_state())
        self.cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []  # type: ignore[no-untyped-call]
        self.settings = process.settings()
        self.handler = signal.getsignal(signal.SIGALRM)
        self.timer = signal.setitimer(signal.ITIMER_REAL, 0)[0]
        self.trial = self.note.trial
        self.note.limit(0)
        self.note.doing("")
        process.put_back(self.common)
        return self

    def spend(self, seconds: float) -> None:
        """Count the trial's share of what was done meanwhile against its limit."""
        if self.timer:
            self.timer = max(self.timer - seconds, 1e-6)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        random.setstate(self.random[0])
        np.random.set_state(self.random[1])
        torch.set_rng_state(self.random[2])
        if self.cuda:
            torch.cuda.set_rng_state_all(self.cuda)
        process.put_back(self.settings)
        self.note.doing(self.trial)
        self.note.limit(self.timer)
        if self.timer:
            signal.signal(signal.SIGALRM, self.handler)
            signal.setitimer(signal.ITIMER_REAL, self.timer)
