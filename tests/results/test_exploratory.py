"""What was explored enters nothing: no board, no comparison, no report, whatever its rows say."""

from __future__ import annotations

import dataclasses

import pyarrow as pa
import pytest

import pacbench
from harness.cli import main
from results import schema
from results.advise import advise
from results.beside import beside
from results.cells import cells
from results.compare import compare
from results.design import designs
from results.errors import ResultsError
from results.findings import findings
from results.foreign import Mapping, rows_of
from results.foreign_account import Account
from results.leaderboard import leaderboard
from results.merging import Source, merged
from results.report import write_report
from results.sensitivity import sensitivity
from results.table import export, final_rows
from results.tuning_curve import tuning_curves
from tests.results.campaigns import anchored, campaign


def explored() -> list[dict[str, object]]:
    """The same trials as a perfect rival's, of both stages, some failed: hostile to whatever would count them."""
    rows = campaign({"fine_tuning": 0.3, "pac": 0.35, "explored only": 0.39}, sizes=(25, 100, 400), change=anchored)
    for number, row in enumerate(rows):
        row |= {"key": f"explored/{row['key']}", "exploratory": True, "suite": "explore", "host": "beta"}
        row |= {"status": "failed", "reason": "explored to death", "score_test": None} if number % 7 == 3 else {}
    return rows


@pytest.fixture(scope="module")
def clean() -> pa.Table:
    return schema.table(campaign(change=anchored))


@pytest.fixture(scope="module")
def mixed() -> pa.Table:
    return schema.table([*explored(), *campaign(change=anchored)])


JUDGEMENTS = {
    "final rows": lambda rows: final_rows(rows).to_pylist(),
    "leaderboard": lambda rows: dataclasses.asdict(leaderboard(rows)),
    "leaderboard of a size": lambda rows: dataclasses.asdict(leaderboard(rows, 25)),
    "sensitivity": lambda rows: dataclasses.asdict(sensitivity(rows)),
    "leaderboard of the dense grid": lambda rows: dataclasses.asdict(leaderboard(rows, leave_out_failures=True)),
    "compare": lambda rows: list(map(dataclasses.asdict, compare(rows, "fine_tuning"))),
    "advise": lambda rows: dataclasses.asdict(advise(rows, 50)),
    "power": lambda rows: list(map(dataclasses.asdict, designs(rows, "fine_tuning", 0.05, None, None))),
    "tuning curves": lambda rows: list(map(str, tuning_curves(rows))),
    "cells": lambda rows: list(map(str, cells(final_rows(rows)))),
    "findings": lambda rows: findings(rows, "fine_tuning").rows.to_pylist(),
}


@pytest.mark.parametrize("judgement", JUDGEMENTS)
def test_exploratory_rows_change_no_judgement(judgement, clean, mixed):
    """Better scores, failures, another method, another size: as if the rows were not there."""
    of = JUDGEMENTS[judgement]
    assert of(mixed) == of(clean)


def test_exploratory_rows_change_no_byte_of_a_report(clean, mixed, tmp_path):
    for name, path in write_report(mixed, tmp_path / "mixed").items():
        assert path.read_bytes() == (write_report(clean, tmp_path / "clean")[name]).read_bytes(), name


def test_exploratory_rows_make_no_board_incompatible(clean):
    """Another budget is no reason to refuse to mix: nothing of theirs is compared. Nor do they pair with a board."""
    other = schema.table([row | {"budget_steps": 7, "protocol": 9} for row in explored()])
    sources = [Source("a", clean, tuning_configs=4), Source("b", other, tuning_configs=9)]
    assert len(final_rows(merged(sources))) == len(final_rows(clean))
    with pytest.raises(ResultsError):
        beside(Source("a", other), Source("board", clean), "explored only", "fine_tuning")


COMMANDS = {
    "leaderboard": (),
    "compare": ("--candidate", "pac", "--baseline", "fine_tuning"),
    "advise": ("--target-size", "50"),
    "power": ("--difference", "0.05"),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_leave_exploratory_rows_out_and_say_so(command, clean, mixed, tmp_path, capsys):
    export(clean, tmp_path / "clean.parquet")
    export(mixed, tmp_path / "mixed.parquet")
    said = {}
    for name in ("clean", "mixed"):
        status = main([command, str(tmp_path / f"{name}.parquet"), *COMMANDS[command], "--json"])
        said[name] = (status, *capsys.readouterr())
    assert said["mixed"][:2] == said["clean"][:2]
    left_out = len(mixed) - len(clean)
    assert f"{left_out} exploratory rows are left out; what was explored enters no comparison" in said["mixed"][2]
    assert "exploratory" not in said["clean"][2]


def test_a_report_of_explored_rows_alone_compares_nothing(tmp_path, capsys):
    export(schema.table(explored()), tmp_path / "explored.parquet")
    assert main(["report", str(tmp_path / "explored.parquet"), "--out", str(tmp_path / "report")]) == 0
    assert "exploratory rows are left out" in capsys.readouterr().err
    assert "no final trials" in (tmp_path / "report" / "report.md").read_text()


def test_an_import_does_not_make_explored_rows_confirmatory(tmp_path):
    """An export says what was explored; no option of `import` takes that back."""
    export(schema.table(explored()), path := tmp_path / "explored.csv")
    kept = rows_of([path], Mapping(), schema.SCHEMA.empty_table(), Account(), set())
    assert set(kept["exploratory"].to_pylist()) == {True}
    export(schema.table(explored()).drop_columns(["schema_version", "key"]), less := tmp_path / "less.csv")
    for file in (path, less):
        for mapping in (Mapping(constants={"exploratory": "false"}), Mapping(columns={"exploratory": "dirty"})):
            with pytest.raises(ResultsError, match="enters no comparison under any name"):
                rows_of([file], mapping, schema.SCHEMA.empty_table(), Account(), set())


def test_whoever_reads_rows_gets_the_explored_ones_too(mixed, tmp_path):
    """Only what judges leaves them out."""
    export(mixed, tmp_path / "mixed.parquet")
    assert pacbench.read(tmp_path / "mixed.parquet")["exploratory"].to_pylist().count(True) == len(explored())
