"""Text data on disk as columns: Parquet, JSON lines, CSV, TSV (GLUE), plain text, and `datasets` saved to disk."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from harness.errors import UserError

SUFFIXES = (".parquet", ".arrow", ".jsonl", ".json", ".csv", ".tsv", ".txt")
TEST_SPLITS = ("test", "validation", "dev", "val")
SAVED = "state.json"
"""What `datasets` leaves beside the Arrow files of a data set saved to disk."""

Columns = dict[str, list[Any]]


def data_place(given: str, field: str) -> Path:
    """The file or folder a user named. Raises: UserError if none is given, it is not absolute, or nothing is there."""
    expected = f"a file or folder of {', '.join(SUFFIXES)}"
    if not given:
        raise UserError(f"{field} is not given; expected the path of {expected}")
    path = Path(given).expanduser()
    if not path.is_absolute():
        raise UserError(f"{field} = {given!r} is not absolute; expected the whole path of {expected}")
    if not path.exists():
        raise UserError(f"{field} = {given!r} does not exist; expected {expected}")
    return path


def files_of(place: Path, split: str) -> list[Path]:
    """The files of one split: a file itself; of a folder `SPLIT.csv`, `SPLIT-*.parquet`, or what lies in SPLIT/.

    An empty list where a folder has no such split. Raises: UserError if a saved data set is not whole.
    """
    if place.is_file():
        return [place]
    folder = place / split
    if folder.is_dir():
        return saved_files(folder) if (folder / SAVED).is_file() else _data_files(folder)
    if (place / SAVED).is_file():  # a data set of one split
        return []
    return [path for path in _data_files(place) if re.fullmatch(rf"{re.escape(split)}([-_.].*)?", path.stem)]


def all_files(place: Path) -> list[Path]:
    """Every data file at a place. Raises: UserError if there is none."""
    if place.is_file():
        return [place]
    found = saved_files(place) if (place / SAVED).is_file() else _data_files(place)
    if not found:
        raise UserError(f"{place}: no data; expected files ending in {', '.join(SUFFIXES)}")
    return found


def saved_files(folder: Path) -> list[Path]:
    """The Arrow files that a saved data set lists. Raises: UserError if one is missing or the rows are re-ordered."""
    state = folder / SAVED
    try:
        listed = json.loads(state.read_text(encoding="utf-8"))
        files = [folder / entry["filename"] for entry in listed["_data_files"]]
        reordered = bool(listed.get("_indices_data_files"))
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(f"{state}: cannot be read ({error}); expected what save_to_disk of datasets writes") from error
    if reordered:
        raise UserError(f"{state}: rows are picked by an index file; save the data set after flatten_indices()")
    if missing := [path for path in files if not path.is_file()]:
        raise UserError(f"{missing[0]}: missing, though {SAVED} lists it; copy the data set again")
    return files


def _data_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file() and path.suffix.lower() in SUFFIXES)


def splits(place: Path, train: str, test: str) -> tuple[list[Path], list[Path]]:
    """Files to draw from and files to test on; no test files where one place is to be halved.

    `test` empty takes the first of TEST_SPLITS that is there. Raises: UserError naming what is there instead.
    """
    pool = files_of(place, train)
    tests = files_of(place, test) if test else next(filter(None, (files_of(place, name) for name in TEST_SPLITS)), [])
    if place.is_file():
        return pool, []
    if test and not tests:
        raise UserError(f"{place}: no split {test!r}; it holds {_listing(place)}")
    if not pool and not tests:
        return all_files(place), []
    if not pool:
        raise UserError(f"{place}: no split {train!r}; it holds {_listing(place)}")
    return pool, tests


def _listing(place: Path) -> str:
    names = sorted(path.name for path in place.iterdir())
    return ", ".join(names[:12]) + (", ..." if len(names) > 12 else "") or "nothing"


def read(files: Sequence[Path], wanted: Sequence[str], names: Sequence[str] = ()) -> Columns:
    """The wanted columns of all files, rows in order. `names`: of the columns of files without a header.

    Raises: UserError naming the file, the missing column and the columns it has, or why it cannot be read.
    """
    columns: Columns = {name: [] for name in wanted}
    for path in files:
        table = _table(path, wanted, names)
        if missing := [name for name in wanted if name not in table.column_names]:
            has = ", ".join(table.column_names[:20]) or "none"
            raise UserError(f"{path}: no column {missing[0]!r}; its columns: {has}")
        for name in wanted:
            columns[name] += table[name].to_pylist()
    return columns


def _table(path: Path, wanted: Sequence[str], names: Sequence[str]) -> pa.Table:
    import pyarrow.csv
    import pyarrow.ipc
    import pyarrow.json
    import pyarrow.parquet

    kind = path.suffix.lower()
    try:
        if kind == ".txt":
            return pa.table({wanted[0]: _paragraphs(path.read_text(encoding="utf-8"))})
        if kind == ".parquet":
            schema = pyarrow.parquet.read_schema(path)
            whole = set(wanted) <= set(schema.names)
            return pyarrow.parquet.read_table(path, columns=list(wanted)) if whole else schema.empty_table()
        if kind == ".arrow":
            return _arrow(path)
        if kind in (".jsonl", ".json"):
            return pyarrow.json.read_json(path)
        # GLUE's files quote nothing: a quotation mark there is one of the text.
        parsing = pyarrow.csv.ParseOptions(delimiter="\t", quote_char=False) if kind == ".tsv" else None
        if kind == ".csv":
            parsing = pyarrow.csv.ParseOptions(newlines_in_values=True)
        options = pyarrow.csv.ReadOptions(column_names=list(names) or None)
        texts = pyarrow.csv.ConvertOptions(
            column_types={name: pa.string() for name in wanted}, strings_can_be_null=False
        )
        return pyarrow.csv.read_csv(path, read_options=options, parse_options=parsing, convert_options=texts)
    except (OSError, ValueError, pa.ArrowException) as error:
        said = " ".join(str(error).split())[:300]
        raise UserError(f"{path}: cannot be read as {kind[1:]} ({said})") from error


def _arrow(path: Path) -> pa.Table:
    """Arrow as `datasets` writes it (a stream), or as an Arrow file."""
    with pa.memory_map(str(path)) as source:
        try:
            return pa.ipc.open_stream(source).read_all()
        except pa.ArrowInvalid:
            return pa.ipc.open_file(source).read_all()


def _paragraphs(text: str) -> list[str]:
    return [part.strip() for part in re.split(r"\n\s*\n", text) if part.strip()]


def texts_of(columns: Columns, name: str, files: Sequence[Path]) -> list[str]:
    """A column of texts. Raises: UserError if a value is none."""
    for row, value in enumerate(columns[name]):
        if not isinstance(value, str):
            raise UserError(f"{files[0]}: column {name!r}, row {row + 1}: {value!r} is no text")
    return columns[name]


def labels_of(columns: Columns, name: str) -> list[str]:
    """A column of labels as texts; a missing one is empty, a whole number has no point."""
    return [_label(value) for value in columns[name]]


def _label(value: Any) -> str:
    if value is None:
        return ""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def numbered(labels: Sequence[str], known: Sequence[str], where: str) -> np.ndarray:
    """The place of every label among the known ones. Shapes: (labels,), int64. Raises: UserError for another."""
    place = {label: number for number, label in enumerate(known)}
    if foreign := next((label for label in labels if label not in place), None):
        raise UserError(f"{where}: label {foreign!r} is not one of {', '.join(known[:20])}; name another split or file")
    if "" in labels and "" not in place:
        raise UserError(f"{where}: a row without a label; name another split or file")
    return np.array([place[label] for label in labels], np.int64)
