"""Ray Tune runs the packs: first in first out, on workers that stay; a watch deals with what is stuck or lost.

Its searchers and early stopping serve explorations only, whose rows enter no comparison.
"""

from __future__ import annotations

import pickle
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import ray
from ray import cloudpickle, tune
from ray.tune.schedulers import ASHAScheduler, FIFOScheduler

from harness import plan, provenance, seeds
from harness.campaign import Campaign
from harness.cluster import Request, everywhere, is_running, on_node, services, slots
from harness.desk import Desk
from harness.errors import UserError
from harness.explore import Exploration
from harness.heartbeat import Heartbeat
from harness.method import Method
from harness.packages import plugins_of
from harness.plan import Trial, used
from harness.progress import Progress
from harness.record import RECORD
from harness.recovery import Job
from harness.search import DRAWN, REDUCTION, Search
from harness.settings import Choice, Distribution, LogUniform
from harness.supervise import Child
from harness.watch import LOOK_SECONDS, Watch
from harness.worker import ConfigurationRunner, PackRunner, Terms, unfit

STRIKES = 3
"""So often a worker may die over one configuration of an exploration."""

FREE_BYTES = 500 * 10**6
"""Ray's files of a run, with room for what workers write beside."""


def terms(campaign: Campaign, asked: Request) -> Terms:
    """What every worker must agree with."""
    folder = campaign.folder.resolve()
    versions = provenance.versions() | provenance.arithmetic()
    suite = campaign.suite
    return Terms(
        folder,
        (folder / RECORD).read_bytes(),
        versions,
        asked,
        alone=slots(asked) == 1,
        plugins=plugins_of(*used(suite)),
        engine=suite.engine,
        prices=suite.prices,
        save_models=campaign.save_models,
    )


def check_nodes(campaign: Campaign, asked: Request) -> None:
    """Raises: UserError if a node has other versions than this process, or does not see the campaign's folder."""
    wrong = []
    for name, answer in everywhere(unfit, terms(campaign, asked)).items():
        if isinstance(answer, Exception):
            wrong.append(f"{name}: gives no answer ({str(answer).strip().splitlines()[-1]})")
        elif answer:
            wrong.append(f"{name}: {answer}")
    if wrong:
        raise UserError("not every node of the cluster will do:\n  " + "\n  ".join(wrong))


def run_jobs(
    jobs: Sequence[Job],
    more: Callable[[set[str]], list[Job]],
    most: int,
    campaign: Campaign,
    asked: Request,
    progress: Progress,
    child: Child,
) -> list[Trial]:
    """Run every job until each of its trials has a row; rows are committed by the workers.

    Whenever all are done `more` gives the next ones, for the same workers, or none; it is told the keys of trials
    without a row, since they ran out of memory and may try with more. most: jobs at a time at most, for the number of
    workers. Returns: those trials. Raises: UserError if rows cannot be written, workers cannot start, or no node is
    left.
    """
    concurrent = min(slots(asked), most)
    desk = ray.remote(Desk).options(**on_node(ray.get_runtime_context().get_node_id())).remote()
    beat = Heartbeat(campaign.folder)
    watch = Watch(campaign, asked, desk, more, progress, beat, child)
    try:
        watch.put([(job, 0.0) for job in jobs])
    except (TypeError, pickle.PicklingError) as error:
        raise UserError(_unsendable(jobs)) from error
    runner = tune.with_parameters(PackRunner, desk=desk, terms=terms(campaign, asked))
    storage = tempfile.mkdtemp(prefix="tune-", dir=child.scratch)
    try:
        tune.Tuner(
            tune.with_resources(runner, asked.tune()),
            param_space={"slot": tune.grid_search(list(range(concurrent)))},
            tune_config=tune.TuneConfig(max_concurrent_trials=concurrent),
            run_config=tune.RunConfig(
                storage_path=storage,
                name="packs",
                verbose=0,
                callbacks=[watch],
                failure_config=tune.FailureConfig(max_failures=-1),  # the watch counts, and ends what must end
                checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=0, checkpoint_at_end=False),
            ),
        ).fit()
    finally:
        shutil.rmtree(storage, ignore_errors=True)
        beat.end()
        ray.kill(desk)  # type: ignore[arg-type]
    if watch.unwritten:
        raise UserError(
            f"{campaign.folder}: rows cannot be written ({watch.unwritten}); what is committed is kept, the same "
            "command resumes"
        )
    return watch.exhausted_trials()


