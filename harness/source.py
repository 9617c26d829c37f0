"""Source models and prepared networks: trained once, cached by content, shared by every trial that can share them."""

from __future__ import annotations

import copy
import functools
import io
import pickle
import time
import warnings
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from harness import cost, data, process, seeds
from harness.data import Datasets
from harness.engines.deepspeed import DeepSpeed
from harness.engines.plain import Plain
from harness.errors import Declined, Diverged, TrialTimeout, UserError
from harness.evaluate import Predict, Predictions, predictions, signed_score
from harness.fit import Engine, Fit
from harness.method import Problem
from harness.objective import Objective
from harness.plan import Trial
from harness.task import Task
from harness.together import Together
from results.place import Place, make_folder, write_durably

SAVED = {"state", "score", "steps", "seconds", "flops"}


@dataclass(frozen=True)
class Model:
    """A network with what it took to make it. score: on the source test split, None where there is none."""

    network: nn.Module
    score: float | None
    steps: int
    seconds: float
    flops: float | None = None


@functools.lru_cache(maxsize=4)
def datasets(task: Task) -> Datasets:
    """The task's data, built once per process."""
    return task.datasets()


def problem(
    task: Task,
    network: nn.Module,
    train: data.Examples,
    *,
    new_head: bool,
    steps: int,
    predicted: Predictions = predictions,
) -> Problem:
    """What a method may see: examples in memory of their own, and static functions. No handle on task or test split."""
    return Problem(
        train=train,
        loss=task.loss,
        score=partial(signed_score, task.predict, task.score, task.higher_is_better, predicted),
        head=task.head,
        new_head=new_head,
        blocks=task.blocks(network),
        steps=steps,
    )


