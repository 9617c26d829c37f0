"""The command `rescore`: a new campaign from a campaign's stored predictions, without training."""

from __future__ import annotations

import contextlib
import importlib
import json
import sys
import textwrap
from argparse import Namespace
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from harness import plugins, provenance
from harness.errors import UserError, nearest
from harness.known import known_tasks
from harness.lease import lease
from harness.ledger import Ledger
from harness.record import RECORD, open_place, read_record
from harness.rescore import Metric, Rescored, rescore
from harness.rows import read_rows
from harness.settings import build
from harness.task import Task, check_task_class
from results.place import Place, explain, names, write_durably

SHOWN = 3


def rescore_command(options: Namespace) -> int:
    """Score again and say what was left out: 0 every row has a new score, 1 some have not, 2 bad input."""
    folder, out = open_place(options.folder), open_place(options.out).resolve()
    record = read_record(folder)
    metric = metric_of(options)
    rows = read_rows([options.folder])
    tasks = _tasks(record, options.task)
    torch.set_num_threads(1)  # as the workers do, so that sums are made in the same order
    found = rescore(folder, rows, tasks, metric)
    if not found.done:
        for line in _lines(found):
            print(line, file=sys.stderr)
        raise UserError(f"{options.folder}: no row can be scored again; nothing is written")
    _write(out, record, metric, found)
    document = {
        "out": str(options.out),
        "metric": metric.source,
        "rescored": found.done,
        "changed": found.changed,
        "rows": len(found.rows),
        "left_out": found.left_out.total(),
        "reasons": [{"reason": r, "count": n, "trials": found.places[r]} for r, n in found.left_out.most_common()],
    }
    if options.json:
        print(json.dumps(document, indent=1))
    else:
        for line in _lines(found):
            print(line, file=sys.stderr)
        print(f"{found.done:,} rows scored again, {found.changed:,} scores are other ones; in {options.out}")
    return 1 if found.left_out else 0


def metric_of(options: Namespace) -> Metric:
    """What `--metric` names. Raises: UserError."""
    named = options.metric
    if named is None:
        if options.name or options.higher_is_better:
            raise UserError("--name and --higher-is-better belong to --metric; a task says its own")
        return Metric()
    where, colon, attribute = named.rpartition(":")
    if not colon or not where or not attribute.isidentifier():
        raise UserError(f"--metric {named}: expected MODULE:FUNCTION or FILE.py:FUNCTION")
    if not options.higher_is_better:
        raise UserError(f"--metric {named}: say --higher-is-better true or false")
    held, source = _module(where, named)
    function = getattr(held, attribute, None)
    if not callable(function):
        known = [name for name, value in vars(held).items() if callable(value) and not name.startswith("_")]
        raise UserError(f"--metric {named}: {where} has no function {attribute!r}; {nearest(attribute, known)}")
    score: Callable[..., float] = function
    name = options.name or attribute
    return Metric(score, name, options.higher_is_better == "true", f"{source}:{attribute}")


def _module(where: str, named: str) -> tuple[Any, str]:
    """A module, and its name, with the hash of its content where it is a file. Raises: UserError."""
    if where.endswith(".py"):
        module, fingerprint = plugins.load(Path(where), f"--metric {named}")
        return module, f"{Path(where).name} {fingerprint}"
    try:
        with contextlib.redirect_stdout(sys.stderr):
            return importlib.import_module(where), where
    except (Exception, SystemExit) as error:
        raise UserError(f"--metric {named}: cannot be loaded ({type(error).__name__}: {error})") from error


def _tasks(record: dict[str, Any], files: list[str]) -> dict[str, Task | str]:
    """The campaign's tasks by id, or why one cannot be made."""
    installed = known_tasks()
    known: dict[str, type[Task]] = dict(installed)
    for file in files:
        cls = plugins.from_file(Path(file), Task, "--task")
        check_task_class(cls, f"--task {file}")
        known[cls.name] = cls
    found: dict[str, Task | str] = {}
    for entry in record["suite"].get("tasks", ()):
        name, parameters = entry.get("name"), entry.get("parameters")
        if name not in known:
            found[entry["id"]] = f"{installed.missing(str(name))}; if a file defines it, say --task FILE.py"
            continue
        try:
            task: Task = build(known[name], dict(parameters or {}), f"task {name}")
        except UserError as error:
            found[entry["id"]] = str(error)
            continue
        found[entry["id"]] = task if task.id == entry["id"] else f"is {task.id!r} now"
    return found


def _write(out: Place, record: dict[str, Any], metric: Metric, found: Rescored) -> None:
    """The new campaign, in a folder that holds none. Raises: UserError."""
    commit, dirty = provenance.source_commit()
    new = {
        "origin": "rescored",
        "suite": {"name": record["suite"]["name"]},
        "protocol": record["protocol"],
        "created_at": datetime.now(UTC).isoformat(),
        "commit": commit,
        "dirty": dirty,
        "metric": metric.source,
        "rescored": record,
    }
    try:
        with lease(out):
            if (out / RECORD).exists() or names(out / "ledger"):
                raise UserError(f"--out {out}: holds a campaign already; choose a folder of its own")
            write_durably(out / RECORD, (json.dumps(new, indent=1, sort_keys=True) + "\n").encode())
            Ledger(out).append(found.rows)
    except OSError as error:
        raise UserError(f"--out {out}: cannot be written ({explain(error)})") from error


def _lines(found: Rescored) -> list[str]:
    lines = []
    for reason, count in found.left_out.most_common():
        lines.append(f"pacbench: left out {count:,}: {reason}")
        more = ["..."] if count > SHOWN else []
        for place in [*found.places[reason][:SHOWN], *more]:
            lines += textwrap.wrap(place, 78, initial_indent="  ", subsequent_indent="    ")
    return lines
