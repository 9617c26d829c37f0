"""Run a campaign: source models, tuning, selection, final seeds. Resume is plan minus committed."""

from __future__ import annotations

from collections import Counter

from harness import plan, schedule
from harness.campaign import Campaign
from harness.plan import Pack, Trial
from harness.progress import Progress
from harness.trial import lost
from results.place import names

FAILURES = ("failed", "diverged", "oom", "timeout")


def run(campaign: Campaign, address: str | None, retry_failed: bool, progress: Progress) -> Counter[str]:
    """Run what is missing; returns the statuses of the trials that ran now.

    With `retry_failed` final trials that are not done run again as a new attempt; tuning is not repeated, since its
    selection was recorded before the first test score. Raises: UserError, KeyboardInterrupt.
    """
    tune = campaign.missing(campaign.tune_trials)
    final = _missing_finals(campaign, retry_failed)
    if tune or final:
        with schedule.cluster(address):
            schedule.slots(campaign.suite.resources)  # a request that never fits is refused before anything starts
            _complete(campaign, tune, "tune", _sources(campaign, [*tune, *final]), progress)
            finals = _missing_finals(campaign, retry_failed)
            _complete(campaign, finals, "final", _sources(campaign, finals), progress)
        progress.end()
    return progress.counts


def _missing_finals(campaign: Campaign, retry_failed: bool) -> list[Trial]:
    """The final trials still to run; where a cell is not tuned yet its default stands in for the configuration."""
    selected = campaign.select()
    methods = {cell: selected.get(cell, cell.entrant.method) for cell in plan.cells(campaign.suite)}
    return campaign.missing(plan.final_trials(campaign.suite, methods), retry_failed)


def _sources(campaign: Campaign, trials: list[Trial]) -> list[Pack]:
    """The source models that are not in the cache yet."""
    cached = set(names(campaign.cache))
    return plan.source_packs(t for t in trials if f"source-{t.source_key}.pt" not in cached)


def _complete(campaign: Campaign, trials: list[Trial], stage: str, sources: list[Pack], progress: Progress) -> None:
    """Train the source models, then run the trials until each has a row.

    A pack whose worker died runs again trial by trial, so that only the guilty one is left without a row of its own;
    it gets one that says so.
    """
    if not trials:
        return
    resources = campaign.suite.resources
    packs = [*sources, *plan.packs(trials, schedule.slots(resources), resources.device)]
    progress.begin(stage, len(sources) + len(trials))
    schedule.run_packs(packs, campaign.folder, campaign.suite.resources, progress)
    if left := campaign.missing(trials):
        progress.note(f"a worker died; its {len(left)} trials run again one by one")
        singles = [Pack("trials", (trial,)) for trial in left]
        schedule.run_packs(singles, campaign.folder, campaign.suite.resources, progress)
    for trial in campaign.missing(trials):
        campaign.commit([lost(trial, "the worker process died while this trial ran")])
        progress.add(["failed"])
