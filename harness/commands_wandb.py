"""What the commands `export` and `run` do with --wandb."""

from __future__ import annotations

import subprocess
import sys
import warnings
from argparse import Namespace
from pathlib import Path

import pyarrow as pa

from harness import wandb_export
from harness.errors import UserError
from harness.record import open_place, read_record
from results import curves


def check(options: Namespace, address: str) -> Path:
    """The campaign's folder. Raises: UserError, before anything is started, if nothing could be exported."""
    wandb_export.check(options.wandb, options.wandb_per_minute)
    folder = open_place(address)
    if not isinstance(folder, Path):
        raise UserError(f"--wandb: what was exported is noted beside the rows, in a folder; {folder} is none")
    return folder


def export_rows(options: Namespace, rows: pa.Table) -> int:
    """Say on stdout what was brought where, on stderr what was not and why; 1 if something was not."""
    folder = check(options, options.folder)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        points = curves.read(folder)
    for warning in caught:
        print(f"pacbench: {warning.message}", file=sys.stderr)
    campaign = read_record(folder)
    done = wandb_export.export(folder, options.wandb, campaign, rows, points, options.wandb_per_minute)
    for reason in done.refused:
        print(f"pacbench: not exported: {reason}", file=sys.stderr)
    files = folder / wandb_export.FOLDER / "wandb"
    if not done.online:
        print(f"pacbench: nothing was sent: {done.why}; `wandb sync {files}/offline-run-*` does it", file=sys.stderr)
    where = f"sent to the wandb project {options.wandb}" if done.online else f"in {files}"
    print(f"{done.brought} new runs {where}; {done.known} rows were there")
    return 1 if done.refused else 0


def export_after_run(options: Namespace) -> None:
    """Export what a run has committed, in a process of its own: however that ends, the run has ended as it has."""
    command = [sys.executable, "-P", "-m", "harness.cli", "export", options.out, "--wandb", options.wandb]
    status = subprocess.run([*command, f"--wandb-per-minute={options.wandb_per_minute}"], stdout=sys.stderr).returncode
    if status:
        again = f"pacbench export {options.out} --wandb {options.wandb}"
        print(f"pacbench: the export failed, the campaign is complete without it; again: {again}", file=sys.stderr)
