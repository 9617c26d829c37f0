"""What the command line and a mapping file say about the columns of foreign files."""

from __future__ import annotations

import tomllib
from argparse import Namespace
from pathlib import Path
from typing import Any, Final

from harness.errors import UserError, nearest
from results.errors import ResultsError
from results.foreign import Mapping
from results.foreign_files import Dialect
from results.place import explain

MAPPING_KEYS: Final = ("columns", "constants", "higher_is_better", "file_name")
MAPPING_BYTES: Final = 100_000


def mapping_of(options: Namespace) -> Mapping:
    """The mapping of the file `--mapping` and, over it, of the command line. Raises: UserError."""
    columns, constants, name = _from_file(options.mapping) if options.mapping else ({}, {}, "")
    columns |= _pairs("--map", options.map, "score=test_acc")
    constants |= _pairs("--set", options.set, "metric=accuracy")
    if options.higher_is_better:
        constants["higher_is_better"] = options.higher_is_better
    for target in columns.keys() & constants.keys():
        if columns[target] != constants[target]:
            raise UserError(
                f"{target}: by --map the column {columns[target]!r}, by --set {constants[target]!r}; expected one"
            )
    delimiter = {"tab": "\t", "\\t": "\t"}.get(options.delimiter, options.delimiter or "")
    if len(delimiter) > 1 or (delimiter and (ord(delimiter) > 126 or delimiter in '"\r\n')):
        raise UserError(f"--delimiter {options.delimiter}: expected one character, as in ';' or tab")
    if options.decimal == delimiter == ",":
        raise UserError("--decimal ',': the values are parted by commas too; say --delimiter as well")
    try:
        return Mapping(
            columns={target: source for target, source in columns.items() if source},
            constants=constants | {target: "" for target, source in columns.items() if not source},
            name=name,
            where=_pairs("--where", options.where, "metric=accuracy"),
            wide=tuple(filter(None, (options.wide or "").split(","))),
            decimal=options.decimal,
            keep_failures=options.not_finite == "failed",
            dialect=Dialect(delimiter, options.encoding or ""),
        )
    except ResultsError as error:
        raise UserError(str(error)) from error


def _pairs(option: str, given: list[str], example: str) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise UserError(f"{option} {text}: expected as in {option} {example}")
        if name in pairs and pairs[name] != value:
            raise UserError(f"{option} {name}: given twice, {pairs[name]!r} and {value!r}")
        pairs[name.strip()] = value
    return pairs


def _from_file(path: Path) -> tuple[dict[str, str], dict[str, str], str]:
    """Columns, constants and file-name pattern of a mapping file. Raises: UserError."""
    try:
        content = path.read_bytes()
        if len(content) > MAPPING_BYTES:
            raise UserError(f"{path}: {len(content):,} bytes; expected a mapping file of at most {MAPPING_BYTES:,}")
        held = tomllib.loads(content.decode("utf-8"))
    except OSError as error:
        raise UserError(f"--mapping {path}: cannot be read ({explain(error)})") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"--mapping {path}: not valid TOML: {error}") from error
    for key in held:
        if key not in MAPPING_KEYS:
            raise UserError(f"--mapping {path}: unknown key {key!r}; {nearest(key, MAPPING_KEYS)}")
    tables: list[dict[str, str]] = []
    for key in ("columns", "constants"):
        given = held.get(key, {})
        if not isinstance(given, dict):
            raise UserError(f"--mapping {path}: {key} = {given!r}; expected a table [{key}]")
        tables.append({str(name): _text(value, f"--mapping {path}: {key}.{name}") for name, value in given.items()})
    columns, constants = tables
    if "higher_is_better" in held:
        constants["higher_is_better"] = _text(held["higher_is_better"], f"--mapping {path}: higher_is_better")
    return columns, constants, _text(held.get("file_name", ""), f"--mapping {path}: file_name")


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str | int | float):
        raise UserError(f"{where} = {value!r}; expected a text, a number, true or false (a name with a dot in quotes)")
    return str(value).lower() if isinstance(value, bool) else str(value)
