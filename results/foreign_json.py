"""Foreign results in JSON: one object a line, or one file a run, of which some values are looked up."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.json

from results.errors import ResultsError
from results.foreign_batch import LONGEST, Batch, Source, source_of
from results.place import explain

DEEPEST: Final = 100
"""Brackets inside brackets; pyarrow's reader ends the process from some ten thousand on."""


def json_lines(path: Path, content: bytes) -> Batch:
    """One row for each object. Raises: what pyarrow raises; ResultsError for brackets without end."""
    content = content.removeprefix(b"\xef\xbb\xbf")
    content.decode("utf-8")
    if _depth(content) > DEEPEST:
        raise ResultsError(f"{path}: nested deeper than {DEEPEST} brackets")
    reading = pyarrow.json.ReadOptions(use_threads=False, block_size=min(len(content) + 1, 2**31 - 1))
    rows = _flat(pyarrow.json.read_json(io.BytesIO(content), reading))
    filled = np.array([number for number, line in enumerate(content.split(b"\n"), 1) if line.strip()], np.int64)
    by_line = len(filled) == len(rows)
    lines, unit = (filled, "line") if by_line else (np.arange(1, len(rows) + 1), "row")
    source, first = source_of(path, content, len(rows)), np.zeros(len(rows), np.int64)
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


def nested(files: Sequence[tuple[Path, bytes]], wanted: Sequence[str]) -> Batch:
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
        sources.append(source_of(path, content, max(len(runs), 1)))
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
