"""The report: what it says, that it stands alone, that it cannot be tricked, and that it invents nothing."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from results import schema
from results.answer import answer
from results.display import interval, markdown, name, number
from results.errors import ResultsError
from results.findings import findings
from results.picture import write_main_figure
from results.report import write_report
from tests.results.campaigns import HOSTILE, TASKS, Change, Row, anchored, campaign


def report(folder: Path, rows: list[Row] | pa.Table, **options: object) -> tuple[str, str]:
    """The HTML and the Markdown of a report."""
    table = rows if isinstance(rows, pa.Table) else schema.table(rows)
    paths = write_report(table, folder, **options)  # type: ignore[arg-type]
    return paths["report.html"].read_text("utf-8"), paths["report.md"].read_text("utf-8")


class Page(HTMLParser):
    """The elements, attributes and visible text of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def ids(self) -> list[str]:
        """All ids outside drawings."""
        return [attributes["id"] or "" for tag, attributes in self.elements if "id" in attributes and tag in HTML_TAGS]


HTML_TAGS = {"section", "table", "div", "main", "nav", "figure"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str, Path]:
    folder = tmp_path_factory.mktemp("report")
    html, text = report(
        folder, campaign(change=anchored), title="Suite quick", campaigns=[{"name": "quick", "protocol": 1}]
    )
    return html, text, folder


def test_page_has_every_part(made: tuple[str, str, Path]) -> None:
    """Answer, figures, tables, failures, configurations and provenance are all there, each figure with its sentence."""
    html, text, _ = made
    sections = {
        "score-by-size",
        "difference-over-tasks",
        "difference-by-task",
        "leaderboard",
        "critical-difference",
        "win-rates",
        "performance-profile",
        "pareto",
        "score-by-cost",
        "source-retention",
        "tuning-curve",
        "score-table",
        "cost-table",
        "failures",
        "sensitivity",
        "power",
        "configuration-table",
        "provenance",
    }
    assert sections <= set(Page(html).ids())
    for part in re.findall(r"<section.*?</section>", html, re.DOTALL):
        assert '<div class="panels">' not in part or '<p class="read">' in part
    for words in ("c0ffee", "torch 2.13.0", "alpha", "learning_rate", "d1", "What these rows do not show"):
        assert words in html
        assert words in text
    assert "&#34;protocol&#34;: 1" in html


def test_verdicts_are_repeated_and_never_strengthened(made: tuple[str, str, Path]) -> None:
    """With two tasks nothing can be decided, and neither the sentence nor the table says more than that."""
    html, text, _ = made
    found = answer(findings(schema.table(campaign()), "fine_tuning"))
    assert found.headline == "Over 2 tasks, these rows do not decide between fine_tuning and pac or scratch."
    assert found.headline in html
    assert found.headline in text
    assert any("tasks cannot decide" in limit for limit in found.limits)
    assert any("Undecided does not mean equal" in limit for limit in found.limits)
    assert "is better than" not in html


def test_decided_verdict_is_said_with_its_interval(tmp_path: Path) -> None:
    """Where the tasks suffice the headline uses the verdict's word, and the first table has the interval."""
    rows = campaign(tasks={f"t{i}": ("accuracy", True) for i in range(8)}, sizes=(25,), seeds=2)
    found = answer(findings(schema.table(rows), "fine_tuning"))
    assert found.headline == "Over 8 tasks, pac is better than fine_tuning; scratch is worse."
    assert found.verdicts is not None
    assert re.fullmatch(r"\+0\.\d+ \[0\.\d+,\s0\.\d+\]", found.verdicts.lines[0][2].text)


def test_page_loads_nothing(made: tuple[str, str, Path]) -> None:
    """No element points outside the page, the policy forbids loading, and the script is the one it names."""
    html, _, _ = made
    page = Page(html)
    for tag, attributes in page.elements:
        assert tag not in {"link", "iframe", "object", "embed", "img", "base"}
        assert "src" not in attributes
        for attribute in ("href", "xlink:href", "action"):
            assert (attributes.get(attribute) or "#").startswith("#")
        assert not [attribute for attribute in attributes if attribute.startswith("on")]
    assert not re.search(r"https?:|@import|url\((?!#)", html)
    assert "default-src 'none'" in html
    assert sum(tag == "script" for tag, _ in page.elements) == 1


