"""Rows of foreign files as they were read: columns, and where each row is in which file."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

LONGEST: Final = 4096
"""Characters of a value."""

MAPS: Final = ("versions", "extra")
"""Columns of a row that are maps of texts."""


@dataclass(frozen=True)
class Source:
    """One file: its name without folders, the hash of its content, and how many rows it holds."""

    name: str
    sha256: str
    rows: int


@dataclass(frozen=True)
class Batch:
    """Rows that were read together.

    file: which of `sources` each row is from; lines: where in it, counted from 1. paths: of the sources, as they were
    given. unit: what is counted, lines, or rows where a file has no lines. unread: file, line and reason of what is no
    row.
    """

    kind: str
    sources: list[Source]
    columns: pa.Table
    file: npt.NDArray[np.int64]
    lines: npt.NDArray[np.int64]
    paths: list[str]
    unit: str = "line"
    unread: list[tuple[int, int, str]] = field(default_factory=list)


def source_of(path: Path, content: bytes, rows: int) -> Source:
    """The file with the hash of its content."""
    return Source(path.name, hashlib.sha256(content).hexdigest(), rows)
