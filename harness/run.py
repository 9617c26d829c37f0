"""Run a campaign: source models, tuning, selection, final seeds. Resume is plan minus committed. Explorations too."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from harness import plan, schedule
from harness.campaign import Campaign
from harness.cluster import Request, cluster, larger, request, slots
from harness.embedded import Embedded
from harness.explore import Exploration
from harness.plan import Pack, Trial
from harness.progress import Progress
from harness.recovery import Job
from harness.supervise import Child
from harness.task import weightless
from results.place import names

FAILURES = ("failed", "diverged", "oom", "timeout")

ROW_BYTES = 20_000
"""Of a committed row at most, a file of its own included."""


@dataclass(frozen=True)
class Runner:
    """What the stages of one run share."""

    campaign: Campaign
    asked: Request
    progress: Progress
    child: Child

    def run(self, tune: list[Trial], final: list[Trial], retry_failed: bool) -> None:
        """Run both stages on workers that stay, until each trial has a row.

        Trials that ran out of memory run once more, alone and with twice as much, before the next stage begins.
        """
        stages = self._stages(tune, final, retry_failed)
        sources = len(_sources(self.campaign, [*tune, *final], []))
        most = max(len(self._packs(trials)) for trials in (tune, final)) + sources
        for jobs in stages:
            exhausted = self._run(jobs, lambda exhausted: [] if exhausted else next(stages, []), most, self.asked)
            if again := self.campaign.missing(exhausted):
                asked = larger(self.asked)
                self.progress.note(f"{len(again)} trials ran out of memory; they run again alone, each with {asked}")
                alone = [Job(Pack("trials", (trial,)), last=True, before="memory: with less of it") for trial in again]
                self._run(alone, lambda exhausted: [], len(alone), asked)

    def _stages(self, tune: list[Trial], final: list[Trial], retry_failed: bool) -> Iterator[list[Job]]:
        """The jobs of each stage that has some; the second is not known before the first is done.

        The source models of both are trained first: as lanes of one computation they cost little more than one.
        """
        if tune:
            yield self._begin("tune", tune, [*tune, *final])
        final = _missing_finals(self.campaign, retry_failed)
        if final:
            yield self._begin("final", final, final)

    def _begin(self, stage: str, trials: list[Trial], of_sources: list[Trial]) -> list[Job]:
        sources = _sources(self.campaign, of_sources, trials)
        self.progress.begin(stage, len(sources) + len(trials))
        return [Job(pack) for pack in (*sources, *self._packs(trials))]

    def _packs(self, trials: list[Trial]) -> list[Pack]:
        return plan.packs(trials, slots(self.asked), self.campaign.suite.resources.device)

    def _run(self, jobs: list[Job], more: Callable[[set[str]], list[Job]], most: int, asked: Request) -> list[Trial]:
        return schedule.run_jobs(jobs, more, most, self.campaign, asked, self.progress, self.child)


def run(
    campaign: Campaign,
    ray_here: Embedded | None,
    address: str | None,
    retry_failed: bool,
    progress: Progress,
    child: Child,
) -> Counter[str]:
    """Run what is missing, on the local Ray or else at the address; returns the statuses of the trials that ran now.

    With `retry_failed` final trials that are not done run again as a new attempt; tuning is not repeated, since its
    selection was recorded before the first test score. Raises: UserError, KeyboardInterrupt.
    """
    tune = campaign.missing(campaign.tune_trials)
    final = _missing_finals(campaign, retry_failed)
    if tune or final:
        with _ready(campaign, [*tune, *final], ray_here, address, child) as asked:
            Runner(campaign, asked, progress, child).run(tune, final, retry_failed)
        progress.end()
    return progress.counts


def explore(
    exploration: Exploration,
    searcher: str,
    number: int,
    ray_here: Embedded | None,
    address: str | None,
    progress: Progress,
    child: Child,
) -> None:
    """Explore `number` more configurations, on the local Ray or else at the address. Raises: UserError."""
    campaign, search = exploration.campaign, exploration.search
    most = [search.first] * (number * search.seeds * len(search.rungs))
    with _ready(campaign, most, ray_here, address, child) as asked:
        progress.begin("explore", len(most))
        schedule.search_configurations(exploration, searcher, number, asked, progress, child)
    progress.end()


@contextmanager
def _ready(
    campaign: Campaign, trials: list[Trial], ray_here: Embedded | None, address: str | None, child: Child
) -> Iterator[Request]:
    """What each pack asks for, on a cluster and a disk that are found to have room for it, for the block.

    Raises: UserError before anything starts.
    """
    schedule.check_disk(campaign, _bytes_needed(campaign, trials), child.scratch)
    asked = request(campaign.suite)
    with cluster(ray_here, address):
        slots(asked)  # a request that never fits is refused
        if ray_here is None:
            schedule.check_nodes(campaign, asked)
        yield asked


def _missing_finals(campaign: Campaign, retry_failed: bool) -> list[Trial]:
    """The final trials still to run; where a cell is not tuned yet its default stands in for the configuration."""
    selected = campaign.select()
    methods = {cell: selected.get(cell, cell.entrant.method) for cell in plan.cells(campaign.suite)}
    return campaign.missing(plan.final_trials(campaign.suite, methods), retry_failed)


def _sources(campaign: Campaign, trials: list[Trial], prepare: list[Trial]) -> list[Pack]:
    """The source models, and networks to prepare, that are not in the cache yet."""
    cached = set(names(campaign.cache))
    return plan.source_packs(
        (trial for trial in trials if f"source-{trial.source_key}.pt" not in cached),
        (trial for trial in prepare if f"prepared-{trial.prepare_key}.pt" not in cached),
    )


def _bytes_needed(campaign: Campaign, trials: list[Trial]) -> int:
    """What the trials will write at most: their rows, and a network per source model, prepared one and result."""
    size = {}
    for task in campaign.suite.tasks:
        network = task.network() if plan.facts(task).checkpoint is None else weightless(task)
        size[task.id] = sum(parameter.numel() * parameter.element_size() for parameter in network.parameters())
    kept = {trial.source_key: trial for trial in trials} | {trial.prepare_key: trial for trial in trials}
    models = [trial for trial in trials if campaign.save_models and trial.stage == "final"]
    networks = sum(2 * size[trial.task.id] for trial in kept.values()) + sum(size[trial.task.id] for trial in models)
    return len(trials) * ROW_BYTES + networks
