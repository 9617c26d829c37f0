"""The committed truth: one Parquet file per commit, complete or absent, never changed afterwards."""

from __future__ import annotations

import hashlib
import os
import uuid
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from results import schema, table

OUTCOME = ("key", "status", "attempt", "higher_is_better", "score_validation")
"""What decides which trials are still to run, and which configurations are selected."""


class Ledger:
    """The ledger of one campaign folder. Any number of processes may append at once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.committed = folder / table.LEDGER
        self._seen: set[Path] = set()
        self._outcomes = table.gather([], OUTCOME)[0]

    def append(self, rows: list[dict[str, object]]) -> Path:
        """Commit rows as one file, named by its content: staged under a dot-name, synced, renamed, folder synced."""
        self.committed.mkdir(parents=True, exist_ok=True)
        sink = pa.BufferOutputStream()
        # Statistics and dictionaries serve searches in large files; here they only make commits and reading slower.
        pq.write_table(schema.table(rows), sink, write_statistics=False, use_dictionary=False)
        content = sink.getvalue().to_pybytes()
        path = self.committed / f"{hashlib.sha256(content).hexdigest()[:32]}.parquet"
        write_durably(path, content)
        return path

    def read(self) -> pa.Table:
        """One row per key, as `results.table.read` gives it."""
        return table.read(self.folder)

    def outcomes(self) -> pa.Table:
        """The columns OUTCOME, one row per key. Committed files never change, so each is read once only."""
        new = [path for path in table.ledger_files(self.folder) if path not in self._seen]
        rows, read_from = table.gather(new, OUTCOME)
        if read_from:
            self._seen.update(read_from)
            self._outcomes = table.latest(pa.concat_tables([self._outcomes, rows]).combine_chunks())
        return self._outcomes


def write_durably(path: Path, content: bytes) -> None:
    """Write a file so that a crash at any moment leaves the old state or the new one, never half of it."""
    staged = path.with_name(f".tmp-{uuid.uuid4().hex}")
    try:
        with staged.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(staged, path)
    except BaseException:
        staged.unlink(missing_ok=True)
        raise
    descriptor = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
