"""The command line's arguments. Imports nothing heavy: a mistake in them is told at once."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from harness.foreign_arguments import add_import, add_rescore


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    top = argparse.ArgumentParser(prog="pacbench", description="Fair comparison of transfer-learning methods.")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for add in (_extending, _running, _reading, add_import, add_rescore, _publishing, _installing):
        add(commands)
    return top


def _extending(commands: Any) -> None:
    """What can be named, and how more is added."""
    add = commands.add_parser("list", help="methods, tasks and suites that can be named, and where they come from")
    add.add_argument("what", nargs="?", choices=("methods", "tasks", "suites"), help="only these (default: all)")
    _json(add)

    add = commands.add_parser("new", help="write a package with a method or task, to be changed")
    add.add_argument("kind", choices=("method", "task"), help="what to write")
    add.add_argument("name", metavar="NAME", help="its name in suites: small letters, digits, underscores")
    add.add_argument("--out", metavar="FOLDER", help="where to write (default: ./pacbench-NAME)")

    add = commands.add_parser("check", help="try what a method or task promises, and say what to mend")
    add.add_argument("kind", choices=("method", "task"), help="what NAME is")
    add.add_argument("name", metavar="NAME", help="a name from `pacbench list`, or a .py file with one class")
    add.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a hyper-parameter or parameter")
    _json(add)


def _running(commands: Any) -> None:
    """What starts trials, or says which."""
    add = commands.add_parser("plan", help="what a suite would run, and about how long; runs nothing")
    _suite(add)
    add.add_argument("--from", dest="earlier", metavar="DIR", help="estimate from this campaign's rows")
    _json(add)

    add = commands.add_parser("prefetch", help="fetch what a suite names of the hub, for machines without a network")
    add.add_argument("suite", metavar="SUITE", help="a name from `pacbench list suites`, or a TOML file")
    add.add_argument(
        "--to", required=True, metavar="DIR", help="folder for models and data; later $PACBENCH_PREFETCHED"
    )
    add.add_argument("--verify", action="store_true", help="fetch nothing, compare all hashes with the manifest")

    add = commands.add_parser("run", help="run a suite, or resume it")
    _suite(add)
    add.add_argument("--out", required=True, metavar="DIR", help="the campaign's folder, or s3://bucket/prefix")
    add.add_argument("--address", metavar="A", help="a running Ray cluster ('auto' finds it); else Ray starts here")
    add.add_argument("--retry-failed", action="store_true", help="run final trials again that are not done")
    add.add_argument("--save-models", action="store_true", help="keep the network of each final trial in DIR/models")
    _wandb(add, "afterwards, export to this project of Weights & Biases")

    add = commands.add_parser("explore", help="tune one method on one task, by any search; enters no comparison")
    add.add_argument("method", metavar="METHOD", help="a name from `pacbench list methods`, or a .py file")
    add.add_argument("task", metavar="TASK", help="a name from `pacbench list tasks`, or a .py file")
    add.add_argument("--out", required=True, metavar="DIR", help="the exploration's folder, or s3://bucket/prefix")
    add.add_argument("--target-size", type=int, default=100, metavar="N", help="target examples (default 100)")
    add.add_argument("--trials", type=int, default=16, metavar="K", help="configurations in all (default 16)")
    add.add_argument("--search", choices=("random", "optuna"), default="random", help="who chooses configurations")
    add.add_argument("--scheduler", choices=("fifo", "asha"), default="fifo", help="asha stops the worse ones early")
    add.add_argument("--steps", type=int, default=500, metavar="S", help="optimiser steps of a training (default 500)")
    add.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE",
        help="as in method.rank=4 (pinned), task.shift=2.0, tuning.seeds=3, resources.cpus=1",
    )  # fmt: skip
    add.add_argument("--address", metavar="A", help="a running Ray cluster ('auto' finds it); else Ray starts here")
    _json(add)


def _reading(commands: Any) -> None:
    """What reads a campaign."""
    add = commands.add_parser("status", help="counts by status and by cell, and what is missing")
    add.add_argument("folder", metavar="DIR")
    _json(add)

    add = commands.add_parser("report", help="report.html, .md and .tex, leaderboard.csv and .parquet")
    _folders(add)
    add.add_argument("--out", metavar="DIR2", help="where to write (default: DIR/report)")
    add.add_argument("--baseline", default="fine_tuning", metavar="M", help="label every method is compared with")

    add = commands.add_parser("leaderboard", help="ranks, intervals, tie groups, costs, coverage, failures")
    _folders(add)
    _json(add)

    add = commands.add_parser("compare", help="paired comparison of two methods")
    _folders(add)
    add.add_argument("--candidate", required=True, metavar="M", help="label of the method in question")
    add.add_argument("--baseline", required=True, metavar="M", help="label it is compared with")
    add.add_argument("--margin", type=float, metavar="X", help="differences within ± X count as equivalent")
    add.add_argument(
        "--board",
        metavar="ROWS",
        help="published rows: `standard` or another board's name, a campaign or an exported .parquet file",
    )
    _json(add)

    add = commands.add_parser("advise", help="which methods are not beaten under constraints, or that rows cannot say")
    _folders(add)
    add.add_argument("--target-size", type=int, required=True, metavar="N", help="target examples at hand")
    add.add_argument("--memory", metavar="X", help="most memory while training, as in 8GB or 512MiB")
    add.add_argument("--trainable-parameters", metavar="Y", help="most parameters that train, as in 100000 or 1e5")
    add.add_argument("--seconds", metavar="S", help="most seconds of adapting to the target")
    add.add_argument("--keep-source", metavar="FRACTION", help="least share of the source score to keep, as in 0.9")
    _json(add)

    add = commands.add_parser("power", help="tasks and seeds that a difference needs, and what a design can see")
    add.add_argument("folders", nargs="*", metavar="DIR", help="campaigns whose rows are the pilot")
    add.add_argument("--variances", metavar="T,S", help="instead of DIR: of paired differences, over tasks and seeds")
    add.add_argument("--difference", type=float, metavar="D", help="the true difference that is to be found")
    add.add_argument("--tasks", type=int, metavar="N", help="tasks of the design (default: the pilot's)")
    add.add_argument("--seeds", type=int, metavar="S", help="seeds on each task (default: the pilot's, else 5)")
    add.add_argument("--methods", type=int, metavar="K", help="with --variances: methods, one the baseline (default 2)")
    add.add_argument("--baseline", metavar="M", help="with DIR: label to compare with (default: fine_tuning)")
    _json(add)

    add = commands.add_parser("export", help="one Parquet, CSV or Arrow file of all rows, or runs of wandb")
    add.add_argument("folder", metavar="DIR")
    add.add_argument("file", type=Path, nargs="?", metavar="FILE")
    _wandb(add, "instead of FILE: rows and curves as runs of this project of Weights & Biases")


def _publishing(commands: Any) -> None:
    """What others look at."""
    add = commands.add_parser("publish", help="a static folder of board, report and rows")
    _folders(add)
    replaced = "folder to write; replaced as a whole if publish made it"
    add.add_argument("--to", required=True, metavar="FOLDER", help=replaced)
    add.add_argument("--baseline", default="fine_tuning", metavar="M", help="label every method is compared with")
    add.add_argument("--title", metavar="TEXT", help="of the pages and of the card for model hubs")
    add.add_argument("--license", metavar="ID", help="of the rows, for the card, as in cc-by-4.0")


def _installing(commands: Any) -> None:
    """What helps on a new machine."""
    add = commands.add_parser("doctor", help="what works here, what is missing for which feature, and how to get it")
    _json(add)

    add = commands.add_parser("completion", help="a script that completes commands and names in a shell")
    add.add_argument("shell", metavar="SHELL", choices=("bash", "zsh", "fish"), help="bash, zsh or fish")


def _suite(add: argparse.ArgumentParser) -> None:
    add.add_argument("suite", metavar="SUITE", help="a name from `pacbench list suites`, or a TOML file")
    add.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="override, as in final.seeds=3")


def _folders(add: argparse.ArgumentParser) -> None:
    add.add_argument(
        "folders", nargs="+", metavar="DIR", help="campaigns: folders, s3://bucket/prefix, or exported .parquet"
    )


def _wandb(add: argparse.ArgumentParser, purpose: str) -> None:
    add.add_argument("--wandb", metavar="PROJECT", help=purpose)
    most = "runs sent in a minute at most (default 120)"
    add.add_argument("--wandb-per-minute", type=float, default=120.0, metavar="N", help=most)


def _json(add: argparse.ArgumentParser) -> None:
    add.add_argument("--json", action="store_true", help="one JSON document on stdout")
