"""What becomes of a pack whose worker was lost: who is to blame, and what runs again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from harness.plan import Pack, Trial

Cause = Literal["node", "memory", "timeout", "died"]

STRIKES = 3
"""A trial whose worker died this often while it ran, or ran alone, is to blame. Once could be anybody's kill."""

NODE_LOSSES = 6
"""A pack that lost this many nodes or drivers under it is given up."""

BACKOFF_SECONDS, LONGEST_SECONDS = 1.0, 60.0


@dataclass(frozen=True)
class Job:
    """A pack on its way. last: memory that does not suffice now is the result. before: what befell it earlier."""

    pack: Pack
    last: bool = False
    before: str = ""


@dataclass(frozen=True)
class Loss:
    """A lost worker. trial: the key of the one whose code ran, empty if unknown; detail: for people."""

    cause: Cause
    detail: str
    trial: str = ""


@dataclass
class Decision:
    """again: jobs with the seconds to wait before; ended: trials that get a row with this status and reason;
    exhausted: trials that get one more chance, with more memory; words: for the progress display."""

    again: list[tuple[Job, float]] = field(default_factory=list)
    ended: list[tuple[Trial, str, str]] = field(default_factory=list)
    exhausted: list[Trial] = field(default_factory=list)
    words: str = ""


class Recovery:
    """Remembers what befell each trial and pack in this run, and decides by it."""

    def __init__(self) -> None:
        self.strikes: Counter[str] = Counter()
        self.nodes: Counter[str] = Counter()

    def decide(self, job: Job, loss: Loss, missing: Sequence[Trial]) -> Decision:
        """What to do about a job, of which these trials have no committed row.

        A lost node is nobody's fault: the pack runs again, after a while that doubles. Else the trial that ran is
        suspected; where that is not known a pack is halved until it is. The others run again together. A suspect runs
        alone from then on; it is ended at once if it was deaf to its time limit, at its second lack of memory, and
        at the third death of its worker.
        """
        if not missing:
            return Decision(words="all of its rows are committed")
        if loss.cause == "node":
            return self._after_node(job, loss, missing)
        suspects = [trial for trial in missing if trial.key == loss.trial] or list(missing)
        if len(suspects) > 1:
            middle = len(suspects) // 2
            halves = (_part(job, suspects[:middle], loss), _part(job, suspects[middle:], loss))
            return Decision([(half, 0.0) for half in halves], words="its halves run again")
        (suspect,) = suspects
        others = [trial for trial in missing if trial is not suspect]
        decision = Decision([(_part(job, others, loss), 0.0)] if others else [])
        self.strikes[suspect.key] += 1
        strikes = self.strikes[suspect.key]
        if loss.cause == "timeout":
            reason = f"not finished after {suspect.trial_seconds:g} s, and deaf to its time limit: {loss.detail}"
            decision.ended.append((suspect, "timeout", reason))
        elif loss.cause == "memory" and job.last:
            decision.ended.append((suspect, "oom", f"its worker was killed for its memory: {loss.detail}"))
        elif loss.cause == "memory":
            decision.exhausted.append(suspect)
        elif strikes >= STRIKES:
            reason = f"the worker process died while this trial ran, {strikes} times: {loss.detail}"
            decision.ended.append((suspect, "failed", reason))
        else:
            decision.again.append((_part(job, [suspect], loss), _backoff(strikes)))
        decision.words = f"suspected: {describe([suspect])}, for the {strikes}. time"
        return decision

    def _after_node(self, job: Job, loss: Loss, missing: Sequence[Trial]) -> Decision:
        first = missing[0].key
        self.nodes[first] += 1
        if self.nodes[first] >= NODE_LOSSES:
            reason = f"lost with its node {NODE_LOSSES} times: {loss.detail}"
            return Decision(ended=[(trial, "failed", reason) for trial in missing], words="given up")
        return Decision([(_part(job, missing, loss), _backoff(self.nodes[first]))], words="its trials run again")


def describe(trials: Sequence[Trial]) -> str:
    """`friedman1, pac, n=25, final, seed 3` or, of more than one, what they share and how many they are."""
    first = trials[0]
    shared = f"{first.task.id}, {first.label}, n={first.target_size}, {first.stage}"
    return f"{shared}, seed {first.seed}" if len(trials) == 1 else f"{shared}, {len(trials)} trials"


def _part(job: Job, trials: Sequence[Trial], loss: Loss) -> Job:
    return Job(Pack(job.pack.kind, tuple(trials)), job.last, f"{loss.cause}: {loss.detail}"[:300])


def _backoff(times: int) -> float:
    return min(BACKOFF_SECONDS * 2.0 ** (times - 1), LONGEST_SECONDS)
