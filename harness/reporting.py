"""From the rows of campaigns to a written report, in a folder or in an object store."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from harness.errors import UserError
from results.findings import Findings, findings
from results.merging import Source, merged
from results.place import Place, explain, write_durably
from results.report import write_pages


@dataclass(frozen=True)
class Written:
    """The files of a report by name, what they say, and why nothing is compared where campaigns must not be mixed."""

    files: dict[str, Place]
    found: Findings
    refusal: str | None


def write(sources: Sequence[Source], folder: Place, baseline: str, records: Sequence[Mapping[str, Any]]) -> Written:
    """Judge the rows of all sources and write the report. records: the campaigns' campaign.json files.

    Rows that must not be mixed give a report that says why. Raises: UserError if it cannot be written.
    """
    refusal = None
    try:
        rows = merged(sources)
    except ValueError as error:
        rows, refusal = pa.concat_tables([source.rows for source in sources]), str(error)
    try:
        found = findings(rows, baseline, refusal)
        with _local(folder) as local:
            written = write_pages(found, local, campaigns=records)
    except OSError as error:
        raise UserError(f"--out {folder}: cannot be written ({explain(error)})") from error
    except ValueError as error:
        raise UserError(str(error)) from error
    return Written({name: folder / path.name for name, path in written.items()}, found, refusal)


@contextmanager
def _local(folder: Place) -> Iterator[Path]:
    """A folder to write to; what it holds at the end of the block goes to the object store, if `folder` is in one."""
    if isinstance(folder, Path):
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="pacbench-report-") as local:
        yield Path(local)
        for path in Path(local).iterdir():
            write_durably(folder / path.name, path.read_bytes())
