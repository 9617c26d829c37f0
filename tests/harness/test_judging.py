"""leaderboard, compare and advise as a user meets them: documents, text that fits 80 columns, mistakes."""

from __future__ import annotations

import json
import shutil

import pytest

from harness.cli import main
from results.compare import Comparison
from results.table import export, read

PROMISED = (
    *("candidate", "baseline", "target_size", "question", "tasks", "seeds", "mean_difference", "interval_low"),
    *("interval_high", "hodges_lehmann", "probability_better", "wins", "ties", "losses", "p_value", "p_holm"),
    *("smallest_detectable", "verdict"),
)
BOARD = ("friedman_chi2", "friedman_p", "iman_davenport_f", "iman_davenport_p", "critical_difference", "methods")
STANDING = (
    *("mean_rank", "rank_low", "rank_high", "tie_group", "win_rate", "iqm", "elo", "elo_low", "elo_high"),
    *("tasks", "seeds", "failures"),
)
PAIR = ("--candidate", "pac", "--baseline", "fine_tuning")


@pytest.fixture
def told(capsys, monkeypatch):
    """Runs a command in this process; gives its exit status, what it printed, and what it complained of."""
    monkeypatch.setenv("COLUMNS", "80")

    def run(*arguments):
        status = main([str(argument) for argument in arguments])
        return status, *capsys.readouterr()

    return run


@pytest.fixture(scope="module")
def exported(made, tmp_path_factory):
    """The campaign's rows as one Parquet file."""
    path = tmp_path_factory.mktemp("exported") / "board.parquet"
    export(read(made), path)
    return path


def altered(made, tmp_path, name="other", **columns):
    """Rows of the campaign with other values in some columns, as a Parquet file."""
    import pyarrow as pa

    rows = read(made)
    for column, value in columns.items():
        values = [value(held) if callable(value) else value for held in rows[column].to_pylist()]
        index = rows.column_names.index(column)
        rows = rows.set_column(index, column, pa.array(values, rows.schema.field(column).type))
    export(rows, tmp_path / f"{name}.parquet")
    return tmp_path / f"{name}.parquet"


def test_documents_have_what_is_promised(told, made):
    """The JSON of compare and leaderboard has the keys of the contract, on stdout alone."""
    status, out, err = told("compare", made, *PAIR, "--json")
    records = json.loads(out)
    assert (status, err) == (0, "")
    assert all(set(PROMISED) <= set(record) for record in records)
    assert {(r["target_size"], r["question"]) for r in records} == {
        (size, question) for size in (None, 10, 20) for question in ("population", "fixed")
    }
    status, out, err = told("leaderboard", made, "--json")
    board = json.loads(out)
    assert (status, err) == (0, "")
    assert set(BOARD) <= set(board)
    assert all(set(STANDING) <= set(method) for method in board["methods"])
    assert {drop["kind"] for drop in board["sensitivity"]["drops"]} == {"method"}
    status, out, err = told("advise", made, "--target-size", 10, "--json")
    assert (status, err, json.loads(out)["says"]) == (0, "", False)


@pytest.mark.parametrize(
    "command", [("compare", *PAIR), ("leaderboard",), ("advise", "--target-size", 15, "--trainable-parameters", "1e4")]
)
def test_text_fits_eighty_columns(told, made, command):
    """No line is longer than the terminal, and no number is broken over two."""
    status, out, err = told(command[0], made, *command[1:])
    assert (status, err) == (0, "")
    assert max(map(len, out.splitlines())) <= 80
    assert not any(line.rstrip().endswith(("[", ",")) and "[" in line for line in out.splitlines()[2:8])


def test_a_campaign_is_itself_as_a_file(told, made, exported):
    """An exported file is read like the folder, and both together are the same rows once."""
    for arguments in (
        ("leaderboard", "--json"),
        ("compare", *PAIR, "--json"),
        ("advise", "--target-size", 10, "--json"),
    ):
        documents = [
            told(arguments[0], *places, *arguments[1:])[1] for places in ([made], [exported], [made, exported])
        ]
        assert documents[0] == documents[1] == documents[2]


def test_the_board_is_not_run_again(told, made, exported, tmp_path):
    """One's own rows beside a stored board pair by key: the numbers are those of one campaign."""
    mine = altered(made, tmp_path, label="mine", method="mine", key=lambda key: f"m{key}")
    status, out, err = told(
        "compare", mine, "--board", exported, "--candidate", "mine", "--baseline", "fine_tuning", "--json"
    )
    assert status == 2, "three labels became one: its trials have two results"
    assert "two results" in err or "two rows" in err
    renamed = altered(
        made, tmp_path, label=lambda label: "mine" if label == "pac" else f"own {label}", key=lambda key: f"m{key}"
    )
    asked = ("--candidate", "mine", "--baseline", "fine_tuning", "--json")
    status, out, err = told("compare", renamed, "--board", made, *asked)
    assert status == 0
    assert "4 of 4 final trials of mine pair with the board's." in err
    beside = {(r["target_size"], r["question"]): r for r in json.loads(out)}
    for record in json.loads(told("compare", made, *PAIR, "--json")[1]):
        found = beside[record["target_size"], record["question"]]
        for name in ("tasks", "seeds", "mean_difference", "interval_low", "wins", "p_value"):
            assert found[name] == record[name]
        assert (found["trials"], found["unpaired"]) == (4, {})


