"""The Python interface says what the commands say, as Arrow tables and as values that show themselves."""

from __future__ import annotations

import builtins
import html.parser
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

import pacbench as pb
from harness import cli
from results import table
from results.schema import SCHEMA
from tests.results.campaigns import HOSTILE, anchored
from tests.results.campaigns import campaign as rows_of_campaign

SUITE = {
    "name": "mine",
    "tasks": ["friedman1", {"name": "friedman1", "shift": 2.0}],
    "methods": ["fine_tuning", {"name": "l2_sp", "label": "strong", "alpha": 1}],
    "target_sizes": (10, 20),
    "tuning": {"configs": 1},
    "final": {"seeds": 2},
    "budget": {"steps": 5},
}


@pytest.fixture
def command(capsys, monkeypatch):
    """command("compare", ...): what the command prints on a wide terminal, or the message that it ends with."""
    monkeypatch.setenv("COLUMNS", "100")

    def run(*arguments):
        status = cli.main([str(argument) for argument in arguments])
        said = capsys.readouterr()
        return said.out if status < 2 else said.err.removeprefix("pacbench: ").rstrip("\n")

    return run


@pytest.fixture(scope="module")
def many():
    """Rows of a made-up campaign that can be judged."""
    return table.latest(pa.Table.from_pylist(rows_of_campaign(change=anchored), schema=SCHEMA))


class Checker(html.parser.HTMLParser):
    """Fails for a tag that is not closed, and collects the text."""

    def __init__(self):
        super().__init__()
        self.open, self.text = [], []

    def handle_starttag(self, tag, attributes):
        assert tag in ("p", "b", "br", "table", "thead", "tbody", "tr", "th", "td", "details", "summary", "a"), tag
        assert not any(name.startswith("on") for name, _ in attributes)
        self.open += [] if tag == "br" else [tag]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def shown(value):
    """The text of a value's HTML."""
    checker = Checker()
    checker.feed(value._repr_html_())
    checker.close()
    assert checker.open == []
    return "".join(checker.text)


def same_text(value, printed):
    """Whether a value shows itself as the command prints it."""
    return repr(value).split("\n") == [line.rstrip() for line in printed.rstrip().split("\n")]


def test_rows_are_arrow_tables_of_the_row_schema(made):
    rows = pb.read(made)
    assert rows.schema.equals(SCHEMA)
    assert rows.equals(table.read(made))
    assert pb.read([made, str(made)]).equals(rows), "a trial that two places have counts once"
    assert pb.status(made).rows.equals(rows)


def test_published_boards_are_tables(command):
    rows = pb.board("standard")
    assert len(rows) == 19_008
    with pytest.raises(pb.UserError, match="did you mean 'standard'"):
        pb.board("standrad")


def test_status_is_the_commands(made, command):
    campaign = pb.status(made)
    assert (campaign.suite, campaign.planned, campaign.committed, campaign.missing) == ("small", 24, 24, 0)
    assert campaign.complete
    assert repr(campaign).startswith(command("status", made).rstrip())
    assert "24 done; complete" in shown(campaign)
    assert json.loads(command("status", made, "--json"))["counts"] == campaign.counts
    assert pb.status(campaign) == campaign


def test_judgements_are_the_commands(made, command):
    board = pb.leaderboard(made)
    assert same_text(board, command("leaderboard", made))
    assert board.table.num_rows == len(list(board)) == 3
    found = pb.compare(made, "pac", "fine_tuning", margin=0.1)
    asked = ("compare", made, "--candidate", "pac", "--baseline", "fine_tuning", "--margin", "0.1")
    assert same_text(found, command(*asked))
    assert json.loads(command(*asked, "--json")) == found.table.to_pylist()
    assert found.verdict == found.records[0].verdict


