"""Ray Tune runs the packs: first in first out, on workers that stay. The only file that imports ray."""

from __future__ import annotations

import logging
import os
import pickle
import shutil
import signal
import tempfile
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ray
import torch
from ray import cloudpickle, tune

from harness import trial as trials
from harness.curves import commit_curves
from harness.engines.allocator import keep_freed_memory, round_alike
from harness.errors import UserError
from harness.ledger import Ledger
from harness.plan import Pack
from harness.plugins import by_value_modules
from harness.progress import Progress
from harness.source import Store
from harness.suite import Resources
from results.place import Place, explain


class _Queue:
    """Hands out packs, first in first out, each once."""

    def __init__(self, waiting: list[Any]) -> None:
        self.waiting = deque(waiting)

    def next(self) -> Any:
        """The reference to the next pack; None once all are handed out."""
        return self.waiting.popleft() if self.waiting else None


class PackRunner(tune.Trainable):
    """One slot of the cluster: a Tune trial whose every step runs one pack and commits its rows.

    Tune's own reuse of actors, one Tune trial a pack, is no substitute: an actor that is free takes the pack that
    another actor is being started for and cancels that start, so with short packs a slot may stay empty for ever
    (seen: a stage twice as long). With slots as trials the driver's state does not grow with the packs either.
    """

    def setup(  # type: ignore[override]
        self, config: dict[str, Any], queue: Any, folder: Place, cuda: bool, alone: bool
    ) -> None:
        """One thread per worker; first calls are made here, untimed."""
        torch.set_num_threads(1)
        keep_freed_memory()
        self.queue, self.folder, self.alone = queue, folder, alone
        self.ledger = Ledger(folder)
        self.store = Store(folder / "cache", torch.device("cuda" if cuda else "cpu"))
        trials.warm_up(self.store)

    def step(self) -> dict[str, Any]:
        reference = ray.get(self.queue.next.remote())
        if reference is None:
            return {"done": True}
        pack: Pack = ray.get(reference)
        if pack.kind == "source":
            trials.train_sources(pack.trials, self.store)
            return {"statuses": []}
        rows = trials.run_pack(pack.trials, self.store, self.alone)
        try:
            self.ledger.append(commit_curves(self.folder, rows))
        except OSError as error:
            return {"unwritten": explain(error), "done": True}
        return {"statuses": [row["status"] for row in rows]}


class _Watch(tune.Callback):
    """Tells the progress display what each finished pack brought."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.unwritten: str | None = None

    def on_trial_result(self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **_: Any) -> None:
        if "statuses" in result:
            self.progress.add(result["statuses"])
        self.unwritten = result.get("unwritten", self.unwritten)


@contextmanager
def cluster(address: str | None) -> Iterator[None]:
    """An embedded local Ray for the block, or the cluster at `address`; Ray's own logs stay out of the terminal.

    Raises: UserError if there is no cluster at the address.
    """
    round_alike()  # the workers that start here inherit it; elsewhere it belongs to the environment of the nodes
    os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"
    os.environ["TUNE_DISABLE_SIGINT_HANDLER"] = "1"
    os.environ["RAY_AIR_NEW_OUTPUT"] = "0"
    # Ray's default of 15 starves the workers on a machine that does anything else.
    os.environ.setdefault("RAY_worker_niceness", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    dashboard = False if address is None else None
    with _away_from_users_folder():
        try:
            ray.init(
                address or "local", include_dashboard=dashboard, log_to_driver=False, logging_level=logging.CRITICAL
            )
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise UserError(f"--address {address}: no Ray cluster there ({error})") from error
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        for module in by_value_modules():
            cloudpickle.register_pickle_by_value(module)  # type: ignore[no-untyped-call]
        try:
            yield
        finally:
            ray.shutdown()


@contextmanager
def _away_from_users_folder() -> Iterator[None]:
    """Ray puts the current folder on its workers' path, where a user's own `tasks/` would shadow ours."""
    here = Path.cwd()
    with tempfile.TemporaryDirectory(prefix="pacbench-") as empty:
        os.chdir(empty)
        try:
            yield
        finally:
            os.chdir(here)


def slots(resources: Resources) -> int:
    """How many packs run at once. Raises: UserError if no node can ever hold one."""
    cpus, gpus, memory = _request(resources)
    fitting = 0
    for node in ray.nodes():  # type: ignore[no-untyped-call]
        if node["Alive"]:
            has = node["Resources"]
            room = [has.get("CPU", 0) / cpus]
            room += [has.get("GPU", 0) / gpus] if gpus else []
            room += [has.get("memory", 0) / memory] if memory else []
            fitting += int(min(room))
    if not fitting:
        asked = f"{cpus:g} CPUs, {gpus:g} GPUs, {memory / 1e9:g} GB"
        raise UserError(f"[resources]: a pack asks for {asked}; no node of the cluster has that much")
    return fitting


def run_packs(packs: Sequence[Pack], folder: Place, resources: Resources, progress: Progress) -> None:
    """Run every pack; rows are committed by the workers. A worker that dies is replaced; its pack leaves no rows.

    Raises: UserError if rows cannot be written, for instance because the disk is full.
    """
    concurrent = min(slots(resources), len(packs))
    cpus, gpus, memory = _request(resources)
    request = {"cpu": cpus, "gpu": gpus} | ({"memory": memory} if memory else {})
    try:
        references = [ray.put(pack) for pack in packs]
    except (TypeError, pickle.PicklingError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"a method or task cannot be sent to workers: it must pickle ({reason})") from error
    queue = ray.remote(num_cpus=0)(_Queue).remote(references)
    runner = tune.with_parameters(
        PackRunner, queue=queue, folder=folder.resolve(), cuda=gpus > 0, alone=slots(resources) == 1
    )
    storage = tempfile.mkdtemp(prefix="pacbench-tune-")
    watch = _Watch(progress)
    try:
        tune.Tuner(
            tune.with_resources(runner, request),
            param_space={"slot": tune.grid_search(list(range(concurrent)))},
            tune_config=tune.TuneConfig(max_concurrent_trials=concurrent),
            run_config=tune.RunConfig(
                storage_path=storage,
                name="packs",
                verbose=0,
                callbacks=[watch],
                failure_config=tune.FailureConfig(max_failures=len(packs) + 3),
                checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=0, checkpoint_at_end=False),
            ),
        ).fit()
    finally:
        shutil.rmtree(storage, ignore_errors=True)
    if watch.unwritten:
        raise UserError(
            f"{folder}: rows cannot be written ({watch.unwritten}); what is committed is kept, the same command resumes"
        )


def _request(resources: Resources) -> tuple[float, float, float]:
    return resources.cpus or 1.0, resources.gpu_share, (resources.memory_gb or 0.0) * 1e9
