"""Columns of a foreign file become columns of rows; the first thing that does not fit is noted for each row."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from results.errors import ResultsError
from results.foreign_batch import MAPS
from results.foreign_values import maps, values
from results.schema import SCHEMA, SCHEMA_VERSION, STATUSES

NO_PROTOCOL: Final = 0
"""The protocol of rows that were not made under this program's rules."""

DEFAULTS: Final = {"suite": "imported", "protocol": str(NO_PROTOCOL), "stage": "final", "exploratory": "false"}
"""What identity needs and a file of foreign results seldom says."""

OWN: Final = ("schema_version", "key", "pair_key")
"""Columns that count only in an export of this program, which has all of IDENTITY."""

EXTRA: Final = "extra."
ORIGIN: Final = "imported_from"
"""Where `extra` says which file a row came from, by the beginning of its hash, and which line of it."""

TRIAL: Final = ("protocol", "stage", "task", "target_size", "method", "label", "config", "seed")
PAIR: Final = ("protocol", "task", "target_size", "seed")
"""What the keys of rows without a key of their own are hashes of."""

LONGEST_NAME: Final = 1000
LARGEST_SCORE: Final = 1e100
"""In size; squares of differences of such scores still are numbers."""

NAMES: Final = ("task", "method", "label", "suite", "metric")


def target_of(name: str) -> str:
    """A row's column by the name that foreign files have for it."""
    return "score_test" if name == "score" else name


