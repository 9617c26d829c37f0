"""Columns of foreign files as the types of a row's columns; what is no such value is marked, never replaced."""

from __future__ import annotations

import json
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Mask = npt.NDArray[np.bool_]

ABSENT: Final = ("", "-", "NA", "N/A", "na", "n/a", "NULL", "null", "None", "none")
"""What stands for no value in a column of numbers, truth values or times."""

NUMBER: Final = r"^[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]{1,4})?$"
WHOLE: Final = r"^[+-]?[0-9]{1,18}([.]0*)?$"
NOT_FINITE: Final = r"(?i)^[+-]?(nan|inf|infinity)$"
TRUE: Final = ("true", "yes", "1", "1.0")
FALSE: Final = ("false", "no", "0", "0.0")

EXACT: Final = 2**53


def values(column: pa.ChunkedArray, to: pa.DataType, decimal: str = ".") -> tuple[pa.Array, Mask]:
    """The column under the type `to`, and where it holds something else; there it is null.

    In a column of floats NaN and infinity are values like others.
    """
    held = _plain(column)
    if held is None:
        return pa.nulls(len(column), to), np.asarray(column.is_valid())
    found, present = _converted(held, to, decimal)
    return found, np.asarray(pc.and_(present, pc.is_null(found)), dtype=bool)


def _plain(column: pa.ChunkedArray) -> pa.Array | None:
    """Text, truth values, integers, doubles or times in one piece; None for what is none of them."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
        column = column.cast(kind)
    is_text = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    if is_text or pa.types.is_date(kind) or pa.types.is_null(kind):
        column = column.cast(pa.string())
    elif pa.types.is_decimal(kind) or (pa.types.is_floating(kind) and kind != pa.float64()):
        column = column.cast(pa.float64())
    elif not any(
        fits(kind) for fits in (pa.types.is_boolean, pa.types.is_integer, pa.types.is_float64, pa.types.is_timestamp)
    ):
        return None
    whole = column.combine_chunks()
    return whole if isinstance(whole, pa.Array) else pa.chunked_array(whole).combine_chunks()


def _converted(held: pa.Array, to: pa.DataType, decimal: str) -> tuple[pa.Array, pa.Array]:
    """The values under `to`, null where there is none or another; and where there is something."""
    if pa.types.is_string(to):
        text = held.cast(pa.string())
        return pc.if_else(pc.equal(text, ""), None, text), pc.and_(text.is_valid(), pc.not_equal(text, ""))
    if pa.types.is_string(held.type):
        held = pc.utf8_trim_whitespace(held)
        held = pc.if_else(pc.is_in(held, pa.array(ABSENT)), pa.scalar(None, pa.string()), held)
        if pa.types.is_floating(to) or pa.types.is_integer(to):
            return _number(held, to, decimal), held.is_valid()
    if pa.types.is_boolean(to):
        words = pc.utf8_lower(held.cast(pa.string()))
        known = pc.is_in(words, pa.array([*TRUE, *FALSE]))
        return pc.if_else(known, pc.is_in(words, pa.array(TRUE)), None), held.is_valid()
    if pa.types.is_timestamp(to):
        return _time(held, to), held.is_valid()
    if pa.types.is_boolean(held.type) or pa.types.is_timestamp(held.type):
        return pa.nulls(len(held), to), held.is_valid()
    if pa.types.is_integer(to):
        return _within(held, to), held.is_valid()
    return held.cast(to, safe=False), held.is_valid()


def _number(text: pa.Array, to: pa.DataType, decimal: str) -> pa.Array:
    text = pc.replace_substring_regex(text, r"^[+]", "")
    if decimal != ".":
        text = pc.if_else(pc.match_substring(text, "."), None, pc.replace_substring(text, decimal, "."))
    if pa.types.is_integer(to):
        whole = pc.if_else(pc.match_substring_regex(text, WHOLE), text, None)
        return _within(pc.replace_substring_regex(whole, r"[.]0*$", "").cast(pa.int64()), to)
    written = pc.match_substring_regex(text, NUMBER)
    words = pc.match_substring_regex(text, NOT_FINITE)
    word = pc.if_else(words, pc.utf8_lower(text), None)
    named = pc.case_when(
        pc.make_struct(pc.match_substring(word, "nan"), pc.starts_with(word, "-"), word.is_valid()),
        *(pa.scalar(value, pa.float64()) for value in (np.nan, -np.inf, np.inf)),
    )
    return pc.coalesce(pc.if_else(written, text, None).cast(pa.float64()), named)


def _within(numbers: pa.Array, to: pa.DataType) -> pa.Array:
    """Whole numbers that fit the type; null elsewhere."""
    bits = 31 if to == pa.int32() else 63
    if pa.types.is_floating(numbers.type):
        whole = pc.and_(pc.equal(numbers, pc.floor(numbers)), pc.less(pc.abs(numbers), min(EXACT, 2**bits)))
        return pc.if_else(pc.fill_null(whole, False), numbers, None).cast(to, safe=False)
    inside = pc.less(numbers, pa.scalar(2**bits - 1, numbers.type if bits == 63 else pa.int64()))
    if not pa.types.is_unsigned_integer(numbers.type):
        inside = pc.and_(inside, pc.greater(numbers, pa.scalar(-(2**bits) + 1, pa.int64())))
    return pc.if_else(pc.fill_null(inside, False), numbers, None).cast(to, safe=False)


def _time(held: pa.Array, to: pa.DataType) -> pa.Array:
    """Times in UTC; one that says no zone counts as UTC."""
    if pa.types.is_timestamp(held.type):
        return held.cast(pa.timestamp("us", held.type.tz), safe=False).cast(to)
    if not pa.types.is_string(held.type):
        return pa.nulls(len(held), to)
    found = []
    for text in held.to_pylist():
        try:
            time = None if text is None else np.datetime64(text.removesuffix("Z").removesuffix("+00:00"), "us")
            found.append(None if time is None else int(time.astype(np.int64)))
        except ValueError:
            found.append(None)
    return pa.array(found, pa.int64()).cast(pa.timestamp("us")).cast(to)


def maps(column: pa.ChunkedArray) -> tuple[list[dict[str, str] | None], Mask]:
    """Maps of texts, or JSON objects of texts; and where there is something else."""
    found: list[dict[str, str] | None] = []
    wrong = np.zeros(len(column), bool)
    for index, value in enumerate(column.to_pylist()):
        pairs: Any = value
        if isinstance(value, str):
            try:
                pairs = json.loads(value) if value else None
            except (ValueError, RecursionError):
                pairs = ()
        elif isinstance(value, list):
            pairs = dict(value) if all(isinstance(item, tuple) and len(item) == 2 for item in value) else ()
        texts = isinstance(pairs, dict) and all(isinstance(t, str) for pair in pairs.items() for t in pair)
        wrong[index] = pairs is not None and not texts
        found.append(pairs if texts else None)
    return found, wrong
