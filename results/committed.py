"""The committed files of a campaign: which there are, and their rows, read so that a damaged file stops nobody.

``ledger/NAME.parquet`` is one commit; ``ledger/merged/`` holds many commits in few files. ``ledger/manifest.json`` says
which merged files count, and which commits are in them and may still lie beside. A writer swaps the manifest first and
deletes afterwards; a reader lists first and reads the manifest afterwards, and starts again if a file is gone. So it
sees every row once, whatever a writer does meanwhile.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from results.errors import ResultsError
from results.parquet import DamagedError, read_parquet
from results.place import Place, explain, names
from results.schema import SCHEMA, SCHEMA_VERSION

LEDGER: Final = "ledger"
MERGED: Final = "merged"
MANIFEST: Final = "manifest.json"
MANIFEST_VERSION: Final = 1
CONTENT_NAME: Final = re.compile(r"[0-9a-f]{32}\.parquet")
COMMIT_NAME: Final = re.compile(r"[^/\\._][^/\\]*\.parquet")

READERS = 16
"""Files asked of an object store at a time."""

PIECE = 10_000
"""Rows of a piece from which pieces need not be joined, which copies everything."""

TRIES = 20
"""How often a reader starts again because files went away: each time a writer merges them, a few times in a run."""


@dataclass(frozen=True)
class Manifest:
    """rows: how many rows each merged file holds, by name. merged: commits in them that may still lie beside."""

    rows: dict[str, int] = field(default_factory=dict)
    merged: frozenset[str] = frozenset()

    def content(self) -> bytes:
        """The file's content."""
        held = {"manifest_version": MANIFEST_VERSION, "rows": self.rows, "merged": sorted(self.merged)}
        return (json.dumps(held, indent=1) + "\n").encode()


def read_manifest(folder: Place) -> Manifest:
    """The manifest of a campaign; an empty one if there is none. Raises: DamagedError; ResultsError for a newer one."""
    path = folder / LEDGER / MANIFEST
    try:
        if isinstance(path, Path) and path.exists() and not path.is_file():
            raise DamagedError("it is no file")
        held = json.loads(path.read_bytes())
        version, rows, merged = held["manifest_version"], held["rows"], held["merged"]
        newer = version > MANIFEST_VERSION
        known = all(CONTENT_NAME.fullmatch(name) and type(count) is int for name, count in rows.items())
        if not newer and not (known and all(COMMIT_NAME.fullmatch(name) for name in merged)):
            raise DamagedError("it lists names that no file of a ledger has")
    except FileNotFoundError:
        return Manifest()
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DamagedError(explain(error)) from error
    if newer:
        raise ResultsError(f"{path}: manifest version {version}; this program reads up to {MANIFEST_VERSION}")
    return Manifest(rows, frozenset(merged))


def commits(folder: Place) -> list[str]:
    """The names of the commits that lie in the ledger. Names that begin with ``.`` or ``_`` are not committed."""
    return [name for name in names(folder / LEDGER) if COMMIT_NAME.fullmatch(name)]


def ledger_files(folder: Place) -> list[Place]:
    """The files that hold the rows of a campaign, each row once: merged files, then commits not in them.

    Raises: DamagedError if the manifest is.
    """
    ledger, found = folder / LEDGER, commits(folder)  # listed first: what goes away later is in the manifest by then
    manifest = read_manifest(folder)
    return [ledger / MERGED / name for name in manifest.rows] + [
        ledger / name for name in found if name not in manifest.merged
    ]


@dataclass(frozen=True)
class Gathered:
    """What was read: rows, the names of the files they came from, and what could not be read and why."""

    rows: pa.Table
    files: list[str]
    damaged: list[tuple[Place, str]]


