"""A suite given as a dictionary becomes the text of a suite file, which the command reads."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from numbers import Integral, Real

from harness.errors import UserError


def document(table: object) -> str:
    """TOML with one key of the top level after the other. Raises: UserError for what TOML cannot hold."""
    if not isinstance(table, Mapping):
        raise UserError(f"suite {table!r}; expected a name, a path to a .toml file, or a dictionary of a suite's keys")
    return "".join(f"{_key(key)} = {value(held, key)}\n" for key, held in table.items())


def value(held: object, where: str) -> str:
    """One value as TOML: texts, paths, numbers, booleans, lists and tuples, and dictionaries of these.

    Elements of a list stand on lines of their own. Raises: UserError, with `where`, for anything else.
    """
    if isinstance(held, bool):
        return "true" if held else "false"
    if isinstance(held, Integral):
        return str(int(held))
    if isinstance(held, Real):
        return repr(float(held))
    if isinstance(held, os.PathLike):
        held = os.fspath(held)
    if isinstance(held, str):
        return _text(held, where)
    if isinstance(held, list | tuple):
        return "[" + ",\n".join(value(item, f"{where}[{place}]") for place, item in enumerate(held)) + "]"
    if isinstance(held, Mapping):
        inside = (f"{_key(key)} = {_one_line(item, f'{where}.{key}')}" for key, item in held.items())
        return "{ " + ", ".join(inside) + " }"
    raise UserError(
        f"suite: {where} = {held!r}; expected a text, a number, true or false, a list or a dictionary of these"
        + ("; a method or task of your own is named by its file" if isinstance(held, type) else "")
    )


def _one_line(held: object, where: str) -> str:
    return value(held, where).replace(",\n", ", ")


def _key(key: object) -> str:
    if not isinstance(key, str):
        raise UserError(f"suite: key {key!r}; expected a text")
    return _text(key, key)


def _text(text: str, where: str) -> str:
    """A basic string: JSON's escapes are TOML's, which lacks one letter more."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise UserError(f"suite: {where} = {text!r}; expected letters that can be written as UTF-8") from error
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
