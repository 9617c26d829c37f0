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

from results import display, figures
from results.answer import answer
from results.compare import QUESTIONS
from results.findings import Findings, findings
from results.gallery import Gallery
from results.listing import (
    KEY_LETTERS,
    configuration_listing,
    cost_listing,
    key_listing,
    markdown_table,
    reason_listing,
    retention_listing,
    score_listing,
    status_listing,
)
from results.origin import campaign_texts, origin
from results.panels import (
    cost_gallery,
    forest_gallery,
    retention_gallery,
    score_gallery,
    size_words,
    task_forest_gallery,
)
from results.table import export
from results.verdicts import (
    board_listing,
    board_table,
    board_words,
    comparison_listing,
    shared_notes,
    task_comparison_listing,
)

TEMPLATES = Path(__file__).parent / "templates"


def write_report(
    rows: pa.Table,
    folder: str | Path,
    *,
    baseline: str = "fine_tuning",
    title: str = "Which transfer method, and how sure?",
    campaigns: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Path]:
    """Write report.html, report.md, leaderboard.csv and leaderboard.parquet; returns each path by its name.

    ``rows`` are all rows of one or several campaigns, ``campaigns`` what their campaign.json files hold. The same rows
    in any order give the same bytes. Rows that cannot be compared give a page that says why.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    found = findings(rows, baseline)
    facts = _facts(found, title, campaigns)
    paths = {name: folder / name for name in ("report.html", "report.md", "leaderboard.csv", "leaderboard.parquet")}
    for name in ("report.html", "report.md"):
        staged = folder / f".tmp-{name}"
        staged.write_text(_environment(html=name.endswith(".html")).get_template(f"{name}.j2").render(facts), "utf-8")
        staged.replace(paths[name])
    for name in ("leaderboard.csv", "leaderboard.parquet"):
        export(board_table(found.boards), paths[name])
    return paths


def _environment(html: bool) -> jinja2.Environment:
    """Templates that escape every value for HTML, or offer the filters that do so for Markdown."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=html,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"md": display.markdown, "table": markdown_table}
    return environment


def _facts(found: Findings, title: str, campaigns: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What the templates show."""
    look = figures.styles(found.labels, found.baseline if found.baseline in found.labels else None, figures.PAGE)
    script = (TEMPLATES / "page.js").read_text("utf-8")
    return {
        "title": display.name(title, 200),
        "answer": answer(found),
        "keys": [(display.name(label), Markup(figures.mark(style))) for label, style in look.items()],
        "galleries": _galleries(found, look),
        "questions": {
            question: (comparison_listing(found.comparisons, question), shared_notes(found.comparisons, question))
            for question in QUESTIONS
        },
        "task_comparisons": task_comparison_listing(found.per_task),
        "boards": [(size_words(board.target_size), board_words(board), board_listing(board)) for board in found.boards],
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
        "script": script,
        "script_hash": base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    }


def _galleries(found: Findings, look: dict[str, figures.Style]) -> list[Gallery]:
    """The figures in the order of the page, those without a single panel left out."""
    shown = [score_gallery(found.cells, found.overall, look)]
    if found.comparisons:
        shown.append(forest_gallery(found.comparisons, look, found.baseline))
        shown.append(task_forest_gallery(found.per_task, look, found.baseline))
    shown += [cost_gallery(found.cells, look), retention_gallery(found.cells, look)]
    return [gallery for gallery in shown if gallery.panels or gallery.identity == "difference-over-tasks"]