def test_a_table_of_rows_is_as_good_as_a_folder(made):
    """Filtered in Arrow, then judged; labels that were filtered away are unknown."""
    rows = pb.read(made)
    assert pb.compare(rows, "pac", "fine_tuning").records == pb.compare(made, "pac", "fine_tuning").records
    few = rows.filter(pc.not_equal(rows["label"], "pac"))
    with pytest.raises(pb.UserError, match="no rows with that label"):
        pb.compare(few, "pac", "fine_tuning")
    with pytest.raises(pb.UserError, match="rows without key"):
        pb.leaderboard(rows.drop_columns(["key"]))
    with pytest.raises(pb.UserError, match="table 1: not rows of this program"):
        pb.leaderboard(rows.set_column(rows.column_names.index("seed"), "seed", pa.array(["x"] * len(rows))))
    with pytest.raises(pb.UserError, match=r"pyarrow\.Table"):
        pb.leaderboard(7)
    with pytest.raises(pb.UserError, match="no rows are given"):
        pb.leaderboard([])


def test_rows_come_back_from_python_and_pandas(made):
    """Maps are lists of pairs there, or structs."""
    rows = pb.read(made)
    for back in (pa.Table.from_pylist(rows.to_pylist()), pa.Table.from_pandas(rows.to_pandas())):
        assert pb.compare(back, "pac", "fine_tuning").records == pb.compare(made, "pac", "fine_tuning").records


@pytest.mark.parametrize(
    ("mistake", "said"),
    [
        (lambda made: pb.compare(made, "pac", "fine_tuning", margin="0.05"), "expected a positive number"),
        (lambda made: pb.compare(made, "pac", None), "baseline None: expected a label"),
        (lambda made: pb.compare(made, ["pac"], "fine_tuning"), "expected a label"),
        (lambda made: pb.compare(made, "pac", "fine_tuning", board=[made, made]), "board: 2 places of rows"),
        (lambda made: pb.plan("quick", "final.seeds=3"), "expected a dictionary"),
        (lambda made: pb.plan("quick", ["final.seeds=3"]), "expected a dictionary"),
        (lambda made: pb.status(3), "folder 3: expected a folder's path"),
        (lambda made: pb.run("quick", None), "out None: expected a folder's path"),
        (lambda made: pb.publish(made, 3), "to 3: expected a folder's path"),
    ],
)
def test_other_types_are_one_message(made, mistake, said):
    with pytest.raises(pb.UserError, match=said):
        mistake(made)


