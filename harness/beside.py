"""Tables beside the ledger, curves and predictions: one file per commit, merged into few, safe to kill at any time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from results.committed import MERGED, content_name, read_files
from results.curves import commits
from results.place import Place, make_folder, write_durably

FULL: Final = 2**26
"""Bytes of rows in memory from which one merged file is written and the next begun."""


def write(folder: Place, rows: pa.Table, **options: Any) -> None:
    """Write rows as one file named by its content; `options` are those of Parquet. Raises: OSError."""
    sink = pa.BufferOutputStream()
    pq.write_table(rows, sink, write_statistics=False, **options)
    content = sink.getvalue().to_pybytes()
    make_folder(folder)
    write_durably(folder / content_name(content), content)


def merge(
    folder: Place,
    schema: pa.Schema,
    once: Callable[[Sequence[pa.Table]], pa.Table],
    allowed: Callable[[], bool],
    **options: Any,
) -> int:
    """Merge the commits of a folder that can be read into a few more files; returns how many they were.

    Commits are deleted only after the file that holds their rows is there, and what is in both is read once.
    `once` joins tables and leaves out what comes twice; `allowed` is asked before anything changes. Raises: OSError.
    """
    merged, held, bytes_held = 0, {}, 0
    for path, rows in read_files(commits(folder), schema):
        if isinstance(rows, pa.Table):
            held[path] = rows
            bytes_held += rows.nbytes
        if bytes_held > FULL:
            merged += _merge(folder, held, once, allowed, options)
            held, bytes_held = {}, 0
    return merged + _merge(folder, held, once, allowed, options)


def _merge(
    folder: Place,
    held: dict[Place, pa.Table],
    once: Callable[[Sequence[pa.Table]], pa.Table],
    allowed: Callable[[], bool],
    options: dict[str, Any],
) -> int:
    if not held or not allowed():
        return 0
    write(folder / MERGED, once(list(held.values())), **options)
    if not allowed():
        return 0
    for path in held:
        path.unlink(missing_ok=True)
    return len(held)
