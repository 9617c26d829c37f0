"""The report: one HTML page that needs no network, the same in Markdown, and the standings as files."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import pyarrow as pa
from markupsafe import Markup

from results import display, figures, latex
from results.answer import answer
from results.belief_listing import belief_listing, belief_words
from results.board_listing import (
    drop_listing,
    power_listing,
    steadiness_listing,
    steadiness_words,
    wins_listing,
)
from results.board_listing import (
    shared_notes as shared_power_notes,
)
from results.board_panels import pareto_gallery, profile_gallery, rank_gallery, tuning_gallery
from results.compare import QUESTIONS
from results.findings import Findings, findings
from results.gallery import Gallery
from results.listing import cost_listing, markdown_table, retention_listing, score_listing, size_words
from results.origin import campaign_texts, origin
from results.panels import cost_gallery, forest_gallery, retention_gallery, score_gallery, task_forest_gallery
from results.table import export
from results.trial_listing import KEY_LETTERS, configuration_listing, key_listing, reason_listing, status_listing
from results.verdicts import (
    board_listing,
    board_table,
    board_words,
    comparison_listing,
    shared_notes,
    spreadsheet_safe,
    task_comparison_listing,
)

TEMPLATES = Path(__file__).parent / "templates"
TITLE = "Which transfer method, and how sure?"
PAGES = ("report.html", "report.md", "report.tex")
ORDER = (
    *("score-by-size", "difference-over-tasks", "difference-by-task", "leaderboard", "critical-difference"),
    *("win-rates", "performance-profile", "pareto", "score-by-cost", "source-retention", "tuning-curve"),
    *("score-table", "cost-table", "failures", "sensitivity", "power", "configuration-table", "provenance"),
)
"""The sections of the page."""
MOST_LINES = 2000
"""Lines of a table on the page, which must stay small; report.md has all."""
SCRIPTS = ("theme.js", "tables.js", "figures.js", "links.js")


def write_report(
    rows: pa.Table,
    folder: str | Path,
    *,
    baseline: str = "fine_tuning",
    title: str = TITLE,
    campaigns: Sequence[Mapping[str, Any]] = (),
    refusal: str | None = None,
) -> dict[str, Path]:
    """Write report.html, report.md, report.tex, leaderboard.csv and leaderboard.parquet; returns each path by its name.

    ``rows`` are all rows of one or several campaigns, ``campaigns`` what their campaign.json files hold. The same rows
    in any order give the same bytes. Rows that cannot be compared give a page that says why; ``refusal`` says why they
    must not be mixed, where that is known beforehand.
    """
    return write_pages(findings(rows, baseline, refusal), folder, title=title, campaigns=campaigns)


def write_pages(
    found: Findings, folder: str | Path, *, title: str = TITLE, campaigns: Sequence[Mapping[str, Any]] = ()
) -> dict[str, Path]:
    """The same from findings, for who has them already."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    facts = _facts(found, title, campaigns)
    paths = {name: folder / name for name in (*PAGES, "leaderboard.csv", "leaderboard.parquet")}
    for name in PAGES:
        staged = folder / f".tmp-{name}"
        staged.write_text(environment(html=name.endswith(".html")).get_template(f"{name}.j2").render(facts), "utf-8")
        staged.replace(paths[name])
    standings = board_table(found.boards)
    export(spreadsheet_safe(standings), paths["leaderboard.csv"])
    export(standings, paths["leaderboard.parquet"])
    return paths


def environment(html: bool) -> jinja2.Environment:
    """Templates that escape every value for HTML, or offer the filters that do so for Markdown."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=html,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"md": display.markdown, "table": markdown_table, "tex": latex.escape}
    environment.filters |= {"tabular": latex.tabular}
    return environment


def _facts(found: Findings, title: str, campaigns: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What the templates show."""
    look = figures.styles(found.labels, found.baseline if found.baseline in found.labels else None, figures.PAGE)
    galleries = _galleries(found, look)
    script = "".join((TEMPLATES / name).read_text("utf-8") for name in SCRIPTS)
    facts = {
        "title": display.name(title, 200),
        "answer": answer(found),
        "keys": [(display.name(label), style.group, Markup(figures.mark(style))) for label, style in look.items()],
        "galleries": galleries,
        "questions": {
            question: (comparison_listing(found.comparisons, question), shared_notes(found.comparisons, question))
            for question in QUESTIONS
        },
        "beliefs": (belief_listing(found.beliefs), belief_words(found.beliefs)),
        "task_comparisons": task_comparison_listing(found.per_task),
        "boards": [(size_words(board.target_size), board_words(board), board_listing(board)) for board in found.boards],
        "wins": wins_listing(found.wins),
        "steadiness": (steadiness_words(found.steadiness), steadiness_listing(found.steadiness)),
        "drops": drop_listing(found.steadiness),
        "power": (power_listing(found.designs), shared_power_notes(found.designs)),
        "scores": score_listing(found.cells),
        "retention": retention_listing(found.cells),
        "trial_keys": key_listing(found.cells),
        "key_letters": KEY_LETTERS,
        "costs": cost_listing(found.cells),
        "statuses": status_listing(found.rows),
        "reasons": reason_listing(found.rows),
        "configurations": configuration_listing(found.cells, found.rows),
        "origin": origin(found.rows),
        "campaigns": campaign_texts(campaigns),
        "row_count": display.count(len(found.rows)),
        "series": figures.SERIES,
        "series_dark": figures.SERIES_DARK,
        "most_lines": MOST_LINES,
        "script": script,
        "script_hash": base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    }
    return facts | {"contents": _contents(facts)}


def _contents(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The sections that the page has, in its order, each with its short name."""
    galleries = facts["galleries"]
    there = {identity: (gallery.short, True) for identity, gallery in galleries.items()}
    there |= {
        "leaderboard": ("Leaderboard", bool(facts["boards"])),
        "win-rates": ("Win rates", bool(facts["wins"].lines)),
        "score-table": ("Scores", bool(facts["scores"].lines)),
        "cost-table": ("Costs", bool(facts["scores"].lines)),
        "failures": ("Failures", True),
        "sensitivity": ("Sensitivity", bool(facts["boards"])),
        "power": ("Power", bool(facts["power"][0].lines)),
        "configuration-table": ("Configurations", bool(facts["configurations"].lines)),
        "provenance": ("Provenance", True),
    }
    return [(identity, there[identity][0]) for identity in ORDER if there.get(identity, ("", False))[1]]


def _galleries(found: Findings, look: dict[str, figures.Style]) -> dict[str, Gallery]:
    """The figures by identity in the order of the page, those without a single panel left out."""
    shown = [score_gallery(found.cells, found.overall, look)]
    if found.comparisons:
        shown.append(forest_gallery(found.comparisons, look, found.baseline))
        shown.append(task_forest_gallery(found.per_task, look, found.baseline))
    shown += [
        rank_gallery(found.boards, look),
        profile_gallery(found.profile, look),
        pareto_gallery(found.boards[0].pareto if found.boards else (), look),
        cost_gallery(found.cells, look),
        retention_gallery(found.cells, look),
        tuning_gallery(found.tuning, found.tuning_obstacle, look),
    ]
    return {gallery.identity: gallery for gallery in shown if gallery.panels or gallery.stands}
