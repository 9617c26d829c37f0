"""Foreign results become rows: what is absent is null, what does not fit is dropped and accounted for."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from results.errors import ResultsError, nearest
from results.foreign_account import SHOWN, Account, Place
from results.foreign_batch import MAPS, Batch
from results.foreign_files import Dialect, read
from results.foreign_merge import fitting
from results.foreign_rows import EXTRA, OWN, Rows, target_of
from results.foreign_values import values
from results.foreign_wide import lengthened
from results.place import explain
from results.schema import IDENTITY, SCHEMA

MINIMAL: Final = ("task", "method", "seed", "score", "higher_is_better")
"""The columns that no file of foreign results may lack; each may be given for all rows at once instead."""

ANCHORS: Final = ("extra.anchor_zero", "extra.anchor_one", "extra.task_family", "extra.role")


@dataclass(frozen=True)
class Mapping:
    """Where the columns of rows come from.

    columns: the file's column, or the dotted path in a JSON file, of a row's column; what is not named here comes from
    the column of the same name. constants: what holds for every row, as text; "" says that it is not known. name: a
    pattern whose named groups, looked for in a file's path, are columns too. where: only rows whose file's column holds
    this text. wide: columns that each hold one method's scores, ("all",) for those that are nothing else.
    keep_failures: a score that is NaN or infinite is a failed trial, else a row that is dropped.
    """

    columns: dict[str, str] = field(default_factory=dict)
    constants: dict[str, str] = field(default_factory=dict)
    name: str = ""
    where: dict[str, str] = field(default_factory=dict)
    wide: tuple[str, ...] = ()
    decimal: str = "."
    keep_failures: bool = False
    dialect: Dialect = field(default_factory=Dialect)

    def __post_init__(self) -> None:
        known = {*SCHEMA.names, "score"} - {*OWN}
        for target in (*self.columns, *self.constants):
            if target not in known and not (target.startswith(EXTRA) and len(target) > len(EXTRA)):
                raise ResultsError(f"a row has no column {target!r} that can be given; {nearest(target, known)}")
            if target in MAPS and self.constants.get(target):
                raise ResultsError(f"{target}: expected a column, or nothing; single entries are extra.NAME")
        if both := sorted(self.columns.keys() & self.constants.keys()):
            raise ResultsError(f"{both[0]}: given both as a column and for all rows; expected one of them")

    def paths(self) -> list[str]:
        """What is looked up in JSON files."""
        taken = set(map(target_of, (*self.columns, *self.constants)))
        free = [name for name in ("score", *SCHEMA.names, *ANCHORS) if target_of(name) not in taken]
        return list(dict.fromkeys([*self.columns.values(), *self.where, *free]))

    def described(self) -> str:
        """All of it as canonical JSON."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)


@dataclass(frozen=True)
class _Part:
    """Rows of one batch, with the file and line of each."""

    rows: pa.Table
    batch: Batch
    file: npt.NDArray[np.int64]
    lines: npt.NDArray[np.int64]

    def place(self, row: int, given: str = "") -> Place:
        source = self.batch.sources[self.file[row]]
        return Place(source.name, self.batch.unit, int(self.lines[row]), given)


def rows_of(
    files: Sequence[Path], mapping: Mapping, held: pa.Table, account: Account, before: Collection[str] = ()
) -> pa.Table:
    """The rows of files that fit beside those `held`, under SCHEMA; the account is told what became of all others.

    before: hashes of files that were imported earlier, which are left out. Raises: ResultsError, complete, for a file
    that cannot be understood at all, as for a minimal column that is nowhere.
    """
    parts = []
    for batch in read(files, mapping.paths(), mapping.dialect):
        account.files += batch.sources
        account.rows += sum(source.rows for source in batch.sources)
        if all(source.sha256 in before for source in batch.sources):
            account.skipped += [source.name for source in batch.sources]
        else:
            parts.append(_fitting(batch, mapping, account))

    def refuse(rows: npt.NDArray[np.bool_], reason: str) -> None:
        if not rows.any():
            return
        starts, places = np.cumsum([0, *(len(part.rows) for part in parts)]), []
        for row in np.flatnonzero(rows)[:SHOWN]:
            part = int(np.searchsorted(starts, row, side="right")) - 1
            places.append(parts[part].place(int(row - starts[part])))
        account.drop(reason, int(rows.sum()), places)

    if not parts:
        return SCHEMA.empty_table()
    rows, known = fitting(pa.concat_tables([part.rows for part in parts]), held, refuse)
    account.imported, account.known = len(rows), account.known + known
    return rows


