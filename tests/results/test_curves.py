"""Learning curves belong to committed rows, and to them alone."""

from __future__ import annotations

import pyarrow.parquet as pq
import pytest

from harness.curves import CURVE, commit_curves
from harness.ledger import Ledger
from results import curves, table
from results.schema import SCHEMA_VERSION


def row(key, attempt=1, status="done", curve=((50, 1.5), (60, 1.0))):
    identity = {"pair_key": "p", "suite": "s", "protocol": 1, "stage": "final", "exploratory": False}
    return {
        "schema_version": SCHEMA_VERSION,
        "key": key,
        "attempt": attempt,
        "status": status,
        CURVE: curve,
        **identity,
    }


def test_curves_come_back_with_their_rows(tmp_path):
    """In the order of key and step, under exactly the schema; a row without a curve has none."""
    rows = [row("b"), row("a", curve=((50, 0.25),)), row("c", curve=())]
    Ledger(tmp_path).append(commit_curves(tmp_path, rows))
    found = curves.read(tmp_path)
    assert found.schema == curves.SCHEMA
    assert [tuple(point.values()) for point in found.to_pylist()] == [
        ("a", 1, 50, "train", 0.25),
        ("b", 1, 50, "train", 1.5),
        ("b", 1, 60, "train", 1.0),
    ]
    assert len(table.read(tmp_path)) == 3


def test_a_folder_without_curves_reads_as_none(tmp_path):
    assert curves.read(tmp_path).schema == curves.SCHEMA
    assert len(curves.read(tmp_path)) == 0


def test_curves_of_attempts_without_a_row_are_left_out(tmp_path):
    """Killed before its row was committed, or superseded by a later attempt: not in the table."""
    commit_curves(tmp_path, [row("killed")])
    Ledger(tmp_path).append(commit_curves(tmp_path, [row("a", status="failed", curve=((50, 9.0),))]))
    Ledger(tmp_path).append(commit_curves(tmp_path, [row("a", attempt=2)]))
    assert {(p["key"], p["attempt"], p["step"]) for p in curves.read(tmp_path).to_pylist()} == {
        ("a", 2, 50),
        ("a", 2, 60),
    }


def test_an_attempt_begun_twice_has_one_curve(tmp_path):
    """Killed between curve and row, then run again in another pack: the points are there once, of one file."""
    commit_curves(tmp_path, [row("a", curve=((50, 1.0), (60, 2.0)))])
    Ledger(tmp_path).append(commit_curves(tmp_path, [row("a", curve=((50, 3.0), (60, 4.0))), row("b")]))
    values = [point["value"] for point in curves.read(tmp_path).to_pylist() if point["key"] == "a"]
    assert values in ([1.0, 2.0], [3.0, 4.0])


def test_a_damaged_file_is_named_and_the_others_are_read(tmp_path):
    for key in ("a", "b"):
        Ledger(tmp_path).append(commit_curves(tmp_path, [row(key)]))
    broken = next(iter((tmp_path / curves.FOLDER).glob("*.parquet")))
    lost = pq.read_table(broken)["key"][0].as_py()
    broken.write_bytes(broken.read_bytes()[:-10])
    with pytest.warns(UserWarning, match=broken.name):
        found = curves.read(tmp_path)
    assert set(found["key"].to_pylist()) == {"a", "b"} - {lost}


@pytest.mark.ray
def test_every_trial_of_a_campaign_has_its_curve(finished):
    """Of both stages; the last point is the last step."""
    rows = table.read(finished)
    found = curves.read(finished)
    assert set(rows["key"].to_pylist()) == set(found["key"].to_pylist())
    ends = {point["key"]: point["step"] for point in found.to_pylist()}
    assert set(ends.values()) == {20}
