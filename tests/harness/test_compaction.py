"""Many files become few, and at every moment each committed row is there once."""

from __future__ import annotations

import subprocess
import sys

import pyarrow.parquet as pq
import pytest

from harness import compaction
from harness.compaction import compact, compacting
from harness.curves import CURVE, commit_curves, merge_curves
from harness.ledger import Ledger
from results import curves, table
from results.committed import LEDGER, MANIFEST, MERGED, gather, read_manifest
from results.schema import SCHEMA, SCHEMA_VERSION
from tests.harness.test_ledger import row


def fill(folder, first, count):
    for number in range(first, first + count):
        Ledger(folder).append([row(f"key-{number:04d}", seed=number, score_test=number / 3, extra={"n": str(number)})])


def fill_curves(folder, first, count):
    """Rows with their curves, one commit each; and curves of attempts that never had a row."""
    for number in range(first, first + count):
        line = row(f"key-{number:04d}", seed=number) | {CURVE: ((1, number / 3), (2, number / 7))}
        lines = commit_curves(folder, [line, row("killed") | {CURVE: ((1, float(number)),)}])
        Ledger(folder).append(lines[:1])


def keys(folder):
    """The keys as the files hold them, sorted; what is in two files comes twice."""
    return sorted(gather(folder).rows["key"].to_pylist())


def test_compaction_changes_no_row(tmp_path):
    """All rows, all attempts and every bit are as before; the commits are gone, one file is there."""
    fill(tmp_path, 0, 30)
    Ledger(tmp_path).append([row("again", status="failed")])
    Ledger(tmp_path).append([row("again", attempt=2, score_test=0.1)])
    before = table.read_attempts(tmp_path)
    assert compact(tmp_path) == 32
    assert table.read_attempts(tmp_path).equals(before)
    assert len(list((tmp_path / LEDGER).glob("*.parquet"))) == 0
    assert len(list((tmp_path / LEDGER / MERGED).iterdir())) == 1
    assert compact(tmp_path) == 0


def test_merged_files_stay_few_and_old_rows_are_seldom_written_again(tmp_path):
    """After 40 compactions there are few files, and most of them kept the largest file as it was."""
    written = set()
    for turn in range(40):
        fill(tmp_path, 5 * turn, 5)
        compact(tmp_path)
        manifest = read_manifest(tmp_path)
        written |= set(manifest.rows.items())
        assert len(manifest.rows) <= 7
        assert len(manifest.merged) == 5, "names of commits that are gone must not pile up"
        assert {path.name for path in (tmp_path / LEDGER / MERGED).iterdir()} == set(manifest.rows)
    assert keys(tmp_path) == [f"key-{number:04d}" for number in range(200)]
    assert sum(rows for _, rows in written) < 200 * 8


def test_a_full_merged_file_is_left_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(compaction, "FULL", 10)
    fill(tmp_path, 0, 10)
    compact(tmp_path)
    first = list(read_manifest(tmp_path).rows)
    fill(tmp_path, 10, 10)
    compact(tmp_path)
    assert list(read_manifest(tmp_path).rows)[:1] == first
    assert len(keys(tmp_path)) == 20


def test_row_groups_are_neither_tiny_nor_everything(tmp_path, monkeypatch):
    monkeypatch.setattr(compaction, "GROUP", 8)
    fill(tmp_path, 0, 20)
    compact(tmp_path)
    (merged,) = (tmp_path / LEDGER / MERGED).iterdir()
    metadata = pq.ParquetFile(merged).metadata
    assert [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)] == [8, 8, 4]
    assert metadata.row_group(0).column(1).compression == "ZSTD"


def test_a_driver_compacts_beside_its_work_and_at_the_end(tmp_path, monkeypatch):
    monkeypatch.setattr(compaction, "MANY", 10)
    monkeypatch.setattr(compaction, "SECONDS", 0.05)
    fill(tmp_path, 0, 11)
    with compacting(tmp_path, lambda: True):
        for _ in range(200):
            if not list((tmp_path / LEDGER).glob("*.parquet")):
                break
            compaction.threading.Event().wait(0.05)
        assert read_manifest(tmp_path).rows
        fill(tmp_path, 11, 11)
    assert not list((tmp_path / LEDGER).glob("*.parquet"))
    assert len(keys(tmp_path)) == 22


def test_without_the_lease_nothing_is_compacted(tmp_path):
    fill(tmp_path, 0, 3)
    assert compact(tmp_path, lambda: False) == 0
    answers = iter([True, False])  # lost between merging and the swap
    assert compact(tmp_path, lambda: next(answers)) == 0
    assert not (tmp_path / LEDGER / MANIFEST).exists()
    assert len(keys(tmp_path)) == 3


def test_a_row_of_a_newer_program_is_not_merged(tmp_path):
    fill(tmp_path, 0, 2)
    newer = Ledger(tmp_path).append([row("newer", schema_version=SCHEMA_VERSION + 1)])
    assert compact(tmp_path) == 2
    assert newer.exists()


WRITER = """
import sys
from pathlib import Path
from harness.compaction import compact
from tests.harness.test_compaction import fill
folder = Path(sys.argv[1])
for turn in range(60):
    fill(folder, 4 * turn, 4)
    print(4 * turn + 4, flush=True)
    compact(folder)
"""