class Store:
    """A folder of trained networks. Two workers that make the same one write the same content.

    device: where networks and examples lie. computes_on: where they are trained, the same unless `spread`, the engine
    that shares them out among the ranks that run the same trials, takes them there; then the first rank writes.
    """

    def __init__(self, folder: Place, device: torch.device, spread: DeepSpeed | None = None) -> None:
        self.folder = folder
        self.device = device
        self.computes_on = device if spread is None else spread.device
        self.spread = spread
        self.models: Path | None = None  # where the networks of final trials are kept, if at all
        self.together = Together()
        self.engines: dict[str, Engine] = {"plain": Plain(), "lanes": self.together}
        if spread is not None:
            self.engines["deepspeed"] = spread
        self._failed: dict[str, BaseException] = {}

    def untrained(self, task: Task, key: str) -> nn.Module:
        """The task's network with initial weights derived from `key`."""
        with seeds.seeded(key, "initial weights"):
            return task.network().to(self.device)

    def source(self, trial: Trial) -> Model:
        """The source model of a trial. Raises: Declined without source data, Diverged."""
        task, key = trial.task, trial.source_key
        if trial.facts.checkpoint is not None:
            return self._read(trial)
        network = self.untrained(task, key)
        saved = self._load(f"source-{key}")
        if saved is None:
            self._raise_again(key)
            examples = datasets(task).source_train
            if examples is None:
                raise Declined(f"{task.id} has no source data to train a source model on")
            fit = self._fit(trial, seeds.derive(key, "source order"), f"source-{key}")
            objective = Objective(network, task.loss)
            objective.frozen_statistics = False
            started = cost.now(self.device)
            with seeds.seeded(key, "source training"):
                (result,) = fit([objective], data.copy(examples, self.device))
            seconds = cost.now(self.device) - started - fit.untimed_seconds
            if result.diverged:
                self._failed[key] = Diverged("source model: the loss became NaN or infinite")
                self._raise_again(key)
            score, _ = self.source_score(trial, network)
            saved = self._save(f"source-{key}", Model(network, score, fit.steps_taken, seconds, fit.flops))
        return _restore(network, saved)

    def _read(self, trial: Trial) -> Model:
        """The checkpoint that is the trial's source model; only its score is cached. Raises: UserError."""
        task, key = trial.task, trial.source_key
        if (found := task.checkpoint()) != trial.facts.checkpoint:
            here = f"the checkpoint of {task.id} is another here ({found}) than where the command runs"
            raise UserError(f"{here} ({trial.facts.checkpoint}); expected the same files on all nodes")
        with seeds.seeded(key, "initial weights"):
            network = task.source_model().to(self.device)
        saved = self._load(f"source-{key}")
        if saved is None:
            score, _ = self.source_score(trial, network)
            saved = self._save(f"source-{key}", Model(network, score, 0, 0.0), state={})
        return Model(network, saved["score"], 0, 0.0)

    def prepared(self, trial: Trial, source: Model) -> Model:
        """The source model after the method's `prepare`. Raises: what `prepare` raises."""
        task, method, key = trial.task, trial.method, trial.prepare_key
        network = copy.deepcopy(source.network).train()
        saved = self._load(f"prepared-{key}")
        if saved is None:
            self._raise_again(key)
            examples = datasets(task).source_train
            if examples is None and method.needs_source_data and not method.does_without_source_data:
                raise Declined(f"{method.name} needs source data and {task.id} has none")
            steps = task.recipe.source_steps
            fit = self._fit(trial, seeds.derive(trial.source_key, "prepare order"), f"prepared-{key}")
            own = data.copy(examples if method.needs_source_data and examples else {}, self.device)
            started = cost.now(self.device)
            with seeds.seeded(trial.drawn_by.prepare_key, "prepare"):
                try:
                    with process.kept():  # what it leaves is for all that share the network
                        view = problem(task, network, own, new_head=False, steps=steps, predicted=self.predicted)
                        network = method.prepare(network, view, fit)
                except TrialTimeout:
                    raise
                except BaseException as error:  # whatever it is, nobody prepares it again: all who ask get the same
                    self._failed[key] = error
                    raise
            seconds = cost.now(self.device) - started - fit.untimed_seconds
            score, _ = self.source_score(trial, network)
            saved = self._save(f"prepared-{key}", Model(network, score, fit.steps_taken, seconds, fit.flops))
        return _restore(copy.deepcopy(source.network).train(), saved)

    def source_score(self, trial: Trial, network: nn.Module) -> tuple[float | None, float]:
        """The score on the source test split in native units (None without one), and the seconds it took."""
        task = trial.task
        examples = datasets(task).source_test
        if examples is None:
            return None, 0.0
        own = data.copy(examples, self.device)
        predicted, seconds = self.engines[trial.source_engine].predict(task.predict, network, own)
        return float(task.score(predicted, own)), seconds

    def predicted(self, predict: Predict, network: nn.Module, examples: data.Examples) -> Tensor:
        """What a method's own scores are made of; by all ranks together where there are several."""
        if self.spread is None:
            return predictions(predict, network, examples)
        return self.spread.predict(predict, network, examples)[0]

    def forget_failures(self) -> None:
        """What failed before may be tried again."""
        self._failed.clear()

    def _raise_again(self, key: str) -> None:
        """What failed for one trial fails for those that share it, at no further cost."""
        if key in self._failed:
            raise self._failed[key]

    def _fit(self, trial: Trial, order_seed: int, name: str) -> Fit:
        recipe, deadline = trial.task.recipe, time.monotonic() + trial.trial_seconds
        engine = self.engines[trial.source_engine]
        return Fit(engine, recipe, order_seed, recipe.source_steps, deadline=deadline, name=name)

    def _load(self, name: str) -> dict[str, Any] | None:
        """A saved model; None if there is none or its file is damaged (it is then made again), on one rank or all."""
        saved = self._read_file(name)
        return saved if self.spread is None or self.spread.agree(saved is not None) else None

    def _read_file(self, name: str) -> dict[str, Any] | None:
        try:
            content = io.BytesIO((self.folder / f"{name}.pt").read_bytes())
            with warnings.catch_warnings():  # torch warns of files that are not its own
                warnings.simplefilter("ignore")
                saved: dict[str, Any] = torch.load(content, map_location=self.device, weights_only=True)
        except (
            OSError,
            RuntimeError,
            EOFError,
            ValueError,
            LookupError,
            TypeError,
            AttributeError,
            pickle.UnpicklingError,
        ):
            return None
        return saved if isinstance(saved, dict) and saved.keys() >= SAVED and isinstance(saved["state"], dict) else None

    def _save(self, name: str, model: Model, state: dict[str, Tensor] | None = None) -> dict[str, Any]:
        if state is None:
            state = {key: tensor.detach() for key, tensor in model.network.state_dict().items()}
        saved = {"state": state, "score": model.score, "steps": model.steps, "seconds": model.seconds}
        saved["flops"] = model.flops
        if self.spread is not None and self.spread.rank:
            return saved
        content = io.BytesIO()
        torch.save(saved, content)
        try:
            make_folder(self.folder)
            write_durably(self.folder / f"{name}.pt", content.getvalue())
        except OSError:
            return saved  # a full disk costs the others this model, not its trial; the commit will tell
        return saved


def _restore(network: nn.Module, saved: dict[str, Any]) -> Model:
    """The saved model in an untrained network of the task; buffers that `prepare` added are registered again."""
    known = set(network.state_dict())
    for name in saved["state"]:
        if name not in known:
            path, _, leaf = name.rpartition(".")
            network.get_submodule(path).register_buffer(leaf, torch.empty_like(saved["state"][name]))
    network.load_state_dict(saved["state"])
    return Model(network, saved["score"], saved["steps"], saved["seconds"], saved["flops"])
