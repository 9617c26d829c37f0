"""The lanes engine: objectives of one structure train as one batched computation."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn

from harness import data, process
from harness.engines.computation import Lane, train_in_lanes
from harness.engines.footprint import lane_bytes
from harness.engines.plain import Plain
from harness.engines.predicting import predict_in_lanes
from harness.engines.structure import NotLaned, structure
from harness.errors import TrialTimeout, message
from harness.evaluate import Predict
from harness.fit import Fitted, Job

MOST_LANES = {"cpu": 128, "cuda": 4096}
"""Lanes of one computation at most: on a CPU the batched kernels are at their speed long before. CUDA: not measured."""

MEMORY_BYTES = 2**30
"""Bound on what the lanes of one computation hold at once on a CPU; on a GPU half of what is free."""

Predicted = tuple[Tensor, float]
Asked = tuple[Predict, nn.Module, data.Examples]
T = TypeVar("T")


class Lanes:
    """Trains objectives of one structure together; those that cannot be lanes one by one on the plain engine.

    bound: bytes that the lanes of one computation may hold at once; most: lanes at once. None: by device.
    """

    name, large = "lanes", False

    def __init__(self, bound: int | None = None, most: int | None = None) -> None:
        self.bound = bound
        self.most = most

    def train(self, job: Job) -> list[Fitted]:
        """Train the objectives of one job in place. Raises: TrialTimeout, and what an objective raises."""
        (answers,) = self.train_together([job])
        return complete(job, answers)

    def predict(self, predict: Predict, network: nn.Module, examples: data.Examples) -> Predicted:
        """Predictions of one network for every example, and the seconds they took."""
        (answer,) = self.predict_together([(predict, network, examples)])
        return Plain().predict(predict, network, examples) if isinstance(answer, NotLaned) else answer

    def train_together(self, jobs: Sequence[Job]) -> list[list[Fitted | BaseException]]:
        """Train the objectives of many jobs in place; for each job the results of its objectives.

        A result is NotLaned where the objective must train alone: `complete` does that.
        """
        lanes = [_lanes(job) for job in jobs]
        groups: dict[Hashable, list[Lane]] = {}
        hashes: dict[int, str] = {}
        for lane in (lane for mine in lanes for lane in mine):
            try:
                if id(lane.job.examples) not in hashes:
                    hashes[id(lane.job.examples)] = data.content_hash({"": lane.job.examples})
                lane.source = hashes[id(lane.job.examples)]
                groups.setdefault(_kind(lane), []).append(lane)
            except NotLaned as reason:
                lane.result = reason
            except BaseException as error:  # noqa: BLE001 - it trains alone, and what is wrong is then its own
                lane.result = NotLaned(_first_line(error))
        try:
            for group in groups.values():
                with process.kept():
                    for chunk in _even(group, self._at_once(group[0])):
                        _in_halves_if_too_large(chunk, train_in_lanes)
        except TrialTimeout:  # of all together: what has a result keeps it, the others find out alone whose it was
            for lane in (lane for group in groups.values() for lane in group if lane.result is None):
                lane.result = NotLaned("the lanes together took longer than all their time limits")
        return [[_result(lane) for lane in mine] for mine in lanes]

    def predict_together(self, asked: Sequence[Asked]) -> list[Predicted | NotLaned]:
        """Predictions of many networks for their examples, each with its share of the seconds."""
        answers: list[Predicted | NotLaned] = [NotLaned("")] * len(asked)
        groups: dict[Hashable, list[int]] = {}
        for place, (predict, network, examples) in enumerate(asked):
            try:
                kind = (predict, structure(network.eval()), _shapes(examples), data.size(examples))
                groups.setdefault(kind, []).append(place)
            except NotLaned as reason:
                answers[place] = reason
            except BaseException as error:  # noqa: BLE001 - it predicts alone, and what is wrong is then its own
                answers[place] = NotLaned(_first_line(error))
        for places in groups.values():
            device = next(iter(asked[places[0]][2].values())).device
            for chunk in _even(places, self._most(device)):
                try:
                    with process.kept():
                        found: list[Predicted | NotLaned] = [*predict_in_lanes([asked[place] for place in chunk])]
                except BaseException as error:  # noqa: BLE001 - each predicts alone, and what is wrong is then its own
                    found = [NotLaned(_first_line(error))] * len(chunk)
                for place, answer in zip(chunk, found, strict=True):
                    answers[place] = answer
        return answers

    def _at_once(self, lane: Lane) -> int:
        """How many lanes like this one are within the memory bound; at least one."""
        bound, device = self.bound, lane.job.order.device
        if bound is None:
            bound = torch.cuda.mem_get_info(device)[0] // 2 if device.type == "cuda" else MEMORY_BYTES
        try:
            return max(1, min(self._most(device), bound // lane_bytes(lane)))
        except TrialTimeout:
            raise
        except BaseException:  # noqa: BLE001 - a forward that fails will fail again in training, where it has a row
            return self._most(device)

    def _most(self, device: torch.device) -> int:
        return self.most or MOST_LANES.get(device.type, MOST_LANES["cuda"])


def complete(job: Job, answers: Sequence[Fitted | BaseException]) -> list[Fitted]:
    """The results of a job; what could not be a lane trains now, on the plain engine, with the reason as its note.

    Raises: the first other exception among the answers, and what the plain engine raises.
    """
    results = []
    for objective, seed, answer in zip(job.objectives, job.draw_seeds, answers, strict=True):
        if isinstance(answer, NotLaned):
            alone = dataclasses.replace(job, objectives=[objective], draw_seeds=[seed])
            (fitted,) = Plain().train(alone)
            results.append(dataclasses.replace(fitted, note=f"no lane: {answer}"))
        elif isinstance(answer, BaseException):
            raise answer
        else:
            results.append(answer)
    return results


def seconds_left(job: Job) -> float:
    """Until the job's deadline; infinite without one."""
    return math.inf if job.deadline is None else job.deadline - time.monotonic()