def test_links_lead_somewhere(made: tuple[str, str, Path]) -> None:
    """Each entry of the contents has its section, and no id stands twice."""
    page = Page(made[0])
    ids = page.ids()
    assert len(ids) == len(set(ids))
    assert {a["href"] for tag, a in page.elements if tag == "a"} <= {f"#{identity}" for identity in ids}


def test_numbers_lead_to_trials(made: tuple[str, str, Path]) -> None:
    """The beginning of each final trial's key stands beside its cell."""
    text = "".join(Page(made[0]).text)
    for row in campaign():
        if row["stage"] == "final":
            assert str(row["key"])[:12] in text


def test_same_rows_give_same_bytes(made: tuple[str, str, Path], tmp_path: Path) -> None:
    """Shuffled rows give the same files, byte for byte, and nothing else is left in the folder."""
    shuffled = campaign(change=anchored)[::-1]
    report(tmp_path, shuffled[5:] + shuffled[:5], title="Suite quick", campaigns=[{"protocol": 1, "name": "quick"}])
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["leaderboard.csv", "leaderboard.parquet", "report.html", "report.md", "report.tex"]
    for file in names:
        assert (tmp_path / file).read_bytes() == (made[2] / file).read_bytes(), file


def test_leaderboard_files(made: tuple[str, str, Path]) -> None:
    """CSV and Parquet hold the same standings: over all sizes with a null size, then at each."""
    parquet = pq.read_table(made[2] / "leaderboard.parquet")
    csv = pyarrow.csv.read_csv(made[2] / "leaderboard.csv")
    assert parquet.column_names == csv.column_names
    assert parquet["method"].to_pylist() == csv["method"].to_pylist()
    assert parquet["target_size"].to_pylist() == [None] * 3 + [25] * 3 + [100] * 3
    assert parquet["method"][0].as_py() == "pac"


def test_hostile_names_are_text(tmp_path: Path) -> None:
    """Markup, quotes, formulas, direction marks and long names are shown, never obeyed."""

    def hostile(row: Row) -> None:
        row |= {"suite": HOSTILE[0], "host": HOSTILE[2], "metric": HOSTILE[1], "versions": {HOSTILE[0]: HOSTILE[1]}}
        row |= {"status": "failed", "reason": HOSTILE[0] + HOSTILE[4]} if row["seed"] == 2 else {}

    gains = {"fine_tuning": 0.0} | {label: 0.01 * place for place, label in enumerate(HOSTILE)}
    rows = campaign(gains, {HOSTILE[0]: ("a", True), HOSTILE[2] + HOSTILE[3]: ("b", False)}, change=hostile)
    html, text = report(tmp_path, rows, title=HOSTILE[0], campaigns=[{HOSTILE[0]: "</pre></script><script>"}])
    page = Page(html)
    assert sum(tag == "script" for tag, _ in page.elements) == 1
    assert not {"i", "pre>"} & {tag for tag, _ in page.elements}
    assert HOSTILE[0] in "".join(page.text)
    assert "\u27e8U+202E\u27e9gnp.evil" in "".join(page.text)
    for made in (html, text):
        assert not set("\u202e\u202c\x00") & set(made)
        assert "x" * 61 not in made
    assert "<script" not in text
    tables = [line for line in text.splitlines() if line.startswith("| ")]
    assert all(line.endswith(" |") for line in tables)


def test_absent_baseline_is_said(tmp_path: Path) -> None:
    """Without the baseline the page says so, ranks the methods and compares nothing."""
    html, text = report(tmp_path, campaign(), baseline="l2_sp")
    assert "The baseline l2_sp has no final rows here" in html
    assert "The baseline l2_sp has no final rows here" in text
    assert 'id="leaderboard"' in html
    assert "difference-over-tasks" not in html


def test_single_seed_has_no_interval(tmp_path: Path) -> None:
    """One seed on one task gives scores without intervals, and the page says that they have none."""
    rows = campaign(tasks={"digits": TASKS["digits"]}, sizes=(25,), seeds=1)
    html, text = report(tmp_path, rows)
    assert "single seed" in html
    scores = text[text.index("## Test scores") : text.index("## Source score")]
    assert "0.7" in scores
    assert not re.search(r"\[\d", scores)
    assert "verdict better" not in html


def only_tuning(row: Row) -> None:
    row |= {"stage": "tune", "score_test": None}


def all_failed(row: Row) -> None:
    row |= {"status": "failed", "reason": "ValueError: planted", "score_test": None, "trained_parameters": None}


def not_finite(row: Row) -> None:
    if row["stage"] == "final":
        row["score_test"] = float("nan") if row["label"] == "pac" else float("inf")


