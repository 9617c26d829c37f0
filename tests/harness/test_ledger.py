"""Commits are complete or absent; the reader survives what it finds."""

from __future__ import annotations

import multiprocessing
import warnings

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from harness.ledger import OUTCOME, Ledger
from results import table
from results.place import write_durably
from results.schema import SCHEMA, SCHEMA_VERSION

IDENTITY = {
    "schema_version": SCHEMA_VERSION,
    "pair_key": "p",
    "suite": "s",
    "protocol": 1,
    "stage": "final",
    "exploratory": False,
}


def row(key, **columns):
    return {**IDENTITY, "key": key, "status": "done", "attempt": 1, **columns}


def test_rows_come_back_as_they_went_in(tmp_path):
    """Nulls stay null, maps stay maps, under exactly the schema."""
    Ledger(tmp_path).append([row("a", extra={"x": "1"}, score_test=0.5), row("b")])
    rows = table.read(tmp_path)
    assert rows.schema == SCHEMA
    assert rows["score_test"].to_pylist() == [0.5, None]
    assert rows["extra"].to_pylist() == [[("x", "1")], None]


def test_a_row_without_identity_is_refused(tmp_path):
    with pytest.raises(ValueError, match="missing"):
        Ledger(tmp_path).append([{"key": "a"}])
    with pytest.raises(ValueError, match="unknown"):
        Ledger(tmp_path).append([row("a", colour="red")])
    assert not list(tmp_path.glob("ledger/*"))


def test_first_done_attempt_wins_else_the_last(tmp_path):
    ledger = Ledger(tmp_path)
    ledger.append([row("a", status="failed"), row("b", status="failed")])
    ledger.append([row("a", attempt=2, score_test=1.0), row("b", attempt=2, status="timeout")])
    ledger.append([row("a", attempt=3, score_test=2.0)])
    rows = table.read(tmp_path).to_pylist()
    assert [(r["key"], r["attempt"], r["status"], r["score_test"]) for r in rows] == [
        ("a", 2, "done", 1.0),
        ("b", 2, "timeout", None),
    ]


def test_outcomes_follow_the_ledger_and_read_each_file_once(tmp_path):
    """What a campaign decides by agrees with the rows after every commit, whoever made it, in whatever order."""
    ledger = Ledger(tmp_path)
    assert len(ledger.outcomes()) == 0
    commits = [
        [row("a", status="failed"), row("b", score_validation=0.5)],
        [row("a", attempt=3, score_validation=2.0)],
        [row("a", attempt=2, score_validation=1.0), row("c", status="declined")],
    ]
    for rows in commits:
        Ledger(tmp_path).append(rows)
        wanted = table.read(tmp_path).select(list(OUTCOME)).to_pylist()
        assert sorted(ledger.outcomes().to_pylist(), key=lambda r: r["key"]) == wanted
    assert [r["attempt"] for r in wanted] == [2, 1, 1]
    for path in table.ledger_files(tmp_path):
        path.write_bytes(b"read again, this would be a warning")
    assert len(ledger.outcomes()) == 3


def test_damaged_file_is_named_and_the_others_are_read(tmp_path):
    ledger = Ledger(tmp_path)
    whole, broken = ledger.append([row("a")]), ledger.append([row("b")])
    broken.write_bytes(broken.read_bytes()[:-40])
    (whole.parent / ".tmp-half").write_bytes(b"PAR1")
    with pytest.warns(UserWarning, match=broken.name):
        rows = table.read(tmp_path)
    assert rows["key"].to_pylist() == ["a"]


def test_newer_schema_is_refused(tmp_path):
    Ledger(tmp_path).append([row("a", schema_version=SCHEMA_VERSION + 1)])
    with pytest.raises(ValueError, match="schema version"):
        table.read(tmp_path)


def test_file_with_fewer_and_foreign_columns_reads_on(tmp_path):
    (tmp_path / "ledger").mkdir()
    columns = {"key": ["old"], "stage": ["final"], "colour": ["red"], "seed": pa.array([3], pa.int32())}
    pq.write_table(pa.table(columns), tmp_path / "ledger" / "old.parquet")
    rows = table.read(tmp_path)
    assert rows.schema == SCHEMA
    assert rows["seed"].to_pylist() == [3]


def _append_many(folder, worker):
    for index in range(20):
        Ledger(folder).append([row(f"{worker}-{index}")])


def test_eight_writers_lose_nothing(tmp_path):
    context = multiprocessing.get_context("fork")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # forking beside threads: these children only write files
        workers = [context.Process(target=_append_many, args=(tmp_path, worker)) for worker in range(8)]
        for worker in workers:
            worker.start()
    for worker in workers:
        worker.join()
    assert len(table.read(tmp_path)) == 160


def test_failed_write_leaves_nothing_behind(tmp_path):
    with pytest.raises(TypeError):
        write_durably(tmp_path / "file", "text")  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".arrow"])
def test_export_keeps_every_row(suffix, tmp_path):
    """Each format gives back the same keys and scores."""
    Ledger(tmp_path).append([row("a", score_test=0.1, extra={"x": "1"}), row("b")])
    path = tmp_path / f"rows{suffix}"
    table.export(table.read(tmp_path), path)
    readers = {".parquet": pq.read_table, ".csv": pa.csv.read_csv, ".arrow": pa.feather.read_table}
    back = readers[suffix](path)
    assert back.column_names == SCHEMA.names
    assert back["score_test"].to_pylist() == [0.1, None]