def search_configurations(
    exploration: Exploration,
    searcher: str,
    number: int,
    asked: Request,
    progress: Progress,
    child: Child,
) -> None:
    """Let Tune's searcher choose among the configurations, and its scheduler which of them go on.

    searcher: `random` takes those drawn beforehand, as many as the exploration has; `optuna` chooses by what is known
    so far, `number` more of them. Rows are committed by the workers. Raises: UserError if rows cannot be written.
    """
    campaign, search, ends = exploration.campaign, exploration.search, exploration.ends()
    concurrent = slots(asked)
    shown = Shown(exploration, progress, child)
    runner = tune.with_parameters(ConfigurationRunner, search=search, ends=ends, terms=terms(campaign, asked))
    storage = tempfile.mkdtemp(prefix="tune-", dir=child.scratch)
    try:
        results = tune.Tuner(
            tune.with_resources(runner, asked.tune()),
            param_space=_space(search, ends, searcher),
            tune_config=tune.TuneConfig(
                metric="score",
                mode="max",
                num_samples=number if searcher == "optuna" else 1,
                max_concurrent_trials=concurrent,
                search_alg=_optuna(exploration) if searcher == "optuna" else None,
                scheduler=_scheduler(search),
                reuse_actors=True,
            ),
            run_config=tune.RunConfig(
                storage_path=storage,
                name="exploration",
                verbose=0,
                callbacks=[shown],
                failure_config=tune.FailureConfig(max_failures=STRIKES - 1),
                checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=0, checkpoint_at_end=False),
            ),
        ).fit()
    finally:
        shown.beat.end()
        shutil.rmtree(storage, ignore_errors=True)
    if shown.unwritten:
        raise UserError(f"{campaign.folder}: rows cannot be written ({shown.unwritten}); what is committed is kept")
    for result in (results[place] for place in range(len(results))):
        if result.error is not None and result.config is not None:
            exploration.lost(search.method(result.config), f"worker process died, {STRIKES} times")


def _space(search: Search, ends: dict[str, int], searcher: str) -> dict[str, Any]:
    """Tune's own form of what is searched."""
    if searcher == "random":
        wanted = [
            number for number, method in enumerate(search.drawn) if len(search.rungs) > 1 or not _ended(method, ends)
        ]
        return {DRAWN: tune.grid_search(wanted)}
    return {name: _domain(distribution) for name, distribution in search.space.items()}


def _ended(method: Method, ends: dict[str, int]) -> bool:
    return seeds.canonical(plan.settings_of(method)) in ends


def _domain(distribution: Distribution) -> Any:
    if isinstance(distribution, Choice):
        return tune.choice(list(range(len(distribution.options))))
    draw = tune.loguniform if isinstance(distribution, LogUniform) else tune.uniform
    return draw(distribution.low, distribution.high)


def _scheduler(search: Search) -> Any:
    if len(search.rungs) == 1:
        return FIFOScheduler()  # type: ignore[no-untyped-call]
    most = REDUCTION ** (len(search.rungs) - 1)
    return ASHAScheduler(time_attr="resource", max_t=most, grace_period=1, reduction_factor=REDUCTION)


def _optuna(exploration: Exploration) -> Any:
    """Optuna's sampler, told what is known; without that it begins with the default configuration."""
    import optuna
    from ray.tune.search.optuna import OptunaSearch

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    told = exploration.told()
    default = exploration.search.values(exploration.search.entrant.method)
    points = [values for values, _ in told] or ([default] if default is not None else [])
    seed = seeds.derive(exploration.search.first.key, f"optuna after {len(told)}") % 2**32
    return OptunaSearch(points_to_evaluate=points, evaluated_rewards=[score for _, score in told] or None, seed=seed)


class Shown(tune.Callback):
    """Progress of an exploration. Called by Tune's loop, in the driver's main thread."""

    def __init__(self, exploration: Exploration, progress: Progress, child: Child) -> None:
        self.exploration, self.progress, self.child = exploration, progress, child
        self.services = services()
        self.beat = Heartbeat(exploration.campaign.folder)
        self.unwritten: str | None = None
        self.looked = time.monotonic()

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune keeps a copy of its callbacks for a restart that is never asked of it."""
        return {}

    def on_trial_result(self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **_: Any) -> None:
        self.unwritten = result.get("unwritten", self.unwritten)
        if result.get("statuses"):
            self.progress.add(result["statuses"])
            self.child.alive()

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **_: Any) -> None:
        last = trial.last_result
        if "steps" in last:
            self.exploration.end(self.exploration.search.method(trial.config), last["steps"])

    def on_step_end(self, iteration: int, trials: list[Any], **_: Any) -> None:
        if self.beat.due():
            self.beat.write(self.progress.state(), [])
        if time.monotonic() - self.looked > LOOK_SECONDS:
            self.looked = time.monotonic()
            if not all(map(is_running, self.services)):
                self.child.crash()


def _unsendable(jobs: Sequence[Job]) -> str:
    """Which method or task does not pickle, and why."""
    for trial in (trial for job in jobs for trial in job.pack.trials):
        for what, thing in ((f"method {trial.label}", trial.method), (f"task {trial.task.id}", trial.task)):
            try:
                cloudpickle.dumps(thing)  # type: ignore[no-untyped-call]
            except (TypeError, pickle.PicklingError) as error:
                return f"{what} cannot be sent to workers: it must pickle ({str(error).splitlines()[0][:200]})"
    return "a method or task cannot be sent to workers: it must pickle"


def check_disk(campaign: Campaign, needed: int, scratch: Path) -> None:
    """Raises: UserError if the campaign's folder or that of Ray's files lacks room, with how much is needed."""
    wanted = [(scratch, FREE_BYTES, "Ray's files (TMPDIR chooses another place)")]
    if isinstance(campaign.folder, Path):
        wanted.append((campaign.folder, needed, "the rows and source models still to come"))
    for folder, size, what in wanted:
        usage = shutil.disk_usage(folder)
        if usage.free < size:
            raise UserError(
                f"{folder}: {usage.free / 1e6:.0f} MB free, {size / 1e6:.0f} MB needed for {what}; nothing was started"
            )
