"""The command line: parses, dispatches, and turns every user's mistake into one message. Heavy imports are lazy."""

from __future__ import annotations

import argparse
import importlib
import os
import signal
import sys
import tempfile
from pathlib import Path

from harness.arguments import parser
from harness.engines.allocator import round_alike
from harness.errors import UserError
from harness.shadowed import refuse_shadowed_packages
from harness.supervise import Child, supervised

BAD_INPUT, INTERRUPTED = 2, 130

STARTS_RAY = ("run", "explore")
"""Commands that work in a child process, which may be started again and resumes."""

COMMANDS = {
    "list": "commands_list",
    "new": "commands_new",
    "check": "commands_check",
    "plan": "commands_plan",
    "prefetch": "commands_prefetch",
    "run": "commands_run",
    "explore": "commands_explore",
    "status": "commands_status",
    "report": "commands_results",
    "leaderboard": "commands_compare",
    "compare": "commands_compare",
    "advise": "commands_advise",
    "power": "commands_power",
    "export": "commands_results",
    "import": "commands_import",
    "rescore": "commands_rescore",
    "publish": "commands_publish",
    "doctor": "commands_doctor",
    "completion": "commands_completion",
}
"""The module of each command, imported when it is given; what runs there is called `NAME_command`."""


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
    if options.command == "check":
        round_alike()  # before torch is loaded, as in the workers
    module = importlib.import_module(f"harness.{COMMANDS[options.command]}")
    status: int = getattr(module, f"{options.command}_command")(options)
    return status


def _from_here(name: str) -> str:
    """A path that stays right when the current folder changes; an address of a store as it is."""
    return str(Path.cwd() / name) if name and "://" not in name else name


if __name__ == "__main__":
    sys.exit(main())