class Rows:
    """Rows that are being made. `columns` are the file's, `given` says which of them a row's column comes from."""

    def __init__(
        self, columns: pa.Table, given: dict[str, str], constants: dict[str, str], decimal: str, keep_failures: bool
    ) -> None:
        self.columns, self.given, self.count = columns, given, len(columns)
        self.decimal, self.keep_failures = decimal, keep_failures
        self.constants = {target_of(name): text for name, text in constants.items()}
        self.reason = np.zeros(self.count, np.int64)
        self.reasons: list[tuple[str, str]] = [("", "")]
        self.made: dict[str, pa.Array] = {}

    @property
    def fits(self) -> npt.NDArray[np.bool_]:
        """Which rows nothing is wrong with."""
        return np.asarray(self.reason == 0)

    def refused(self) -> Iterator[tuple[str, npt.NDArray[np.int64], str]]:
        """Each reason with the rows that it drops, and the file's column that is to blame."""
        for code, (reason, blamed) in enumerate(self.reasons[1:], 1):
            yield reason, np.flatnonzero(self.reason == code), blamed

    def given_at(self, column: str, row: int) -> str:
        """What the file holds there, shortened."""
        held = self.columns[column][row].as_py() if column else None
        return "" if held is None else str(held)[:60]

    def table(self, origin: pa.Array, exported: bool) -> pa.Table:
        """All rows under SCHEMA, those that do not fit too. origin: where each came from."""
        for item in SCHEMA:
            if item.name not in (*OWN, *MAPS):
                self.made[item.name] = self._values(item.name, item.type)
        self._check_identity()
        self._set_outcomes()
        self._check_costs()
        self.made["schema_version"] = pa.array(np.full(self.count, SCHEMA_VERSION), pa.int32())
        self.made["key"], self.made["pair_key"] = self._own_keys() if exported else self._keys()
        self.made["versions"], self.made["extra"] = self._maps(origin)
        return pa.table([self.made[name] for name in SCHEMA.names], schema=SCHEMA)

    def _refuse(self, rows: Any, reason: str, target: str = "") -> None:
        """Note what is wrong with rows, unless something was before."""
        first = np.asarray(rows, bool) & (self.reason == 0)
        if first.any():
            self.reason[first] = len(self.reasons)
            self.reasons.append((reason, self.given.get(target, "")))

    def _values(self, target: str, to: pa.DataType) -> pa.Array:
        if target in self.given:
            found, wrong = values(self.columns[self.given[target]], to, self.decimal)
            name = "score" if target == "score_test" else target
            comma = self._commas(self.columns[self.given[target]], wrong) if pa.types.is_floating(to) else wrong & False
            self._refuse(comma, f"{name} has a decimal comma; say --decimal ,", target)
            self._refuse(wrong, f"{name} is not {_words(to)}", target)
            return found
        text = self.constants.get(target, DEFAULTS.get(target, ""))
        one, wrong = values(pa.chunked_array([pa.array([text or None], pa.string())]), to)
        if wrong[0]:
            raise ResultsError(f"--set {target}={text}: expected {_words(to)}")
        return one.take(pa.array(np.zeros(self.count, np.int64)))

    def _commas(self, column: pa.ChunkedArray, wrong: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        """Which values that are no numbers would be numbers with a decimal comma."""
        if self.decimal == "," or not wrong.any():
            return np.zeros(len(column), bool)
        found, still_wrong = values(column, pa.float64(), ",")
        return np.asarray(wrong & ~still_wrong & np.asarray(found.is_valid()), bool)

    def _check_identity(self) -> None:
        """Every row has a task, a method, a seed unless none is known, a direction, and what identity needs."""
        made = self.made
        for name in ("task", "method", "seed", "higher_is_better", *DEFAULTS):
            if not (name == "seed" and self.constants.get("seed") == ""):
                self._refuse(made[name].is_null(), f"no {name}", name)
        made["label"] = pc.coalesce(made["label"], made["method"])
        for name in NAMES:
            text = pc.coalesce(made[name], "-")
            self._refuse(
                pc.greater(pc.utf8_length(text), LONGEST_NAME), f"{name}: over {LONGEST_NAME} characters", name
            )
            empty = pc.or_(pc.equal(pc.utf8_trim_whitespace(text), ""), pc.match_substring(text, "\x00"))
            self._refuse(empty, f"{name} is blank, or holds a NUL", name)
            broken = pc.match_substring_regex(text, "[\r\n]")
            self._refuse(broken, f"{name} holds a line break (is a quote not closed?)", name)
        known = pc.is_in(made["stage"], pa.array(["final", "tune"]))
        self._refuse(pc.invert(known), "stage is neither final nor tune", "stage")

    def _set_outcomes(self) -> None:
        """A row that says no status is done if it has a finite score; one that is done must have one."""
        made = self.made
        stated = made["status"]
        unknown = pc.and_(stated.is_valid(), pc.invert(pc.is_in(stated, pa.array(STATUSES))))
        self._refuse(unknown, f"status is none of {', '.join(STATUSES)}", "status")
        done = np.asarray(pc.fill_null(pc.equal(stated, "done"), True))
        final = pc.fill_null(pc.equal(made["stage"], "final"), True)
        judged = pc.if_else(final, made["score_test"], made["score_validation"])
        self._refuse(done & np.asarray(judged.is_null()), "no score", "score_test")
        lost = done & np.asarray(pc.fill_null(pc.invert(pc.is_finite(judged)), False))
        if not self.keep_failures:
            self._refuse(lost, "score is NaN or infinite (--not-finite failed keeps it)", "score_test")
        for name in (name for name in SCHEMA.names if name.startswith("score_")):
            infinite = np.asarray(pc.fill_null(pc.invert(pc.is_finite(made[name])), False))
            self._refuse(infinite & ~lost, f"{name} is NaN or infinite", name)
            large = np.asarray(pc.fill_null(pc.greater(pc.abs(made[name]), LARGEST_SCORE), False)) & ~infinite
            shown = "score" if name == "score_test" else name
            self._refuse(large, f"{shown} is beyond {LARGEST_SCORE:g} in size", name)
            made[name] = pc.if_else(pa.array(infinite), None, made[name])
        words = pc.binary_join_element_wise("the score in the file is ", judged.cast(pa.string()), "")
        made["status"] = pc.if_else(pa.array(lost), "diverged", pc.coalesce(stated, "done"))
        made["reason"] = pc.coalesce(made["reason"], pc.if_else(pa.array(lost), words, pa.scalar(None, pa.string())))

    def _check_costs(self) -> None:
        """Sizes, budgets and costs are finite and not below 0."""
        for item in SCHEMA:
            column = self.made.get(item.name)
            number = pa.types.is_integer(item.type) or pa.types.is_floating(item.type)
            if not number or item.name == "seed" or item.name.startswith("score_") or column is None:
                continue
            if column.null_count < len(column):
                if pa.types.is_floating(item.type):  # NaN is how many programs write that something is not known
                    column = self.made[item.name] = pc.if_else(pc.is_nan(column), None, column)
                amount = column.cast(pa.float64(), safe=False)
                wrong = pc.invert(pc.and_(pc.greater_equal(amount, 0.0), pc.is_finite(amount)))
                self._refuse(pc.fill_null(wrong, False), f"{item.name} is below 0 or infinite", item.name)

    def _own_keys(self) -> tuple[pa.Array, pa.Array]:
        """The keys of rows that this program exported."""
        version, wrong = values(self.columns["schema_version"], pa.int32())
        newer = np.asarray(pc.fill_null(pc.greater(version, SCHEMA_VERSION), True))
        self._refuse(wrong | newer, f"schema_version is none up to {SCHEMA_VERSION}")
        key, pair = (values(self.columns[name], pa.string())[0] for name in ("key", "pair_key"))
        for name, column in (("key", key), ("pair_key", pair)):
            fits = pc.fill_null(pc.match_substring_regex(column, "^[0-9A-Za-z_./:-]{1,200}$"), False)
            self._refuse(pc.invert(fits), f"{name} is no key")
        return key, pair

    def _keys(self) -> tuple[pa.Array, pa.Array]:
        table = pa.table({name: self.made[name] for name in {*TRIAL, *PAIR}})
        return hashes(table, TRIAL), hashes(table, PAIR)

    def _maps(self, origin: pa.Array) -> tuple[pa.Array, pa.Array]:
        """Versions, and extra with what is mapped to single entries of it and where the row came from."""
        read: dict[str, list[dict[str, str] | None]] = {}
        for name in MAPS:
            read[name] = [None] * self.count
            if name in self.given:
                read[name], wrong = maps(self.columns[self.given[name]])
                self._refuse(wrong, f"{name} is not a JSON object of texts", name)
        entries = sorted(name for name in {*self.given, *self.constants} if name.startswith(EXTRA))
        kind = SCHEMA.field("extra").type
        versions = pa.array(read["versions"], kind)
        if not entries and "extra" not in self.given:
            names = pa.array([ORIGIN]).take(pa.array(np.zeros(self.count, np.int64)))
            offsets = pa.array(np.arange(self.count + 1), pa.int32())
            return versions, pa.MapArray.from_arrays(offsets, names, origin)
        texts = {name.removeprefix(EXTRA): self._values(name, pa.string()).to_pylist() for name in entries}
        extra = [
            (held or {}) | {name: column[row] for name, column in texts.items() if column[row]} | {ORIGIN: where}
            for row, (held, where) in enumerate(zip(read["extra"], origin.to_pylist(), strict=True))
        ]
        return versions, pa.array(extra, kind)


def hashes(rows: pa.Table, names: Sequence[str]) -> pa.Array:
    """The first 32 hex digits of a SHA-256 for each row, of these columns; NUL, which no name has, parts them."""
    texts = [pc.fill_null(rows[name].cast(pa.string()), "\x01") for name in names]
    joined = pc.binary_join_element_wise(*texts, "\x00")
    return pa.array([hashlib.sha256(text.encode()).hexdigest()[:32] for text in joined.to_pylist()], pa.string())


def _words(kind: pa.DataType) -> str:
    if pa.types.is_integer(kind):
        return "a whole number" if kind == pa.int64() else "a whole number below 2**31"
    if pa.types.is_floating(kind):
        return "a number"
    if pa.types.is_boolean(kind):
        return "true or false"
    return "a time in UTC" if pa.types.is_timestamp(kind) else "text"
