"""The committed truth: one Parquet file per commit, complete or absent, never changed afterwards."""

from __future__ import annotations

import hashlib
import os
import uuid
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from results import schema, table


class Ledger:
    """The ledger of one campaign folder. Any number of processes may append at once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.committed = folder / table.LEDGER

    def append(self, rows: list[dict[str, object]]) -> Path:
        """Commit rows as one file, named by its content: staged under a dot-name, synced, renamed, folder synced."""
        self.committed.mkdir(parents=True, exist_ok=True)
        sink = pa.BufferOutputStream()
        pq.write_table(schema.table(rows), sink)
        content = sink.getvalue().to_pybytes()
        path = self.committed / f"{hashlib.sha256(content).hexdigest()[:32]}.parquet"
        write_durably(path, content)
        return path

    def read(self) -> pa.Table:
        """One row per key, as `results.table.read` gives it."""
        return table.read(self.folder)


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
