"""The command-line arguments of `import` and `rescore`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def add_import(commands: Any) -> None:
    """`pacbench import`."""
    add: argparse.ArgumentParser = commands.add_parser("import", help="results of other programs, as a campaign")
    add.add_argument("files", nargs="+", type=Path, metavar="FILE", help=".csv, .tsv, .parquet, .jsonl, .json")
    add.add_argument("--out", required=True, metavar="DIR", help="the campaign's folder, or s3://bucket/prefix")
    given = "a row's column from a column of the files, as in score=test_acc (a dotted path in JSON)"
    add.add_argument("--map", action="append", default=[], metavar="COLUMN=NAME", help=given)
    constant = "what holds for every row, as in metric=accuracy; empty: not known"
    add.add_argument("--set", action="append", default=[], metavar="COLUMN=VALUE", help=constant)
    add.add_argument("--mapping", type=Path, metavar="TOML", help="a file that says the same")
    add.add_argument("--higher-is-better", choices=("true", "false"), help="the same as --set higher_is_better=...")
    add.add_argument("--where", action="append", default=[], metavar="NAME=VALUE", help="only rows that say this")
    add.add_argument("--wide", metavar="NAMES", help="columns that are methods: A,B,C, or `all` that are left")
    add.add_argument("--delimiter", metavar="C", help="between the values of a CSV file: ',', ';', 'tab'")
    add.add_argument("--decimal", default=".", choices=(".", ","), help="decimal point or comma")
    add.add_argument("--encoding", metavar="NAME", help="of a CSV file (default UTF-8), as in latin-1")
    lost = "scores that are NaN or infinite: dropped (default), or kept as failed trials"
    add.add_argument("--not-finite", default="drop", choices=("drop", "failed"), help=lost)
    add.add_argument("--json", action="store_true", help="one JSON document on stdout")


def add_rescore(commands: Any) -> None:
    """`pacbench rescore`."""
    add: argparse.ArgumentParser = commands.add_parser("rescore", help="score stored predictions again; trains nothing")
    add.add_argument("folder", metavar="DIR", help="the campaign: a folder, or s3://bucket/prefix")
    add.add_argument("--out", required=True, metavar="DIR2", help="where the new campaign goes")
    metric = (
        "MODULE:FUNCTION or FILE.py:FUNCTION of (predictions, examples); left out: each task's own score as it is now"
    )
    add.add_argument("--metric", metavar="M", help=metric)
    add.add_argument("--name", metavar="NAME", help="the metric's name in the rows (default: the function's)")
    add.add_argument("--higher-is-better", choices=("true", "false"), help="needed with --metric")
    tasks = "a file with a task's class, for tasks that are neither built in nor installed"
    add.add_argument("--task", action="append", default=[], metavar="FILE.py", help=tasks)
    add.add_argument("--json", action="store_true", help="one JSON document on stdout")