def test_what_does_not_pair_is_told(told, made, tmp_path):
    """Other data: nothing is compared, and that is said with the count and the reason."""
    other = altered(made, tmp_path, data_hash="e", label=lambda label: f"my {label}", key=lambda key: f"m{key}")
    asked = ("--candidate", "my pac", "--baseline", "fine_tuning")
    status, out, err = told("compare", other, "--board", made, *asked)
    assert (status, err) == (1, "")
    assert "0 of 4 final trials of my pac pair with the board's; left out:" in out
    assert "4 x another data hash" in out
    assert "Nothing is compared" in out
    status, out, err = told("compare", other, "--board", made, *asked, "--json")
    assert (status, json.loads(out)) == (1, [])
    assert "4 x another data hash" in err


@pytest.mark.parametrize(
    "command", [("leaderboard",), ("compare", *PAIR), ("advise", "--target-size", "10"), ("report",)]
)
def test_campaigns_of_other_conditions_are_not_mixed(told, made, tmp_path, command):
    """One message that names the columns, the values and the places; nothing is printed, and a report only refuses."""
    other = altered(
        made, tmp_path, protocol=7, budget_steps=9, label=lambda label: f"my {label}", key=lambda k: f"m{k}"
    )
    out_option = ("--out", tmp_path / "report") if command[0] == "report" else ()
    status, out, err = told(command[0], made, other, *command[1:], *out_option)
    assert f"protocol is 1 in {made}, 7 in {other}" in err
    assert f"budget_steps is 20 in {made}, 9 in {other}" in err
    assert err.count("\n") == 1
    if command[0] == "report":
        page = (tmp_path / "report" / "report.md").read_text()
        assert (status, "Nothing is averaged or compared: these rows are not mixed" in page) == (1, True)
        assert "## Test scores" not in page
    else:
        assert (status, out) == (2, "")


def test_two_campaigns_make_one_report(told, made, tmp_path):
    """Labels of two places stand on one page."""
    other = altered(made, tmp_path, label=lambda label: f"my {label}", key=lambda key: f"m{key}")
    status, _, err = told("report", made, other, "--out", tmp_path / "report")
    assert status == 0, err
    assert "my pac" in (tmp_path / "report" / "report.md").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("advise", "--target-size", "0"), "--target-size 0: expected a number of examples from 1"),
        (("advise", "--target-size", "10", "--memory", "8 bananas"), "--memory 8 bananas: expected a positive amount"),
        (("advise", "--target-size", "10", "--memory", "-1"), "--memory -1: expected"),
        (("advise", "--target-size", "10", "--memory", "1e999"), "--memory 1e999: expected"),
        (("advise", "--target-size", "10", "--trainable-parameters", "many"), "--trainable-parameters many"),
        (("advise", "--target-size", "10", "--seconds", "nan"), "--seconds nan: expected a positive number"),
        (("advise", "--target-size", "10", "--keep-source", "90"), "--keep-source 90: expected a share"),
        (("compare", "--candidate", "pak", "--baseline", "fine_tuning"), "did you mean 'pac'"),
        (("compare", "--candidate", "pac", "--baseline", "pac"), "are the same method"),
        (("compare", *PAIR, "--margin", "-1"), "--margin -1.0: expected a positive number"),
        (("compare", "--candidate", "a", "--baseline", "b", "--board", "standard"), "no rows of a or b"),
        (("compare", *PAIR, "--board", "/nowhere"), "/nowhere: no campaign here"),
    ],
)
def test_mistakes_are_one_message(told, made, arguments, message):
    """Exit status 2, one line, nothing on stdout."""
    status, out, err = told(arguments[0], made, *arguments[1:])
    assert (status, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("content", [b"", b"PAR1 no parquet PAR1", b"\x00" * 1000])
def test_a_file_that_is_no_board(told, made, tmp_path, content):
    """Damaged files are named."""
    (tmp_path / "board.parquet").write_bytes(content)
    status, out, err = told("compare", made, *PAIR, "--board", tmp_path / "board.parquet")
    assert (status, out) == (2, "")
    assert "board.parquet: cannot be read as rows" in err


def test_a_foreign_parquet_file_is_no_board(told, made, tmp_path):
    """It says which columns a file of rows has and where foreign results go."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"task": ["t"], "score": [0.5]}), tmp_path / "board.parquet")
    status, _, err = told("compare", made, *PAIR, "--board", tmp_path / "board.parquet")
    assert status == 2
    assert "rows without" in err
    assert "pacbench import" in err


def test_hostile_names_are_text(told, made, tmp_path):
    """Markup, control characters and long names do not break a table."""
    names = {"pac": "[red]x\x1b[31m" + "y" * 300, "fine_tuning": "\u202egnp", "l2-sp strong": "[/]"}
    other = altered(made, tmp_path, label=lambda label: names[label])
    for arguments in (("leaderboard",), ("advise", "--target-size", 10)):
        status, out, err = told(arguments[0], other, *arguments[1:])
        assert (status, err) == (0, "")
        assert "\x1b" not in out
        assert "[red]" in out
        assert max(map(len, out.splitlines())) <= 80


def test_an_empty_campaign(told, tmp_path, made):
    """Nothing committed is nothing to rank or to advise."""
    shutil.copy(made / "campaign.json", tmp_path / "campaign.json")
    assert "no final trials" in told("leaderboard", tmp_path)[1]
    assert "cannot say" in told("advise", tmp_path, "--target-size", 10)[1]


def test_the_record_is_the_contract():
    """Whatever prints it, a comparison has the promised fields first."""
    assert tuple(Comparison.__dataclass_fields__)[: len(PROMISED)] == PROMISED