def all_declined(row: Row) -> None:
    row |= {"status": "declined", "reason": "no source data", "score_test": None}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (only_tuning, "There are no final trials among these rows yet"),
        (all_failed, "ValueError: planted"),
        (not_finite, "none of 3 seeds"),
        (all_declined, "no source data"),
    ],
)
def test_without_scores_the_page_is_honest(change: Change, words: str, tmp_path: Path) -> None:
    """Without a usable score the page says what is there, draws no score and shows no NaN."""
    html, text = report(tmp_path, campaign(change=change))
    shown = "".join(Page(html).text)
    assert words in shown
    assert "score-by-size" not in html
    for word in (r"\bnan\b", r"\binf\b", r"\bNone\b"):
        assert not re.search(word, shown)
        assert not re.search(word, text)


def test_no_rows_at_all(tmp_path: Path) -> None:
    """An empty campaign gives a page, and leaderboard files with their columns and no line."""
    html, _ = report(tmp_path, schema.SCHEMA.empty_table())
    assert "There are no final trials" in html
    assert pq.read_table(tmp_path / "leaderboard.parquet").num_rows == 0


def test_bare_foreign_rows(tmp_path: Path) -> None:
    """A task, a method, a seed and a score are enough; what is absent is a dash or no column, never a zero."""
    kept = {"task", "method", "seed", "score_test", "higher_is_better", "stage", "exploratory"}
    kept |= {"schema_version", "key", "pair_key", "suite", "protocol"}
    rows = [{k: v for k, v in row.items() if k in kept} for row in campaign(sizes=(None,)) if row["stage"] == "final"]
    html, text = report(tmp_path, rows)
    assert "No source score was measured" in html
    assert "source-retention" not in html
    assert not {"score-by-cost", "pareto", "tuning-curve"} & set(Page(html).ids())
    assert "not stated" in text
    assert "configurations tried" not in html + text


def test_configurations_tried_are_counted_stated_or_unknown(tmp_path: Path) -> None:
    """Tuning rows are counted; without them the final rows' own number stands, and without that a dash."""

    def final_only(row: Row) -> None:
        if row["label"] != "pac":
            row |= {"stage": "final", "exploratory": row["stage"] == "tune"}
            row |= {"tuning_configs": 1} if row["label"] == "scratch" else {}

    _, text = report(tmp_path, campaign(change=final_only))
    table = text[text.index("## Selected configurations") :].splitlines()
    tried = {
        label: [line.split(" | ")[-2:] for line in table if f"| {label} |" in line] for label in ("pac", "scratch")
    }
    assert tried["pac"][0] == ["2", "0 |"]
    assert tried["scratch"][0] == ["1", "– |"]
    assert next(line for line in table if "fine_tuning" in line).endswith("| – | – |")


def test_beliefs_stand_beside_the_verdict(made: tuple[str, str, Path]) -> None:
    """Each method's three probabilities in one line that adds up, and the sentence that says how to read them."""
    html, text, _ = made
    assert 'id="beliefs"' in html
    assert "the verdict and never in its place" in html
    assert "better, equivalent (within ± 0.05 normalised score) and worse" in text
    table = text[text.index("Bayesian signed ranks") :].splitlines()[2:6]
    assert table[0] == "| method | better | equivalent | worse | tasks |"
    for line in table[2:]:
        shares = [int(part) for part in re.findall(r"(\d+)\u00a0%", line)]
        assert 98 <= sum(shares) <= 102
    unanchored = findings(schema.table(campaign(tasks={"a": ("m", True), "b": ("m", True)})), "fine_tuning")
    assert {belief.rope for belief in unanchored.beliefs} == {0.0}


def test_campaigns_that_must_not_mix_give_a_page_that_refuses(tmp_path: Path) -> None:
    """The reason that is known beforehand stands on the page, and nothing is compared."""
    html, text = report(tmp_path, campaign(), refusal="these rows are not mixed: budget_steps is 1 in a, 2 in b")
    assert "Nothing is averaged or compared: these rows are not mixed: budget_steps" in html
    assert "budget\\_steps" in text or "budget_steps" in text
    assert "verdict better" not in html