def test_a_colon_in_a_files_name_is_no_address(made, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pb.report(made, "report:2")
    assert (tmp_path / "report:2" / "leaderboard.parquet").is_file()


def test_one_target_size(many):
    whole, small = pb.leaderboard(many), pb.leaderboard(many, 25)
    assert (whole.leaderboard.target_size, small.leaderboard.target_size) == (None, 25)
    assert small.sensitivity.first
    with pytest.raises(pb.UserError):
        pb.leaderboard(many, 26)


def test_beside_a_board(command, tmp_path):
    """By its name or as rows; what does not pair is said."""
    mine = pb.board("quick")
    by_name = pb.compare(mine, "pac", "fine_tuning", board="standard")
    by_rows = pb.compare(mine, "pac", "fine_tuning", board=pb.board("standard"))
    assert by_name.records == by_rows.records == ()
    assert by_name.verdict is None
    assert by_name.table.num_rows == 0
    assert by_name.paired.paired == 0
    for text in (repr(by_name), shown(by_name)):
        assert "another tuning budget" in text
        assert "Nothing is compared" in text
    with pytest.raises(pb.UserError) as caught:
        pb.compare(mine, "pac", "fine_tuning", board="stndard")
    pb.report(mine, tmp_path)  # rows of no folder have a report where one says
    rows = tmp_path / "rows.parquet"
    table.export(mine, rows)
    asked = ("compare", rows, "--candidate", "pac", "--baseline", "fine_tuning", "--board", "stndard")
    assert str(caught.value) == command(*asked)


def test_values_are_tables_in_a_notebook(many):
    """Names, numbers with intervals and the verdict are there; what is no number of ours is only text."""
    board, found = pb.leaderboard(many), pb.compare(many, "pac", "fine_tuning")
    assert all(standing.method in shown(board) for standing in board)
    assert found.verdict in shown(found)
    assert "Other tasks like these" in shown(found)

    def spoil(row):
        row |= {"label": HOSTILE[0] if row["label"] == "pac" else row["label"]}

    hostile = pa.Table.from_pylist(rows_of_campaign(change=spoil), schema=SCHEMA)
    for value in (pb.leaderboard(hostile), pb.compare(hostile, HOSTILE[0], "fine_tuning")):
        assert "<script" not in value._repr_html_()
        assert shown(value)


def test_text_is_text_in_a_notebook_too(made, monkeypatch, capsys):
    """There a kernel makes itself known by this name, and rich prints to it instead of where it is told to."""

    class ZMQInteractiveShell:
        pass

    before = repr(pb.leaderboard(made))
    monkeypatch.setattr(builtins, "get_ipython", ZMQInteractiveShell, raising=False)
    assert repr(pb.leaderboard(made)) == before
    assert capsys.readouterr().out == ""


def test_a_suite_from_a_dictionary_is_that_of_a_file(small_suite, tmp_path, monkeypatch):
    import tomllib

    named = pb.suite(small_suite)
    assert pb.suite(tomllib.loads(Path(small_suite).read_text())) == named
    assert named.methods == ("fine_tuning", "pac", "l2-sp strong")
    assert pb.suite(SUITE, {"final.seeds": 3, "target_sizes": [10]}).final_seeds == 3
    assert pb.suite(pb.suite(SUITE, {"final.seeds": 3}), {"budget.steps": 7}).final_seeds == 3
    assert "friedman1(shift=2.0)" in repr(pb.suite(SUITE))
    assert "friedman1(shift=2.0)" in shown(pb.suite(SUITE))
    (tmp_path / "here.py").write_text("import nothing_of_the_kind")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(pb.UserError, match=r"here\.py cannot be loaded"):
        pb.suite(SUITE | {"methods": ["./here.py"]})


def test_mistakes_of_a_suite_are_told_by_where_they_stand(command):
    for change, said in {
        ("methods", ("pca",)): "suite 'mine': methods[0]: unknown method 'pca'; did you mean 'pac'?",
        ("methods", (dict,)): "suite: methods[0] = <class 'dict'>; expected a text, .* is named by its file",
        ("steps", 5): "suite 'mine': unknown key 'steps'",
        ("name", None): "suite: name = None; expected a text",
        ("final", (("seeds", object),)): "expected a text, a number",
    }.items():
        key, value = change
        with pytest.raises(pb.UserError, match=said.replace("[", r"\[").replace("?", r"\?")):
            pb.suite(SUITE | {key: value})
    with pytest.raises(pb.UserError, match="expected a name, a path"):
        pb.suite(17)
    with pytest.raises(pb.UserError) as caught:
        pb.plan("quik")
    assert str(caught.value) == command("plan", "quik")


def test_a_plan_is_the_commands(made, small_suite, command):
    plan = pb.plan(small_suite, {"final.seeds": 4})
    told = json.loads(command("plan", small_suite, "--set", "final.seeds=4", "--json"))
    guessed = [name for name in told if name.startswith("estimated")]
    for name in set(told) - set(guessed):
        assert getattr(plan, name) == told[name], name
    low, high = plan.estimated_seconds_range
    assert low < plan.estimated_seconds < high
    assert str(plan.trials) in repr(plan)
    assert str(plan.trials) in shown(plan)
    other = pb.plan(small_suite, earlier=pb.status(made))
    assert other.note is None or "calibrating" in other.note


def test_a_report_is_written_and_says_the_answer(made, tmp_path, command):
    written = pb.report(made, tmp_path / "one")
    command("report", made, "--out", tmp_path / "two")
    for name in ("report.html", "report.md", "leaderboard.parquet"):
        assert Path(written.files[name]).read_bytes() == (tmp_path / "two" / name).read_bytes()
    assert written.answer.headline in repr(written)
    assert written.answer.headline in shown(written)
    assert written.refusal is None
    with pytest.raises(pb.UserError, match="out="):
        pb.report(pb.read(made))
