"""Many committed files become few: merge, swap the manifest, delete. Safe to kill at any instruction.

Only the campaign's one driver compacts (see `harness.lease`). What is merged is written and synced before the manifest
names it, and deleted only after: a row is at every moment in a file that readers count, and in one only.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from harness.curves import merge_curves
from harness.predictions import merge_predictions
from results import curves, predictions
from results.committed import (
    CONTENT_NAME,
    LEDGER,
    MANIFEST,
    MERGED,
    Manifest,
    commits,
    content_name,
    read_files,
    read_manifest,
)
from results.parquet import DamagedError
from results.place import Place, make_folder, move, names, write_durably
from results.schema import SCHEMA_VERSION
from results.table import distinct

MANY: Final = 300
"""Commits beside the merged files from which a driver compacts: reading them takes some tenths of a second."""

SECONDS: Final = 5.0
"""How often a driver looks."""

FULL: Final = 200_000
"""Rows from which a merged file is left as it is: merging holds them in memory, about 1 kB a row."""

GROUP: Final = 50_000
"""Rows of a row group."""

SET_ASIDE: Final = ".set-aside"


def compact(folder: Place, allowed: Callable[[], bool] = lambda: True) -> int:
    """Merge the commits of a campaign into few files; returns how many were merged.

    The rows go into one new file together with the newest merged files as long as those are not twice as large: there
    are then few files, and a row is written again some times only, however long the campaign. A commit that cannot be
    read stays where it is. `allowed` is asked before anything changes. Raises: DamagedError if the manifest is damaged;
    OSError.
    """
    ledger = folder / LEDGER
    found = commits(folder)
    manifest = read_manifest(folder)
    _delete_uncounted(ledger, found, manifest)
    rows = _readable([ledger / name for name in found if name not in manifest.merged])
    if not rows or not allowed():
        return 0
    kept, tables = dict(manifest.rows), list(rows.values())
    while kept and list(kept.values())[-1] < min(FULL, 2 * sum(map(len, tables))):
        name = list(kept)[-1]
        if not (older := _readable([ledger / MERGED / name])):
            break  # damaged: it stays listed, so that everybody is told, until the next driver sets it aside
        tables.insert(0, older[name])
        del kept[name]
    merged = distinct(pa.concat_tables(tables))
    content = _parquet(merged)
    make_folder(ledger / MERGED)
    write_durably(ledger / MERGED / content_name(content), content)
    still = manifest.merged.intersection(found)
    after = Manifest({**kept, content_name(content): len(merged)}, still.union(rows))
    if not allowed():
        return 0
    write_durably(ledger / MANIFEST, after.content())
    _delete_uncounted(ledger, found, after)
    return len(rows)


def set_aside(folder: Place, path: Place) -> Place:
    """Move a damaged file of a ledger out of the way; returns where it is now.

    Where the manifest is damaged, or lists the file, a new manifest counts every merged file that is left, and every
    commit: what is in both is one commit found twice, which readers see.
    """
    ledger = folder / LEDGER
    if path.name != MANIFEST and path.parent.name != MERGED:
        return move(path, ledger / SET_ASIDE)
    merged = [ledger / MERGED / name for name in names(ledger / MERGED) if CONTENT_NAME.fullmatch(name)]
    counted = {name: len(rows) for name, rows in _readable(merged).items() if name != path.name}
    make_folder(ledger / SET_ASIDE)
    if path.exists():
        write_durably(ledger / SET_ASIDE / path.name, path.read_bytes())
    write_durably(ledger / MANIFEST, Manifest(counted).content())
    if path.name != MANIFEST:
        path.unlink(missing_ok=True)
    return ledger / SET_ASIDE / path.name


@contextmanager
def compacting(folder: Place, allowed: Callable[[], bool]) -> Iterator[None]:
    """Compact beside the block whenever MANY files lie in the ledger, or in a folder beside it, and once at its end."""
    over = threading.Event()

    def look() -> None:
        while not over.wait(SECONDS):
            _compact_many(folder, allowed)

    beside = threading.Thread(target=look, name="compaction", daemon=True)
    beside.start()
    try:
        yield
    finally:
        over.set()
        beside.join()
        _compact_many(folder, allowed)


def _compact_many(folder: Place, allowed: Callable[[], bool]) -> None:
    """Compact what is worth it. What prevents it, prevents no run: readers are slower, and told of damage."""
    with suppress(OSError, DamagedError):
        if len(commits(folder)) > MANY:
            compact(folder, allowed)
    with suppress(OSError):
        if len(curves.commits(folder / curves.FOLDER)) > MANY:
            merge_curves(folder, allowed)
    with suppress(OSError):
        if len(curves.commits(folder / predictions.FOLDER)) > MANY:
            merge_predictions(folder, allowed)


def _readable(files: list[Place]) -> dict[str, pa.Table]:
    """All columns of files by name, without those that are damaged, gone, or written by a newer program."""
    found = {path.name: rows for path, rows in read_files(files) if isinstance(rows, pa.Table)}
    return {
        name: rows for name, rows in found.items() if (pc.max(rows["schema_version"]).as_py() or 0) <= SCHEMA_VERSION
    }


def _parquet(rows: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(rows, sink, compression="zstd", use_dictionary=False, row_group_size=GROUP)
    content: bytes = sink.getvalue().to_pybytes()
    return content


def _delete_uncounted(ledger: Place, found: list[str], manifest: Manifest) -> None:
    """Delete commits that are merged, and merged files that the manifest does not count."""
    for name in manifest.merged.intersection(found):
        (ledger / name).unlink(missing_ok=True)
    for name in names(ledger / MERGED):
        if CONTENT_NAME.fullmatch(name) and name not in manifest.rows:
            (ledger / MERGED / name).unlink(missing_ok=True)