def _fitting(batch: Batch, mapping: Mapping, account: Account) -> _Part:
    """The rows of a batch that are rows at all."""
    for source, line, reason in batch.unread:
        account.drop(reason, 1, [Place(batch.sources[source].name, batch.unit, line)])
    what = batch.sources[0].name if len(batch.sources) == 1 else f"{len(batch.sources)} JSON files"
    columns, file, lines = _with_name(batch, mapping), batch.file, batch.lines
    _refuse_doubles(columns, what)
    kept = np.ones(len(columns), bool)
    for name, text in mapping.where.items():
        held = values(_column(columns, name, f"{what}: --where {name}={text}"), pa.string())[0]
        kept &= np.asarray(pc.fill_null(pc.equal(held, text), False))
    account.left_out += int((~kept).sum())
    columns, file, lines = columns.filter(pa.array(kept)), file[kept], lines[kept]
    given = _sources(columns, mapping, what, batch)
    if mapping.wide:
        methods = _methods(columns, given, mapping, what)
        columns, given = lengthened(columns, given, methods, mapping.decimal)
        file, lines = np.tile(file, len(methods)), np.tile(lines, len(methods))
        account.rows += len(columns) - len(kept)
    account.columns |= {"score" if t == "score_test" else t: name for t, name in sorted(given.items())}
    account.given |= dict(sorted(mapping.constants.items()))
    used = {*given.values(), *mapping.where, *(IDENTITY if batch.kind != "JSON" else ())}
    account.unused = sorted({*account.unused, *(name for name in columns.column_names if name not in used)})
    exported = set(IDENTITY) <= set(columns.column_names) and not mapping.wide
    if (exported or _explored(columns)) and given.get("exploratory", "") != "exploratory":
        raise ResultsError(
            f"{what}: exploratory is said by the rows themselves; what was explored enters no comparison under any name"
        )
    rows = Rows(columns, given, mapping.constants, mapping.decimal, mapping.keep_failures)
    part = _Part(rows.table(_origin(batch, file, lines), exported), batch, file, lines)
    for reason, wrong, blamed in rows.refused():
        places = [part.place(int(row), rows.given_at(blamed, int(row))) for row in wrong[:SHOWN]]
        account.drop(reason, len(wrong), places)
    fits = rows.fits
    return _Part(part.rows.filter(pa.array(fits)), batch, file[fits], lines[fits])


def _explored(columns: pa.Table) -> bool:
    """Whether a row of the file says that it is exploratory, or what is neither true nor false."""
    if "exploratory" not in columns.column_names:
        return False
    said, wrong = values(columns["exploratory"], pa.bool_())
    return bool(pc.any(said).as_py() or wrong.any())


def _origin(batch: Batch, file: npt.NDArray[np.int64], lines: npt.NDArray[np.int64]) -> pa.Array:
    """What says where each row came from: the beginning of its file's hash, and its line."""
    starts = pa.array([source.sha256[:12] for source in batch.sources], pa.string()).take(pa.array(file))
    return pc.binary_join_element_wise(starts, pa.array(lines).cast(pa.string()), ":")


def _with_name(batch: Batch, mapping: Mapping) -> pa.Table:
    """The columns, and those that the pattern finds in the files' paths."""
    if not mapping.name:
        return batch.columns
    try:
        found = pc.extract_regex(pa.array(batch.paths, pa.string()), mapping.name)
    except pa.ArrowException as error:
        raise ResultsError(
            f"file_name = {mapping.name!r}: expected a pattern with named groups ({explain(error)})"
        ) from error
    columns = batch.columns
    for item, name in enumerate(found.type):
        columns = columns.append_column(name.name, pc.struct_field(found, item).take(pa.array(batch.file)))
    return columns


def _column(columns: pa.Table, name: str, where: str) -> pa.ChunkedArray:
    if name not in columns.column_names:
        raise ResultsError(f"{where}: no column {name!r}; {nearest(name, columns.column_names)}")
    return columns[name]


def _refuse_doubles(columns: pa.Table, what: str) -> None:
    doubled = sorted({name for name in columns.column_names if columns.column_names.count(name) > 1})
    if doubled:
        raise ResultsError(f"{what}: column {doubled[0]!r} is there more than once; give each its own name")


def _sources(columns: pa.Table, mapping: Mapping, what: str, batch: Batch) -> dict[str, str]:
    """The file's column of each row's column that has one, "score" being what `score_test` is called."""
    held = columns.column_names
    for target, name in mapping.columns.items():
        _column(columns, name, f"{what}: --map {target}={name}")
    given = {target_of(target): name for target, name in mapping.columns.items()}
    constants = set(map(target_of, mapping.constants))
    free = [name for name in held if name in SCHEMA.names or name == "score" or name.startswith(EXTRA)]
    for name in free:
        target = target_of(name)
        if target in OWN or target in constants or (target == "score_test" and mapping.wide):
            continue
        if target in given and target == "score_test" and target not in map(target_of, mapping.columns):
            raise ResultsError(f"{what}: columns 'score' and 'score_test'; say which one counts: --map score=COLUMN")
        given.setdefault(target, name)
    present = {*given, *constants} | ({"method", "score_test"} if mapping.wide else set())
    for name in MINIMAL:
        if target_of(name) not in present:
            raise ResultsError(f"{what}: {_lacking(name, held, batch)}")
    return given


def _lacking(name: str, held: Sequence[str], batch: Batch) -> str:
    if len(held) == 1 and (other := [mark for mark in ";\t|" if mark in held[0]]):
        shown = "tab" if other[0] == "\t" else f"'{other[0]}'"
        return f"one column only, {held[0][:60]!r}; say --delimiter {shown}"
    if name == "higher_is_better":
        return "nothing says whether a higher score is better; say --higher-is-better true or false, or map a column"
    unknown = f", or --set {name}= where it is not known" if name == "seed" else ""
    near = nearest(name, held) if batch.kind != "JSON" else "no such path in these files"
    return f"no column for {name!r}; say --map {name}=COLUMN, or --set {name}=VALUE for all rows{unknown} ({near})"


def _methods(columns: pa.Table, given: dict[str, str], mapping: Mapping, what: str) -> list[str]:
    """The columns that hold methods' scores."""
    others = [name for name in columns.column_names if name not in {*given.values(), *mapping.where}]
    methods = others if mapping.wide == ("all",) else list(mapping.wide)
    for name in methods:
        _column(columns, name, f"{what}: --wide")
    if not methods:
        raise ResultsError(f"{what}: --wide: no columns are left that could be methods")
    return methods
