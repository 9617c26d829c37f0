"""The command `check`: the contract's checks over one method or task, with what to mend."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import sys
import time
from argparse import Namespace
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from harness import settings, suite
from harness.catalogue import Catalogue
from harness.contract import METHOD_CHECKS, TASK_CHECKS, Finding, MethodUnderTest, TaskUnderTest
from harness.errors import UserError
from harness.known import known_methods, known_tasks, say_what_is_wrong
from harness.method import Method
from harness.packages import plugin_of
from harness.plugins import from_file
from harness.task import Task

CHECK_SECONDS = 300.0
"""A single check gets this long."""

WIDTH = 16
"""Columns of the longest name of a check, and one."""


def check_command(options: Namespace) -> int:
    """Print one line a check, or one JSON document: 0 no fault, 1 some. Raises: UserError."""
    torch.set_num_threads(1)  # as the workers do
    started = time.monotonic()
    thing = _thing(options)
    if not options.json:
        print(f"{options.kind} {thing.name}, version {thing.version}, {_origin(options, thing)}", flush=True)
    findings = []
    for found in _findings(options.kind, thing):
        findings.append(found)
        if not options.json:
            print(line(found), flush=True)
    counts = Counter(found.state for found in findings)
    document = {
        "kind": options.kind,
        "name": thing.name,
        "version": thing.version,
        "origin": _origin(options, thing),
        "settings": dataclasses.asdict(thing),
        "checks": [dataclasses.asdict(found) for found in findings],
        "ok": counts["ok"],
        "faults": counts["fault"],
        "not_checked": counts["not checked"],
        "hints": counts["hint"],
        "seconds": round(time.monotonic() - started, 1),
    }
    if options.json:
        print(json.dumps(document, indent=1))
    else:
        said = [f"{count} {'faults' if state == 'fault' and count > 1 else state}" for state, count in counts.items()]
        print(f"{', '.join(said)}; {document['seconds']} s")
    return 1 if counts["fault"] else 0


def line(found: Finding) -> str:
    """One line of the report: the state, the check, and what there is to say."""
    state = "FAULT" if found.state == "fault" else found.state
    text = f"{found.text}; mend: {found.mend}" if found.mend else found.text
    return f"{state:<11} {found.check:<{WIDTH}} {text}".rstrip()


def _findings(kind: str, thing: Any) -> Iterator[Finding]:
    """What the checks find, one after the other; what a method or task prints goes to stderr."""
    under_test: Any = MethodUnderTest(thing) if kind == "method" else TaskUnderTest(thing)
    for check in METHOD_CHECKS if kind == "method" else TASK_CHECKS:
        with contextlib.redirect_stdout(sys.stderr):
            found = check.examine(under_test, CHECK_SECONDS)
        yield found


def _thing(options: Namespace) -> Any:
    """The method or task that is asked for, with the settings given. Raises: UserError."""
    known: Catalogue[Any] = known_methods() if options.kind == "method" else known_tasks()
    say_what_is_wrong(known)
    if options.name.endswith(".py"):
        base: type[Any] = Method if options.kind == "method" else Task
        cls = from_file(Path(options.name).expanduser(), base, f"check {options.kind}")
    elif options.name in known:
        cls = known[options.name]
    elif Path(options.name).expanduser().is_dir():
        where = f"check {options.kind}: {options.name!r}"
        raise UserError(f"{where} is a folder; expected the name of a {options.kind} or a .py file")
    else:
        raise UserError(f"{known.missing(options.name)} (or give a path to a .py file)")
    given: dict[str, Any] = {}
    suite.override(given, options.set)
    return settings.build(cls, given, f"{options.kind} {cls.name}")


def _origin(options: Namespace, thing: Any) -> str:
    cls: type = type(thing)
    plugin = plugin_of(cls)
    if options.name.endswith(".py"):
        return f"from {options.name}"
    return f"from package {plugin.package}" if plugin else "built-in"
