"""The parts of pages that are made from the code, by name."""

from __future__ import annotations

import argparse
import dataclasses
import inspect
import re
from collections.abc import Callable, Iterator
from typing import Any

import gallery
import prose

from harness import suite
from harness.arguments import parser
from results import schema
from results.schema import SCHEMA


def command_line() -> str:
    """Every command with its arguments, from the parser that reads them."""
    lines = []
    for name, command in _commands(parser()):
        usage = command.format_usage().removeprefix("usage: ").strip()
        said = command.description or ""
        lines += [f"## {name}", "", said, "", "```text", usage, "```", "", "| argument | what |", "| --- | --- |"]
        for action in command._actions:
            if isinstance(action, argparse._HelpAction):
                continue
            names = ", ".join(action.option_strings) or action.metavar or action.dest
            value = f" {action.metavar or '{' + ','.join(action.choices) + '}'}" if _takes_value(action) else ""
            help_text = prose.markdown(" ".join((action.help or "").split())).replace("%%", "%")
            lines.append(f"| {prose.cell(names + value)} | {help_text} |")
        lines.append("")
    return "\n".join(lines)


def _commands(top: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    (commands,) = (action for action in top._actions if isinstance(action, argparse._SubParsersAction))
    said = {action.dest: action.help for action in commands._choices_actions}
    for name, command in commands.choices.items():
        command.description = f"{(said.get(name) or '').capitalize()}."
        yield name, command


def _takes_value(action: argparse.Action) -> bool:
    return bool(action.option_strings) and action.nargs != 0 and bool(action.metavar or action.choices)


def suite_tables() -> str:
    """The tables of a suite file with their keys, defaults and ranges."""
    lines = []
    for name, cls in suite.TABLES.items():
        lines += [f"### [{name}]", "", prose.markdown(inspect.getdoc(cls) or ""), "", *_fields(cls), ""]
    return "\n".join(lines)


def _fields(cls: Any) -> list[str]:
    lines = ["| key | default | allowed |", "| --- | --- | --- |"]
    for field in dataclasses.fields(cls):
        default = "from task and engine" if field.default is None else prose.cell(field.default)
        lines.append(f"| `{field.name}` | {default} | {gallery.allowed(field)} |")
    return lines


def row_columns() -> str:
    """Every column of a row with its type."""
    lines = ["| column | type |", "| --- | --- |"]
    return "\n".join([*lines, *(f"| `{item.name}` | `{item.type}` |" for item in SCHEMA)])


def row_notes() -> str:
    """The notes on single columns below the schema, as a table."""
    source = inspect.getsource(schema)
    notes = source.partition("Notes on single columns:\n")[2].partition('"""')[0]
    joined = re.sub(r"\n {10,}", " ", notes)
    lines = ["| column | note |", "| --- | --- |"]
    for line in filter(str.strip, joined.split("\n")):
        column, note = re.split(r"\s{2,}", line.strip(), maxsplit=1)
        lines.append(f"| {prose.cell(column)} | {prose.markdown(note)} |")
    return "\n".join(lines)


PARTS: dict[str, Callable[[], str]] = {
    "methods": gallery.methods,
    "tasks": gallery.tasks,
    "command_line": command_line,
    "suite_tables": suite_tables,
    "row_columns": row_columns,
    "row_notes": row_notes,
}
