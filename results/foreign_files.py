"""The columns of a file of foreign results, as they are: CSV, Parquet, JSON Lines, or one JSON file per run.

Nothing is ever unpickled or expanded, and what a file may ask of the memory is bounded before it is read.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet as pq

from results.errors import ResultsError
from results.place import explain

KINDS: Final = {".csv": "CSV", ".tsv": "CSV", ".parquet": "Parquet", ".jsonl": "JSON Lines", ".ndjson": "JSON Lines"}
JSON_KINDS: Final = {**KINDS, ".json": "JSON"}

LARGEST: Final = 2**31
"""Bytes of a file, and of what a Parquet file says it holds."""

MOST_VALUES: Final = 100_000_000
"""Values that the columns of a Parquet file may declare together."""

LONGEST: Final = 4096
"""Characters of a value."""

MAPS: Final = ("versions", "extra")

DEEPEST: Final = 100
"""Brackets inside brackets; pyarrow's reader ends the process from some ten thousand on."""


@dataclass(frozen=True)
class Dialect:
    """How a CSV file is written. An empty delimiter is a comma, or a tab where the file's name ends in .tsv."""

    delimiter: str = ""
    encoding: str = ""


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


def read(paths: Sequence[Path], wanted: Sequence[str], dialect: Dialect) -> list[Batch]:
    """The batches of files: one for each, and one for all JSON files, of which only the paths `wanted` are looked up.

    Raises: ResultsError with one complete message for a file that cannot be read.
    """
    batches, nested = [], []
    for path in paths:
        kind = JSON_KINDS.get(path.suffix.lower())
        if kind is None:
            raise ResultsError(f"{path}: expected a file whose name ends in one of {', '.join(JSON_KINDS)}")
        content = _content(path)
        if kind == "JSON":
            nested.append((path, content))
            continue
        readers: dict[str, Callable[[Path, bytes, Dialect], Batch]] = {
            "CSV": _csv,
            "Parquet": _parquet,
            "JSON Lines": _json_lines,
        }
        try:
            batches.append(readers[kind](path, content, dialect))
        except UnicodeDecodeError as error:
            said = dialect.encoding or "UTF-8"
            raise ResultsError(f"{path}: not text in {said} ({error.reason}); say --encoding, as in latin-1") from error
        except (LookupError, UnicodeError) as error:
            raise ResultsError(f"--encoding {dialect.encoding}: not known; expected a name such as latin-1") from error
        except (pa.ArrowException, OSError, MemoryError, OverflowError) as error:
            raise ResultsError(f"{path}: not readable as {kind} ({explain(error)})") from error
    return batches + ([_nested(nested, wanted)] if nested else [])


def _content(path: Path) -> bytes:
    try:
        if path.is_dir():
            raise ResultsError(f"{path}: is a folder; name its files, as in {path}/*.json")
        if not path.is_file():
            raise ResultsError(f"{path}: no such file")
        if path.stat().st_size > LARGEST:
            raise ResultsError(f"{path}: {path.stat().st_size:,} bytes; expected at most {LARGEST:,}: cut it in pieces")
        content = path.read_bytes()
    except (OSError, ValueError) as error:
        if isinstance(error, ResultsError):
            raise
        raise ResultsError(f"{path}: cannot be read ({explain(error)})") from error
    if not content.strip():
        raise ResultsError(f"{path}: the file is empty")
    return content


def _source(path: Path, content: bytes, rows: int) -> Source:
    return Source(path.name, hashlib.sha256(content).hexdigest(), rows)