def test_names_in_the_leaderboard_file_are_no_formulas(tmp_path: Path) -> None:
    """A spreadsheet shows names that begin as formulas do; numbers stay numbers, and Parquet has names as they are."""
    gains = {"fine_tuning": 0.0, "=1+2": 0.1, "+SUM(A1)": 0.2, "-2": 0.3, "@now": 0.4, "\tx": 0.5, "a=b": 0.6}
    report(tmp_path, campaign(gains))
    csv = pyarrow.csv.read_csv(tmp_path / "leaderboard.csv")
    named = set(csv["method"].to_pylist())
    assert named == {"fine_tuning", "'=1+2", "'+SUM(A1)", "'-2", "'@now", "'\tx", "a=b"}
    assert not pa.types.is_string(csv["mean_rank"].type)
    assert set(pq.read_table(tmp_path / "leaderboard.parquet")["method"].to_pylist()) == set(gains)


def test_rows_that_must_not_mix_are_not_averaged(tmp_path: Path) -> None:
    """Rows of two protocols give a page that refuses, with the reason and the provenance, and no number."""

    def second_protocol(row: Row) -> None:
        row["protocol"] = 1 if row["label"] == "pac" else 2

    html, _ = report(tmp_path, campaign(change=second_protocol))
    assert "Nothing is averaged or compared: rows of different protocols" in html
    assert 'id="scores"' not in html
    assert "c0ffee" in html


def test_failed_seeds_are_counted_and_explained(tmp_path: Path) -> None:
    """A failed seed stands in the score's cell, in the counts and with its reason."""

    def one_fails(row: Row) -> None:
        if (row["label"], row["seed"], row["target_size"]) == ("pac", 1, 25):
            row |= {"status": "oom", "reason": "out of memory", "score_test": None}

    html, text = report(tmp_path, campaign(change=one_fails))
    assert "(2 of 3 seeds)" in html
    assert "2 final trials failed" in html
    assert "out of memory" in text


def test_main_figure(tmp_path: Path) -> None:
    """The README's picture is written as SVG or PNG, the same every time; other suffixes and empty rows are refused."""
    rows = schema.table(campaign())
    write_main_figure(rows, tmp_path / "a.svg")
    write_main_figure(rows, tmp_path / "a.png")
    first = (tmp_path / "a.svg").read_bytes()
    write_main_figure(rows, tmp_path / "a.svg")
    assert first == (tmp_path / "a.svg").read_bytes()
    assert b"pac" in first
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    for path, given in ((tmp_path / "a.pdf", rows), (tmp_path / "b.svg", schema.SCHEMA.empty_table())):
        with pytest.raises(ResultsError):
            write_main_figure(given, path)


@pytest.mark.parametrize("sizes", [(25, 100), (25,), (None,)])
def test_main_figure_of_many_tasks(sizes: tuple[int | None, ...], tmp_path: Path) -> None:
    """It shows mean differences over tasks, a column for each size."""
    tasks = {f"task_{place}": ("accuracy", True) for place in range(8)}
    write_main_figure(schema.table(campaign(tasks=tasks, sizes=sizes)), tmp_path / "a.svg")
    drawn = (tmp_path / "a.svg").read_text()
    titles = {25: "n = 25", 100: "n = 100", None: "all sizes"}
    assert {size: title in drawn for size, title in titles.items()} == {size: size in sizes for size in titles}
    assert "task_3" not in drawn


def test_values_as_text() -> None:
    """Numbers keep their significant digits, intervals suit their width, and what is unknown is a dash."""
    assert [number(x) for x in (0, 0.12345, 1234.5, -2.0, 1.5e9, None, float("nan"))] == [
        "0",
        "0.123",
        "1,234",
        "−2.00",
        "1.50e+09",
        "–",
        "–",
    ]
    assert interval(-0.0123, 0.0456).replace("\u00a0", " ") == "[−0.012, 0.046]"
    assert interval(None, 1.0) == "–"
    assert name("a\u202eb") == "a\u27e8U+202E\u27e9b"
    assert markdown("fine_tuning [1, 2] <b> a|b _x_") == r"fine_tuning [1, 2] &lt;b> a&#124;b \_x\_"


ONE_TASK = {"digits": TASKS["digits"]}
FOREIGN = {"task", "method", "seed", "score_test", "higher_is_better", "stage", "exploratory"}
FOREIGN |= {"schema_version", "key", "pair_key", "suite", "protocol"}


def pac_failed(row: Row) -> None:
    if row["label"] == "pac":
        row |= {"status": "failed", "reason": "ValueError: planted", "score_test": None, "score_validation": None}


def tied(row: Row) -> None:
    row |= {"score_test": 0.5 if row["stage"] == "final" else None, "score_validation": 0.5}


