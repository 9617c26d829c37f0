"""Ray Tune runs the packs: first in first out, on workers that stay; a watch deals with what is stuck or lost."""

from __future__ import annotations

import pickle
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import ray
from ray import cloudpickle, tune

from harness import provenance
from harness.campaign import Campaign
from harness.cluster import Request, everywhere, on_node, slots
from harness.desk import Desk
from harness.errors import UserError
from harness.heartbeat import Heartbeat
from harness.packages import plugins_of
from harness.plan import Trial, used
from harness.progress import Progress
from harness.record import RECORD
from harness.recovery import Job
from harness.supervise import Child
from harness.watch import Watch
from harness.worker import PackRunner, Terms, unfit

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
