"""The command run: runs a suite, or resumes it."""

from __future__ import annotations

import sys
import time
from argparse import Namespace
from pathlib import Path

from harness import commands_wandb, deployed, sharding
from harness.campaign import Campaign
from harness.checkpoints import Checkpoints
from harness.compaction import compacting
from harness.known import load_suite
from harness.lease import lease
from harness.progress import Progress, duration
from harness.record import open_place


def run_command(options: Namespace) -> int:
    """Run or resume a suite; 1 if a trial of the campaign is not done or declined."""
    suite = load_suite(options.suite, options.set)
    sharding.check_usable(suite.engine.sharding, suite.resources.device)
    if options.wandb is not None:
        commands_wandb.check(options, options.out)
    place = open_place(options.out).resolve()
    if suite.engine.checkpoint_steps:
        Checkpoints.beside(place, suite.engine.checkpoint_steps)
    if options.save_models:
        deployed.check(place)
    with lease(place) as held:
        campaign = Campaign.open(place, suite)
        campaign.ledger.mend()
        campaign.save_models = options.save_models
        if isinstance(place, Path):
            deployed.clear(place / deployed.MODELS)
        with compacting(place, held.held):
            return _run(campaign, options)


def _run(campaign: Campaign, options: Namespace) -> int:
    started = time.monotonic()
    from harness.run import FAILURES, run  # Ray is imported only where something runs

    ran = run(campaign, options.ray_here, options.address, options.retry_failed, Progress(), options.child)
    if every := campaign.suite.engine.checkpoint_steps:  # those of trials whose row the driver has written
        Checkpoints.beside(campaign.folder, every).forget(*campaign.ledger.outcomes()["key"].to_pylist())
    for repeat in campaign.ledger.differing():
        print(f"pacbench: {repeat}", file=sys.stderr)
    statuses = campaign.ledger.outcomes()["status"].to_pylist()
    failures = sum(status in FAILURES for status in statuses)
    took = duration(time.monotonic() - started)
    print(f"{sum(ran.values())} trials run, {len(statuses)} committed, {failures} failed; {took}", file=sys.stderr)
    if failures:
        print(f"the reasons: pacbench status {options.out}", file=sys.stderr)
    if options.wandb is not None:
        commands_wandb.export_after_run(options)
    return 1 if failures else 0