def strange(row: Row) -> None:
    if row["stage"] == "final" and row["seed"] == 0:
        row["score_test"] = float("nan") if row["label"] == "pac" else float("inf")
    row |= {"score_source_after": float("nan"), "adapt_seconds": float("inf"), "trained_parameters": 0}


def immense(row: Row) -> None:
    row["score_test"] = 1e300 * (1 + int(str(row["seed"]))) if row["stage"] == "final" else None


def foreign() -> list[Row]:
    rows = [row for row in campaign(sizes=(None,)) if row["stage"] == "final"]
    return [{k: v for k, v in row.items() if k in FOREIGN} | {"key": str(i)} for i, row in enumerate(rows)]


def incomplete() -> list[Row]:
    rows = campaign(tasks={f"t{place}": ("accuracy", True) for place in range(6)}, sizes=(25,))
    absent = {"pac": {"t1", "t2"}, "scratch": {"t1", "t2", "t3", "t4", "t5"}}
    return [row for row in rows if row["task"] not in absent.get(str(row["label"]), set())]


ODD = {
    "one task": (campaign(tasks=ONE_TASK, change=anchored), "one task says nothing about others"),
    "one seed": (campaign(seeds=1, change=anchored), "There is a single seed, so no score has an interval."),
    "one of each": (campaign(tasks=ONE_TASK, seeds=1, sizes=(25,)), "without an interval: so few trials give none"),
    "all ties": (campaign(change=tied), "won 0, tied 2 and lost 0 of 2 tasks"),
    "always failed": (campaign(change=pac_failed), "12 final trials failed"),
    "not finite": (campaign(change=strange), "12 final trials are done with a score that is not finite"),
    "immense": (campaign(change=immense), "these rows do not decide"),
    "foreign": (foreign(), "No source score was measured"),
    "incomplete": (incomplete(), "scratch: Only 1 of 6 tasks has both labels with a common seed."),
    "no size": (campaign(sizes=(-5, 0)), "target sizes -5, 0"),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_rows_give_honest_pages(name: str, tmp_path: Path) -> None:
    """Whatever rows lack, all pages are made, say it, and hold no number that is none."""
    rows, words = ODD[name]
    html, text = report(tmp_path, rows)
    body = re.sub(r"<(script|style)>.*?</\1>", "", html, flags=re.DOTALL)
    for page in ("".join(Page(body).text), text, (tmp_path / "report.tex").read_text("utf-8")):
        assert not re.search(r"\b(nan|inf|None)\b", page), page
    assert words in "".join(Page(body).text)
    assert not re.search(r'="[^"]*\b(nan|inf)\b', body)


def test_latex_is_text(tmp_path: Path) -> None:
    """In LaTeX nothing in a name is a command, and nothing is beyond what its usual fonts hold."""
    gains = {"fine_tuning": 0.0} | {label: 0.01 * place for place, label in enumerate((*HOSTILE, "50%_$x$^{#}\\input"))}
    report(tmp_path, campaign(gains))
    tex = (tmp_path / "report.tex").read_text("utf-8")
    assert r"50\%\_\$x\$\textasciicircum{}\{\#\}\textbackslash{}input" in tex
    assert r"\textless{}script\textgreater{}" in tex
    assert re.fullmatch(r"[\x0a\x20-\x7e\xc0-\xff]*", tex)
    for table in re.findall(r"\\begin{tabular}{([lr]+)}(.*?)\\end{tabular}", tex, re.DOTALL):
        for line in table[1].splitlines():
            if line.endswith(r"\\"):
                assert len(re.findall(r"(?<!\\)&", line)) == len(table[0]) - 1
    assert tex.count("{") - tex.count(r"\{") == tex.count("}") - tex.count(r"\}")


def test_many_tasks_fit_on_a_page(tmp_path: Path) -> None:
    """Twelve methods on fifty tasks give a page of at most three megabytes, which says what it does not draw."""
    gains = {"fine_tuning": 0.0} | {f"method_{place}": 0.01 * place for place in range(11)}
    tasks = {f"task_{place:02d}": ("accuracy", True) for place in range(50)}
    html, _ = report(tmp_path, campaign(gains, tasks, seeds=2))
    assert len(html.encode()) <= 3_000_000
    assert "Drawn: the first 8 of 50 tasks by name. All are in" in html
    assert len(re.findall(r'<figure class="panel" id="score-\d', html)) == 8
