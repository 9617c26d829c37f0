"""The command line: parses, dispatches, and turns every user's mistake into one message. Heavy imports are lazy."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
from pathlib import Path

from harness.commands_publish import add_publish
from harness.errors import UserError
from harness.foreign_arguments import add_import, add_rescore
from harness.shadowed import refuse_shadowed_packages
from harness.supervise import Child, supervised

BAD_INPUT, INTERRUPTED = 2, 130

STARTS_RAY = ("run", "explore")
"""Commands that work in a child process, which may be started again and resumes."""


def main(arguments: list[str] | None = None) -> int:
    """Run one command. Returns: 0 all done, 1 some trials failed, 2 bad input, 130 interrupted."""
    options = parser().parse_args(arguments)
    if options.command in STARTS_RAY:
        options.out = _from_here(options.out)
        for name in ("suite", "method", "task"):
            given = getattr(options, name, None)
            if given is not None and (given.endswith((".toml", ".py")) or "/" in given):
                setattr(options, name, _from_here(os.path.expanduser(given)))
        return supervised(lambda child: _command(options, child))
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    return _command(options)


def _command(options: argparse.Namespace, child: Child | None = None) -> int:
    options.child = child
    try:
        refuse_shadowed_packages()
        return _dispatch(options)
    except UserError as error:
        print(f"pacbench: {error}", file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        resumes = "; the same command resumes from what is committed" if options.command in STARTS_RAY else ""
        print(f"\npacbench: interrupted{resumes}", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _dispatch(options: argparse.Namespace) -> int:
    if options.command in STARTS_RAY:
        # Ray puts the current folder on its workers' path, where a user's own `tasks/` would shadow ours.
        os.chdir(tempfile.mkdtemp(prefix="empty-", dir=options.child.scratch))
        options.ray_here = None
        if options.address is None:
            from harness.embedded import Embedded

            options.ray_here = Embedded(options.child.scratch)
    if options.command in ("plan", "run"):
        from harness import commands_run

        known = {"plan": commands_run.plan_command, "run": commands_run.run_command}
        return known[options.command](options)
    if options.command == "list":
        from harness.commands_list import list_command

        return list_command(options)
    if options.command == "new":
        from harness.commands_new import new_command

        return new_command(options)
    if options.command == "check":
        from harness.engines.allocator import round_alike

        round_alike()  # before torch is loaded, as in the workers
        from harness.commands_check import check_command

        return check_command(options)
    if options.command == "explore":
        from harness.commands_explore import explore_command

        return explore_command(options)
    if options.command == "import":
        from harness.commands_import import import_command

        return import_command(options)
    if options.command == "prefetch":
        from harness.commands_prefetch import prefetch_command

        return prefetch_command(options)
    if options.command == "rescore":
        from harness.commands_rescore import rescore_command

        return rescore_command(options)
    if options.command == "completion":
        from harness.commands_completion import completion_command

        return completion_command(options)
    if options.command == "doctor":
        from harness.commands_doctor import doctor_command

        return doctor_command(options)
    if options.command == "publish":
        from harness.commands_publish import publish_command

        return publish_command(options)
    if options.command == "power":
        from harness import commands_power

        return commands_power.power_command(options)
    from harness import commands_advise, commands_compare, commands_results

    reading = {
        "status": commands_results.status_command,
        "report": commands_results.report_command,
        "leaderboard": commands_compare.leaderboard_command,
        "compare": commands_compare.compare_command,
        "advise": commands_advise.advise_command,
        "export": commands_results.export_command,
    }
    return reading[options.command](options)


def _from_here(name: str) -> str:
    """A path that stays right when the current folder changes; an address of a store as it is."""
    return str(Path.cwd() / name) if name and "://" not in name else name


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    top = argparse.ArgumentParser(prog="pacbench", description="Fair comparison of transfer-learning methods.")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    add = commands.add_parser("list", help="methods, tasks and suites that can be named, and where they come from")
    add.add_argument("what", nargs="?", choices=("methods", "tasks", "suites"))
    _json(add)

    add = commands.add_parser("new", help="write a package with a method or task, to be changed")
    add.add_argument("kind", choices=("method", "task"))
    add.add_argument("name", metavar="NAME", help="its name in suites: small letters, digits, underscores")
    add.add_argument("--out", metavar="FOLDER", help="where to write (default: ./pacbench-NAME)")

    add = commands.add_parser("check", help="try what a method or task promises, and say what to mend")
    add.add_argument("kind", choices=("method", "task"))
    add.add_argument("name", metavar="NAME", help="a name from `pacbench list`, or a .py file with one class")
    add.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a hyper-parameter or parameter")
    _json(add)

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
    add_import(commands)
    add_rescore(commands)
    add_publish(commands)

    add = commands.add_parser("doctor", help="what works here, what is missing for which feature, and how to get it")
    _json(add)

    add = commands.add_parser("completion", help="a script that completes commands and names in a shell")
    add.add_argument("shell", metavar="SHELL", choices=("bash", "zsh", "fish"), help="bash, zsh or fish")
    return top


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


if __name__ == "__main__":
    sys.exit(main())