def gather(
    folder: Place, columns: Sequence[str] = tuple(SCHEMA.names), skip: Collection[str] = frozenset()
) -> Gathered:
    """These columns of all committed files of a campaign but those named in `skip`.

    Without a readable manifest every merged file and every commit is read: nothing is missed, some rows come twice.
    Raises: ResultsError if a row was written by a newer schema; OSError if the place does not answer.
    """
    wanted = pa.schema([SCHEMA.field(name) for name in dict.fromkeys((*columns, "schema_version"))])
    held: dict[str, pa.Table] = {}
    unreadable: dict[str, tuple[Place, str]] = {}
    missed: set[str] = set()
    for _ in range(TRIES):
        files, damaged = _files(folder)
        new = [
            path for path in files if path.name not in skip and path.name not in held and path.name not in unreadable
        ]
        gone = set()
        for path, rows in read_files(new, wanted):
            if isinstance(rows, pa.Table):
                held[path.name] = rows
            elif rows is not None:
                unreadable[path.name] = (path, rows)
            elif path.name in missed:
                unreadable[path.name] = (path, "it is listed, but not there")
            else:
                gone.add(path.name)
        missed |= gone
        if not gone:
            break
    else:
        raise ResultsError(f"{folder / LEDGER}: files went away {TRIES} times while they were read; try again")
    listed = [path.name for path in files]
    tables = [held[name] for name in listed if name in held]
    rows = pa.concat_tables(tables) if tables else wanted.empty_table()
    if len(rows) < PIECE * len(tables):
        rows = rows.combine_chunks()  # sorting and picking are slow over many small pieces
    newest = pc.max(rows["schema_version"]).as_py()
    if newest is not None and newest > SCHEMA_VERSION:
        raise ResultsError(f"{folder}: rows of schema version {newest}; this program reads up to {SCHEMA_VERSION}")
    damaged += [unreadable[name] for name in listed if name in unreadable]
    return Gathered(rows.select(list(columns)), [name for name in listed if name in held], damaged)


def unreadable(folder: Place) -> list[tuple[Place, str]]:
    """What of a campaign's ledger is damaged in any column, and why. Raises: ResultsError for a newer manifest."""
    files, damaged = _files(folder)
    for path, rows in read_files(files):
        if rows is None and path.parent.name == MERGED:
            damaged.append((path, "it is listed, but not there"))
        elif isinstance(rows, str):
            damaged.append((path, rows))
    return damaged


def _files(folder: Place) -> tuple[list[Place], list[tuple[Place, str]]]:
    try:
        return ledger_files(folder), []
    except DamagedError as error:
        ledger = folder / LEDGER
        merged = [ledger / MERGED / name for name in names(ledger / MERGED) if CONTENT_NAME.fullmatch(name)]
        return merged + [ledger / name for name in commits(folder)], [(ledger / MANIFEST, str(error))]


def read_files(files: Sequence[Place], wanted: pa.Schema = SCHEMA) -> Iterator[tuple[Place, pa.Table | str | None]]:
    """Each file with these columns of its rows, or why they cannot be read, or None if it is gone."""
    if not files or isinstance(files[0], Path):
        yield from ((path, _rows(path, _content(path), wanted)) for path in files)
        return
    with ThreadPoolExecutor(READERS) as pool:
        for path, content in zip(files, pool.map(_content, files), strict=True):
            yield path, _rows(path, content, wanted)


def _content(path: Place) -> bytes | str | None:
    """A file's content, why there is none, or None if it is gone."""
    if not isinstance(path, Path):
        try:
            return path.read_bytes()
        except FileNotFoundError:
            return None  # what else a store says is nothing about this file
    try:
        return "it is a link" if path.is_symlink() else path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        return explain(error)


def _rows(path: Place, content: bytes | str | None, wanted: pa.Schema) -> pa.Table | str | None:
    if not isinstance(content, bytes):
        return content
    try:
        if CONTENT_NAME.fullmatch(path.name) and content_name(content) != path.name:
            raise DamagedError("its content has changed since it was written")
        return read_parquet(content, wanted)
    except DamagedError as error:
        return str(error)


def content_name(content: bytes) -> str:
    """The file name of a commit: it belongs to this content alone."""
    return f"{hashlib.sha256(content).hexdigest()[:32]}.parquet"