def _csv(path: Path, content: bytes, dialect: Dialect) -> Batch:
    """Every value as text: nothing is guessed, and a seed or a name stays as it is written."""
    delimiter = dialect.delimiter or ("\t" if path.suffix.lower() == ".tsv" else ",")
    encoding = dialect.encoding or ("utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf8")
    if encoding == "utf8":
        content.decode()
    if "\x00" in content[:4096].decode(encoding, "ignore"):
        raise ResultsError(f"{path}: not a text file")
    unread: list[tuple[int, int, str]] = []
    broken: dict[int, int] = {}

    def refuse(row: Any) -> str:
        lines = row.text.count("\n")
        over = f" over {lines + 1} lines (is a quote not closed?)" if lines else ""
        unread.append(
            (0, row.number, f"{row.actual_columns} values, not {row.expected_columns} as in the header{over}")
        )
        broken[row.number] = lines
        return "skip"

    reading = pyarrow.csv.ReadOptions(use_threads=False, encoding=encoding)
    parsing = pyarrow.csv.ParseOptions(
        delimiter=delimiter, newlines_in_values=True, ignore_empty_lines=False, invalid_row_handler=refuse
    )
    with pyarrow.csv.open_csv(io.BytesIO(content), reading, parsing) as stream:
        header = stream.schema.names
    unread.clear()
    converting = pyarrow.csv.ConvertOptions(
        column_types=dict.fromkeys(header, pa.string()), null_values=[""], strings_can_be_null=True
    )
    rows = pyarrow.csv.read_csv(io.BytesIO(content), reading, parsing, converting)
    number = np.setdiff1d(np.arange(2, 2 + len(rows) + len(unread)), [line for _, line, _ in unread])
    blank = np.ones(len(rows), bool)
    breaks = np.zeros(len(rows), np.int64)
    for name, column in zip(rows.column_names, rows.columns, strict=True):
        blank &= np.asarray(column.is_null())
        longest = pc.max(pc.utf8_length(column)).as_py() or 0
        if longest > LONGEST:
            line = int(number[np.argmax(np.asarray(pc.fill_null(pc.utf8_length(column), 0)))])
            raise ResultsError(
                f"{path}: row {line}, column {name!r}: {longest:,} characters in one value; expected at most"
                f" {LONGEST:,} (is a quote not closed?)"
            )
        breaks += np.asarray(pc.fill_null(pc.count_substring(column, "\n"), 0))
    before = np.zeros(2 + len(rows) + len(unread), np.int64)
    before[number], before[list(broken)] = breaks, list(broken.values())
    line_of = np.arange(len(before)) + np.cumsum(before) - before
    unread = [(0, int(line_of[number]), reason) for _, number, reason in unread]
    lines = line_of[number]
    source = _source(path, content, int((~blank).sum()) + len(unread))
    kept = rows.filter(pa.array(~blank))
    return Batch("CSV", [source], kept, np.zeros(len(kept), np.int64), lines[~blank], [str(path)], unread=unread)


def _parquet(path: Path, content: bytes, dialect: Dialect) -> Batch:
    """Text stays in dictionaries, so that one long value that is said many times takes its room once.

    Columns of lists and of columns are left out, but for the maps of an export of this program.
    """
    file = pq.ParquetFile(pa.BufferReader(content))
    groups = [file.metadata.row_group(i) for i in range(file.metadata.num_row_groups)]
    chunks = [group.column(i) for group in groups for i in range(group.num_columns)]
    room, values = sum(c.total_uncompressed_size for c in chunks), sum(c.num_values for c in chunks)
    if room > LARGEST or values > MOST_VALUES or file.metadata.num_rows > MOST_VALUES:
        raise ResultsError(
            f"{path}: declares {file.metadata.num_rows:,} rows, {values:,} values, {room:,} bytes in a file of"
            f" {len(content):,}; expected at most {MOST_VALUES:,} values and {LARGEST:,} bytes: cut it in pieces"
        )
    flat = [f.name for f in file.schema_arrow if not pa.types.is_nested(f.type) or f.name in MAPS]
    texts = [f.name for f in file.schema_arrow if f.name in flat and f.name not in MAPS]
    file = pq.ParquetFile(pa.BufferReader(content), read_dictionary=texts)
    rows = file.read(columns=flat)
    rows.validate(full=True)
    for name in (f.name for f in rows.schema if pa.types.is_dictionary(f.type)):
        if (room := sum(map(_text_bytes, rows[name].chunks))) > LARGEST // 2:
            raise ResultsError(
                f"{path}: column {name!r} holds {room:,} bytes of text; expected at most {LARGEST // 2:,}"
            )
    count = len(rows)
    first = np.zeros(count, np.int64)
    return Batch("Parquet", [_source(path, content, count)], rows, first, np.arange(1, count + 1), [str(path)], "row")


def _text_bytes(chunk: pa.DictionaryArray) -> int:
    """What the texts of a dictionary would take, said out."""
    if not (pa.types.is_string(chunk.dictionary.type) or pa.types.is_large_string(chunk.dictionary.type)):
        return 0
    lengths = pc.binary_length(chunk.dictionary).cast(pa.int64())
    return pc.sum(lengths.take(chunk.indices)).as_py() or 0


