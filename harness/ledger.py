"""The committed truth: one Parquet file per commit, complete or absent, never changed afterwards."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa
import pyarrow.parquet as pq

from harness.compaction import set_aside
from harness.errors import UserError
from results import repeats, schema, table
from results.committed import LEDGER, MERGED, Gathered, content_name, gather, unreadable
from results.errors import ResultsError
from results.place import STAGED, Place, explain, make_folder, names, write_durably

OUTCOME = ("key", "status", "attempt", "higher_is_better", "score_validation")
"""What decides which trials are still to run, and which configurations are selected."""

BESIDE = ("selection", "cache", "curves", "curves/merged", "predictions", "predictions/merged")
"""Folders of a campaign beside its ledger that are written to."""


class Ledger:
    """The ledger of one campaign. Any number of processes may append at once."""

    def __init__(self, folder: Place) -> None:
        self.folder = folder
        self.committed = folder / LEDGER
        self._seen: set[str] = set()
        self._outcomes = pa.schema([schema.SCHEMA.field(name) for name in (*OUTCOME, "finished_at")]).empty_table()

    def append(self, rows: list[dict[str, object]]) -> Place:
        """Commit rows as one file, named by its content. Raises: OSError; nothing is committed then."""
        return self.commit(schema.table(rows))

    def commit(self, rows: pa.Table) -> Place:
        """Commit a table of the row's schema as one file."""
        make_folder(self.committed)
        sink = pa.BufferOutputStream()
        # Statistics and dictionaries serve searches in large files; here they only make commits and reading slower.
        pq.write_table(rows, sink, write_statistics=False, use_dictionary=False)
        content = sink.getvalue().to_pybytes()
        path = self.committed / content_name(content)
        write_durably(path, content)
        return path

    def read(self) -> pa.Table:
        """One row per key, as `results.table.read` gives it."""
        return table.read(self.folder)

    def outcomes(self) -> pa.Table:
        """The columns OUTCOME, one row per key. Committed files never change, so each is read once only.

        Warns of files that cannot be read. Raises: UserError if a newer program wrote some.
        """
        gathered = self._gather()
        for path, reason in gathered.damaged:
            warnings.warn(f"{path}: not a readable ledger file, left out ({reason})", stacklevel=2)
        return self._outcomes.select(list(OUTCOME))

    def differing(self) -> list[repeats.Repeat]:
        """Where a trial that was done twice has other scores the second time. What cannot be read is left out."""
        with self._answering():
            return repeats.differing(gather(self.folder, repeats.COLUMNS).rows)

    def mend(self) -> None:
        """Move what cannot be read out of the way, each file with a message, and delete what killed writers left.

        Only the campaign's one driver may, before its workers start.
        """
        with self._answering():
            for path, reason in unreadable(self.folder):
                moved = set_aside(self.folder, path)
                print(f"pacbench: {path}: not readable, set aside as {moved} ({reason})", file=sys.stderr)
            for part in (self.folder, self.committed, self.committed / MERGED, *(self.folder / b for b in BESIDE)):
                for name in names(part):
                    if name.startswith(STAGED):
                        (part / name).unlink(missing_ok=True)

    @contextmanager
    def _answering(self) -> Iterator[None]:
        """Raises: UserError where the block finds rows of a newer program, or the place does not answer."""
        try:
            yield
        except ResultsError as error:
            raise UserError(str(error)) from error
        except OSError as error:
            raise UserError(f"{self.folder}: cannot be read and written ({explain(error)})") from error

    def _gather(self) -> Gathered:
        with self._answering():
            gathered = gather(self.folder, (*OUTCOME, "finished_at"), self._seen)
        if gathered.files:
            self._seen.update(gathered.files)
            self._outcomes = table.latest(pa.concat_tables([self._outcomes, gathered.rows]).combine_chunks())
        return gathered