def _lanes(job: Job) -> list[Lane]:
    left = seconds_left(job)
    return [Lane(objective, job, seed, left) for objective, seed in zip(job.objectives, job.draw_seeds, strict=True)]


def _kind(lane: Lane) -> Hashable:
    """Equal for lanes that can share one computation. Raises: NotLaned."""
    job, objective = lane.job, lane.objective
    if not any(parameter.requires_grad for parameter in objective.parameters()):
        raise NotLaned("nothing trains")
    objective.train()
    return (structure(objective), _shapes(job.examples), tuple(job.order.shape), job.order.device, job.recipe)


def _shapes(examples: data.Examples) -> Hashable:
    return tuple((name, tuple(tensor.shape[1:]), tensor.dtype, tensor.device) for name, tensor in examples.items())


def _even(items: list[T], most: int) -> Iterator[list[T]]:
    """Parts of nearly equal size, none above `most`."""
    number = -(-len(items) // most)
    for part in range(number):
        yield items[part * len(items) // number : (part + 1) * len(items) // number]


def _in_halves_if_too_large(lanes: list[Lane], train: Callable[[list[Lane]], None]) -> None:
    """Train lanes together; where memory does not suffice in two halves, where it cannot be done each alone."""
    started = time.perf_counter()
    try:
        train(lanes)
    except TrialTimeout:
        raise
    except BaseException as error:  # noqa: BLE001 - each trains alone, and what is wrong is then its own
        too_large = isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in message(error)
        for lane in lanes:
            lane.seconds += (time.perf_counter() - started) / len(lanes)
            if lane.result is None:
                lane.result = error if isinstance(error, NotLaned) else NotLaned(_first_line(error))
        if too_large and len(lanes) > 1:
            for lane in lanes:
                lane.result = None
            _in_halves_if_too_large(lanes[: len(lanes) // 2], train)
            _in_halves_if_too_large(lanes[len(lanes) // 2 :], train)


def _result(lane: Lane) -> Fitted | BaseException:
    assert lane.result is not None
    return lane.result


def _first_line(error: BaseException) -> str:
    lines = message(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else 'no message'}"[:200]