def _json_lines(path: Path, content: bytes, dialect: Dialect) -> Batch:
    content = content.removeprefix(b"\xef\xbb\xbf")
    content.decode("utf-8")
    if _depth(content) > DEEPEST:
        raise ResultsError(f"{path}: nested deeper than {DEEPEST} brackets")
    reading = pyarrow.json.ReadOptions(use_threads=False, block_size=min(len(content) + 1, 2**31 - 1))
    rows = _flat(pyarrow.json.read_json(io.BytesIO(content), reading))
    filled = np.array([number for number, line in enumerate(content.split(b"\n"), 1) if line.strip()], np.int64)
    by_line = len(filled) == len(rows)
    lines, unit = (filled, "line") if by_line else (np.arange(1, len(rows) + 1), "row")
    source, first = _source(path, content, len(rows)), np.zeros(len(rows), np.int64)
    return Batch("JSON Lines", [source], rows, first, lines, [str(path)], unit)


def _depth(content: bytes) -> int:
    """The most brackets that are open at once in a line; brackets inside texts count too."""
    steps = np.zeros(256, np.int8)
    steps[[ord("["), ord("{")]], steps[[ord("]"), ord("}")]] = 1, -1
    held = np.frombuffer(content, np.uint8)
    place = np.flatnonzero(steps[held])
    if not len(place):
        return 0
    line = np.searchsorted(np.flatnonzero(held == ord("\n")), place)
    depth = np.cumsum(steps[held[place]], dtype=np.int64)
    first = np.flatnonzero(np.diff(line, prepend=-1))
    before = np.concatenate([[0], depth[first[1:] - 1]])
    return int((np.maximum.reduceat(depth, first) - before).max())


def _flat(rows: pa.Table) -> pa.Table:
    """Columns inside columns become columns with dotted names."""
    for _ in range(DEEPEST):
        if not any(pa.types.is_struct(field.type) for field in rows.schema):
            break
        rows = rows.flatten()
    return rows


def _nested(files: Sequence[tuple[Path, bytes]], wanted: Sequence[str]) -> Batch:
    """The values at the paths `wanted` of every run; a file is one run, or a list of them."""
    sources: list[Source] = []
    found: dict[str, list[str | None]] = {path: [] for path in wanted}
    file: list[int] = []
    lines: list[int] = []
    unread: list[tuple[int, int, str]] = []
    for index, (path, content) in enumerate(files):
        try:
            held = json.loads(content, object_pairs_hook=_once)
        except (ValueError, RecursionError) as error:
            if len(files) == 1:
                raise ResultsError(f"{path}: not readable as JSON ({explain(error)})") from error
            held = []
            unread.append((index, 1, f"not readable as JSON ({explain(error)})"))
        runs = held if isinstance(held, list) else [held]
        sources.append(_source(path, content, max(len(runs), 1)))
        for number, run in enumerate(runs, 1):
            if not isinstance(run, dict):
                unread.append((index, number, "not a JSON object"))
                continue
            for name in wanted:
                found[name].append(_at(run, name))
            file.append(index)
            lines.append(number)
    held_by_some = {name: values for name, values in found.items() if any(value is not None for value in values)}
    columns = pa.table({name: pa.array(values, pa.string()) for name, values in held_by_some.items()})
    where = np.array(file, np.int64), np.array(lines, np.int64)
    return Batch("JSON", sources, columns, *where, [str(path) for path, _ in files], "run", unread)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Raises: ValueError if a name is there twice."""
    held = dict(pairs)
    if len(held) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(name for name in names if names.count(name) > 1)!r} is there twice in one object")
    return held


def _at(run: Any, path: str) -> str | None:
    """The value at a dotted path, numbers in it being places in lists, as text; None where there is none."""
    held = run
    for step in path.split("."):
        if isinstance(held, dict):
            held = held.get(step)
        elif isinstance(held, list) and step.isdecimal() and len(step) < 10 and int(step) < len(held):
            held = held[int(step)]
        else:
            return None
    if held is None or isinstance(held, str):
        return held
    if isinstance(held, dict | list):
        return json.dumps(held)[:LONGEST] if path in ("extra", "versions", "config") else "(a list or an object)"
    try:
        return json.dumps(held)
    except ValueError:  # a whole number of more digits than Python turns into text
        return "(a number of too many digits)"
