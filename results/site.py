"""A static folder that shows a board to anyone: pages, standings, rows, checksums, and a card for model hubs.

Every link is relative and nothing is loaded from elsewhere, so any web server can host it, and so can a hub, as a data
set or as a static page. The same rows give the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from results import display, figures
from results.answer import answer
from results.errors import ResultsError
from results.findings import Findings
from results.origin import campaign_texts
from results.report import TITLE, environment, write_pages
from results.table import export
from results.verdicts import board_listing, board_words

MARK: Final = "published.json"
MAKER: Final = "pacbench publish"
SUMS: Final = "SHA256SUMS"
WHAT: Final = {
    "report.html": "the whole report as one page",
    "report.md": "the same tables as Markdown",
    "report.tex": "the tables of claims for LaTeX",
    "leaderboard.csv": "the standings for a spreadsheet",
    "leaderboard.parquet": "the standings with their types",
    "rows.parquet": "every trial as a row, to be compared with",
}
SIZES: Final = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
"""How hubs say how many examples a data set has."""
LICENSE: Final = re.compile(r"[a-z0-9][a-z0-9.-]*")


@dataclass(frozen=True)
class File:
    """A file of the folder, as the pages list it."""

    name: str
    what: str
    size: str


def write_site(
    found: Findings,
    folder: Path,
    *,
    title: str | None = None,
    license: str | None = None,
    campaigns: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Path]:
    """Fill an empty folder; returns its files by name. ``license``: an identifier as hubs take it, as in apache-2.0.

    Raises: ResultsError if there is no final trial to show, or for a license or title that is none.
    """
    title = TITLE if title is None else title
    if license is not None and not LICENSE.fullmatch(license):
        raise ResultsError(
            f"license {license!r}: expected an identifier as hubs take it, as in apache-2.0 or cc-by-4.0"
        )
    if not title.strip() or not title.isprintable():
        raise ResultsError(f"title {title!r}: expected a line of text")
    if not found.boards:
        raise ResultsError(f"nothing to publish: {found.obstacle or 'no final trial is done'}")
    paths = write_pages(found, folder, title=title, campaigns=campaigns)
    export(found.rows, folder / "rows.parquet")
    texts = campaign_texts(campaigns)
    records = {("campaign.json" if len(texts) == 1 else f"campaign-{n}.json"): text for n, text in enumerate(texts, 1)}
    for name, text in records.items():
        (folder / name).write_text(text + "\n", "utf-8")
    what = {name: WHAT[name] for name in (*paths, "rows.parquet")} | dict.fromkeys(records, "what was run, as resolved")
    files = [File(name, words, _size(folder / name)) for name, words in what.items()]
    facts = _facts(found, title, license, files)
    for name in ("index.html", "README.md"):
        (folder / name).write_text(
            environment(html=name.endswith("html")).get_template(f"{name}.j2").render(facts), "utf-8"
        )
    return {name: folder / name for name in ("index.html", "README.md", *what, *_seal(folder))}


def _facts(found: Findings, title: str, license: str | None, files: Sequence[File]) -> dict[str, Any]:
    """What the two templates show."""
    count = len(found.rows)
    return {
        "title": display.name(title, 200),
        "title_text": json.dumps(title, ensure_ascii=False),  # a text of JSON is one of YAML
        "license": license,
        "size_category": next((words for most, words in SIZES if count < most), "1M<n<10M"),
        "answer": answer(found),
        "board": board_listing(found.boards[0]),
        "board_words": board_words(found.boards[0]),
        "baseline": found.baseline,
        "files": files,
        "sums": SUMS,
        "row_count": display.count(count),
        "series": figures.SERIES,
        "series_dark": figures.SERIES_DARK,
        "most_lines": count + 1,
    }


def _seal(folder: Path) -> tuple[str, str]:
    """Write the checksums of all files, for `sha256sum -c` and for who replaces the folder; their names."""
    held = {path.name: _hash(path) for path in sorted(folder.iterdir())}
    (folder / SUMS).write_text("".join(f"{digest}  {name}\n" for name, digest in held.items()), "utf-8")
    held[SUMS] = _hash(folder / SUMS)
    (folder / MARK).write_text(json.dumps({"made_by": MAKER, "sha256": held}, indent=1) + "\n", "utf-8")
    return SUMS, MARK


def foreign(folder: Path) -> str | None:
    """Why a folder is not just what `write_site` left there; None where it is, or is empty. Raises: OSError."""
    inside = sorted(folder.rglob("*"))
    if not inside:
        return None
    try:
        mark = json.loads((folder / MARK).read_bytes())
        held = dict(mark["sha256"]) if mark["made_by"] == MAKER else None
    except (OSError, ValueError, TypeError, KeyError):
        held = None
    if held is None:
        return f"it holds no {MARK} that `{MAKER}` wrote"
    for path in inside:
        name = path.relative_to(folder).as_posix()
        if name != MARK and name not in held:
            return f"it holds {name}, which `{MAKER}` did not write"
        if name != MARK and _hash(path) != held[name]:
            return f"{name} was changed since it was published"
    return None


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _size(path: Path) -> str:
    return display.scaled(path.stat().st_size, "bytes")
