"""Writing what rows say: the report, and a folder that a web server or a model hub can show."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from markupsafe import Markup
from rich.console import Console

from harness.errors import UserError
from harness.record import open_place, read_record
from pacbench import show
from pacbench.rows import One, Rows, address, sources, text_of
from results.place import Place

if TYPE_CHECKING:
    from results.answer import Answer


@dataclass(frozen=True, repr=False)
class Report:
    """The files that were written, by name, and the answer on the first screen.

    ``refusal`` says why nothing is compared where the campaigns must not be mixed, else it is None.
    """

    files: dict[str, str]
    answer: Answer
    refusal: str | None

    def __repr__(self) -> str:
        return show.text(self._draw)

    def _draw(self, console: Console) -> None:
        for sentence in (self.answer.headline, self.answer.lead, self.answer.facts, *self.files.values()):
            if sentence:
                console.print(sentence, markup=False)

    def _repr_html_(self) -> str:
        answer = self.answer
        link = Markup('<a href="{}" target="_blank">{}</a>')
        links = Markup(" · ").join(link.format(_link(path), name) for name, path in self.files.items())
        return show.page(
            show.bold(answer.headline),
            show.lines([answer.lead] if answer.lead else []),
            show.table(answer.verdicts) if answer.verdicts else "",
            show.lines([answer.facts]),
            Markup("<p>{}</p>").format(links),
        )


def report(rows: Rows, out: str | os.PathLike[str] | None = None, *, baseline: str = "fine_tuning") -> Report:
    """Write report.html, .md and .tex, leaderboard.csv and .parquet to ``out``, or to `report/` in the first campaign.

    Raises: UserError for rows that cannot be read, or a folder that cannot be written.
    """
    from harness.reporting import write  # what draws figures
    from results.answer import answer

    found, records = sources(rows), campaigns(rows)
    folder = open_place(text_of(out, "out")) if out is not None else _beside(rows)
    written = write(found, folder, baseline, list(records.values()))
    files = {name: str(path) for name, path in written.files.items()}
    return Report(files, answer(written.found), written.refusal)


def publish(
    rows: Rows,
    to: str | os.PathLike[str],
    *,
    baseline: str = "fine_tuning",
    title: str | None = None,
    license: str | None = None,
) -> dict[str, str]:
    """Write a folder that any web server or model hub can show: page, report, board, rows; returns its files by name.

    A folder that is there is replaced only if it is what this function made. Raises: UserError.
    """
    from harness.publishing import publish as write

    return write(sources(rows), text_of(to, "to"), baseline, campaigns(rows), title=title, license=license)


def campaigns(rows: Rows) -> dict[str, dict[str, object]]:
    """The campaign.json of every campaign among the rows, by where it lies."""
    found: dict[str, dict[str, object]] = {}
    for one in _each(rows):
        where = address(one)
        if where is not None and not Path(where).is_file():
            found[where] = read_record(open_place(where))
    return found


def _beside(rows: Rows) -> Place:
    first = address(_each(rows)[0])
    if first is None or Path(first).is_file():
        raise UserError("these rows lie in no campaign's folder; say where the report goes with out=")
    folder = open_place(first) / "report"
    if isinstance(folder, Path) and folder.is_symlink():
        raise UserError(f"{folder} is a link to {folder.resolve()}; say out={str(folder.resolve())!r} if you mean that")
    return folder


def _each(rows: Rows) -> list[One]:
    several: list[One] = [*rows] if isinstance(rows, Sequence) and not isinstance(rows, str) else [rows]
    return several


def _link(path: str) -> str:
    """A path as a notebook's page reaches it: relative to the current folder where it lies inside."""
    whole, here = Path(path).absolute(), Path.cwd()
    return whole.relative_to(here).as_posix() if whole.is_relative_to(here) and "://" not in path else path
