"""The command `list`: what can be named, and where it comes from."""

from __future__ import annotations

import json
from argparse import Namespace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from harness.catalogue import Catalogue, Offer
from harness.known import known_methods, known_suites, known_tasks, say_what_is_wrong
from harness.packages import BUILT_IN


def list_command(options: Namespace) -> int:
    """Print what can be named, one table per kind; what is wrong with installed packages goes to stderr."""
    all_of_them: dict[str, Catalogue[Any]] = {
        "methods": known_methods(),
        "tasks": known_tasks(),
        "suites": known_suites(),
    }
    shown = {what: held for what, held in all_of_them.items() if options.what in (None, what)}
    say_what_is_wrong(*shown.values())
    lines = {what: [_line(offer) for offer in held.offers()] for what, held in shown.items()}
    if options.json:
        skipped = [remark for held in shown.values() for remark in held.remarks()]
        print(json.dumps({**lines, "skipped": skipped}, indent=1))
        return 0
    console = Console()
    for what, entries in lines.items():
        _show(console, what, entries)
    return 0


def _line(offer: Offer[Any]) -> dict[str, str | None]:
    """Name, version, package and first line of what is offered; JSON values."""
    what, package = offer.value, offer.package
    is_file = isinstance(what, Path)
    return {
        "name": offer.name,
        "version": None if is_file else what.version,
        "package": None if package is BUILT_IN else package.name,
        "package_version": None if package is BUILT_IN else package.version,
        "summary": _first_comment(what) if is_file else (what.__doc__ or "").strip().split("\n")[0],
    }


def _show(console: Console, title: str, lines: list[dict[str, str | None]]) -> None:
    table = Table(box=None, title=title, title_justify="left", show_header=False, pad_edge=False)
    table.add_column(no_wrap=True, style="bold")
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    table.add_column(overflow="fold")
    for line in lines:
        package = f"{line['package']} {line['package_version']}" if line["package"] else str(BUILT_IN)
        table.add_row(*(escape(text or "") for text in (line["name"], line["version"], package, line["summary"])))
    console.print(table)
    console.print()


def _first_comment(path: Path) -> str:
    try:
        first = path.read_text(encoding="utf-8").split("\n")[0]
    except (OSError, UnicodeDecodeError):
        return "(cannot be read)"
    return first.removeprefix("#").strip() if first.startswith("#") else ""