def test_a_reader_beside_a_compaction_sees_every_row_once(tmp_path):
    """Read again and again while another process commits and compacts: never a row less than were committed before
    the read began, never one twice, and no warning."""
    reads = 0
    with subprocess.Popen([sys.executable, "-c", WRITER, tmp_path], stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            found = keys(tmp_path)
            assert len(found) == len(set(found))
            assert len(found) >= int(line)
            reads += 1
    assert process.returncode == 0
    assert reads == 60
    assert len(keys(tmp_path)) == 240


def test_damage_is_set_aside_once_with_one_message(tmp_path, capsys):
    """The driver moves a damaged commit and a damaged merged file away; the others' rows are all there."""
    fill(tmp_path, 0, 3)
    compact(tmp_path)
    (merged,) = (tmp_path / LEDGER / MERGED).iterdir()
    fill(tmp_path, 3, 3)
    victim = next((tmp_path / LEDGER).glob("*.parquet"))
    (tmp_path / LEDGER / "foreign.parquet").write_bytes(b"not Parquet")
    for path in (merged, victim):
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 4
        path.write_bytes(content)
    Ledger(tmp_path).mend()
    printed = capsys.readouterr().err.splitlines()
    assert len(printed) == 3
    assert all(any(name in line for line in printed) for name in (merged.name, victim.name, "foreign.parquet"))
    aside = {path.name for path in (tmp_path / LEDGER / ".set-aside").iterdir()}
    assert aside == {merged.name, victim.name, "foreign.parquet"}
    assert len(keys(tmp_path)) == 2
    Ledger(tmp_path).mend()
    assert capsys.readouterr().err == ""
    table.read(tmp_path)  # a warning would be an error


@pytest.mark.parametrize(
    "content", [b"{", b'{"manifest_version": 1, "rows": {"../x.parquet": 1}, "merged": []}', b"[]"]
)
def test_a_damaged_manifest_costs_no_row(content, tmp_path, capsys):
    """Readers warn and read every file; the driver writes a new manifest from what is there."""
    fill(tmp_path, 0, 5)
    compact(tmp_path)
    fill(tmp_path, 5, 2)
    (tmp_path / LEDGER / MANIFEST).write_bytes(content)
    with pytest.warns(UserWarning, match=MANIFEST):
        assert len(table.read(tmp_path)) == 7
    Ledger(tmp_path).mend()
    assert MANIFEST in capsys.readouterr().err
    assert len(table.read(tmp_path)) == 7
    assert compact(tmp_path) == 2
    assert len(keys(tmp_path)) == 7


def test_an_older_file_reads_on_and_can_be_merged(tmp_path):
    """Rows of schema version 0, written before the last columns existed, beside rows of today."""
    older = SCHEMA.remove(SCHEMA.get_field_index("extra")).remove(SCHEMA.get_field_index("energy_joules"))
    lines = [{name: row("old", schema_version=0, seed=7).get(name) for name in older.names}]
    fill(tmp_path, 0, 1)
    pq.write_table(table.pa.Table.from_pylist(lines, schema=older), tmp_path / LEDGER / "older.parquet")
    for merge in (False, True):
        if merge:
            assert compact(tmp_path) == 2
        rows = {r["key"]: r for r in table.read(tmp_path).to_pylist()}
        assert (rows["old"]["schema_version"], rows["old"]["seed"], rows["old"]["extra"]) == (0, 7, None)
        assert len(rows) == 2


def test_curves_are_merged_and_read_as_before(tmp_path):
    """Also what is in two files, as after a kill, and what another program damaged stays where it is."""
    fill_curves(tmp_path, 0, 10)
    Ledger(tmp_path).append(commit_curves(tmp_path, [row("key-0003") | {CURVE: ((1, 9.0),)}]))
    before = curves.read(tmp_path)
    (tmp_path / curves.FOLDER / "foreign.parquet").write_bytes(b"not Parquet")
    assert merge_curves(tmp_path, lambda: False) == 0
    answers = iter([True, False])  # the lease was lost between merging and deletion
    assert merge_curves(tmp_path, lambda: next(answers)) == 0
    assert merge_curves(tmp_path) == 11
    assert [path.name for path in (tmp_path / curves.FOLDER).glob("*.parquet")] == ["foreign.parquet"]
    assert len(list((tmp_path / curves.FOLDER / MERGED).iterdir())) == 1
    with pytest.warns(UserWarning, match="foreign"):
        assert curves.read(tmp_path).equals(before)
    assert merge_curves(tmp_path) == 0


def test_a_driver_merges_curves_too(tmp_path, monkeypatch):
    monkeypatch.setattr(compaction, "MANY", 10)
    with compacting(tmp_path, lambda: True):
        fill_curves(tmp_path, 0, 11)
    assert not list((tmp_path / curves.FOLDER).glob("*.parquet"))
    assert not list((tmp_path / LEDGER).glob("*.parquet"))
    assert len(curves.read(tmp_path)) == 22


MERGER = """
import sys
from pathlib import Path
from harness.curves import merge_curves
from tests.harness.test_compaction import fill_curves
folder = Path(sys.argv[1])
for turn in range(40):
    fill_curves(folder, 4 * turn, 4)
    print(4 * turn + 4, flush=True)
    merge_curves(folder)
"""


def test_a_reader_beside_a_merging_of_curves_sees_every_curve(tmp_path):
    """A warning would be an error."""
    with subprocess.Popen([sys.executable, "-c", MERGER, tmp_path], stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            found = curves.read(tmp_path)["key"].to_pylist()
            assert len(found) == 2 * len(set(found)) >= 2 * int(line)
    assert process.returncode == 0
