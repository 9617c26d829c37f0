"""The columns of a file of foreign results, as they are: CSV, Parquet, JSON Lines, or one JSON file per run.

Nothing is ever unpickled or expanded, and what a file may ask of the memory is bounded before it is read.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
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
from results.foreign_batch import LONGEST, MAPS, Batch, source_of
from results.foreign_json import json_lines, nested
from results.place import explain

KINDS: Final = {".csv": "CSV", ".tsv": "CSV", ".parquet": "Parquet", ".jsonl": "JSON Lines", ".ndjson": "JSON Lines"}
JSON_KINDS: Final = {**KINDS, ".json": "JSON"}

LARGEST: Final = 2**31
"""Bytes of a file, and of what a Parquet file says it holds."""

MOST_VALUES: Final = 100_000_000
"""Values that the columns of a Parquet file may declare together."""


@dataclass(frozen=True)
class Dialect:
    """How a CSV file is written. An empty delimiter is a comma, or a tab where the file's name ends in .tsv."""

    delimiter: str = ""
    encoding: str = ""


def read(paths: Sequence[Path], wanted: Sequence[str], dialect: Dialect) -> list[Batch]:
    """The batches of files: one for each, and one for all JSON files, of which only the paths `wanted` are looked up.

    Raises: ResultsError with one complete message for a file that cannot be read.
    """
    batches, runs = [], []
    for path in paths:
        kind = JSON_KINDS.get(path.suffix.lower())
        if kind is None:
            raise ResultsError(f"{path}: expected a file whose name ends in one of {', '.join(JSON_KINDS)}")
        content = _content(path)
        if kind == "JSON":
            runs.append((path, content))
            continue
        readers: dict[str, Callable[[Path, bytes, Dialect], Batch]] = {
            "CSV": _csv,
            "Parquet": _parquet,
            "JSON Lines": lambda path, content, _: json_lines(path, content),
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
    return batches + ([nested(runs, wanted)] if runs else [])


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
    _refuse_long_values(path, rows, number)
    blank = np.logical_and.reduce([np.asarray(column.is_null()) for column in rows.columns], axis=0)
    line_of = _lines(rows, number, broken)
    unread = [(0, int(line_of[number]), reason) for _, number, reason in unread]
    lines = line_of[number]
    source = source_of(path, content, int((~blank).sum()) + len(unread))
    kept = rows.filter(pa.array(~blank))
    return Batch("CSV", [source], kept, np.zeros(len(kept), np.int64), lines[~blank], [str(path)], unread=unread)


def _refuse_long_values(path: Path, rows: pa.Table, number: npt.NDArray[np.int64]) -> None:
    """Raises: ResultsError for a value that is no value of a table, as where a quote is not closed."""
    for name, column in zip(rows.column_names, rows.columns, strict=True):
        longest = pc.max(pc.utf8_length(column)).as_py() or 0
        if longest > LONGEST:
            line = int(number[np.argmax(np.asarray(pc.fill_null(pc.utf8_length(column), 0)))])
            raise ResultsError(
                f"{path}: row {line}, column {name!r}: {longest:,} characters in one value; expected at most"
                f" {LONGEST:,} (is a quote not closed?)"
            )


def _lines(rows: pa.Table, number: npt.NDArray[np.int64], broken: dict[int, int]) -> npt.NDArray[np.int64]:
    """The line on which each row of the file begins. number: of the rows read. broken: line breaks in those not read.

    Shapes: number (rows,); result (rows of the file + 2,), by number.
    """
    breaks = np.zeros(len(rows), np.int64)
    for column in rows.columns:
        breaks += np.asarray(pc.fill_null(pc.count_substring(column, "\n"), 0))
    before = np.zeros(2 + len(rows) + len(broken), np.int64)
    before[number], before[list(broken)] = breaks, list(broken.values())
    found: npt.NDArray[np.int64] = np.arange(len(before)) + np.cumsum(before) - before
    return found


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
    return Batch("Parquet", [source_of(path, content, count)], rows, first, np.arange(1, count + 1), [str(path)], "row")


def _text_bytes(chunk: pa.DictionaryArray) -> int:
    """What the texts of a dictionary would take, said out."""
    if not (pa.types.is_string(chunk.dictionary.type) or pa.types.is_large_string(chunk.dictionary.type)):
        return 0
    lengths = pc.binary_length(chunk.dictionary).cast(pa.int64())
    return pc.sum(lengths.take(chunk.indices)).as_py() or 0
