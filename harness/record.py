"""The files of a campaign that are JSON: campaign.json and the selection records."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

from harness.errors import UserError
from results.place import Place, PlaceError, explain, place

RECORD: Final = "campaign.json"


def open_place(address: str | Place) -> Place:
    """Where a campaign lives, from what the user gave. Raises: UserError."""
    try:
        return place(address)
    except PlaceError as error:
        raise UserError(str(error)) from error


def read_record(folder: Place) -> dict[str, Any]:
    """The campaign.json of a folder. Raises: UserError if there is none or it is damaged."""
    try:
        there = (folder / RECORD).is_file()
    except (OSError, ValueError) as error:
        raise UserError(f"{folder}: cannot be read ({explain(error)})") from error
    if not there:
        raise UserError(f"{folder}: no campaign here ({RECORD} is missing)")
    record = read_json(folder / RECORD)
    suite = record.get("suite")
    if not isinstance(suite, dict) or not isinstance(suite.get("name"), str):
        raise UserError(f"{folder / RECORD}: damaged, it names no suite")
    if wrong := _wrong(record):
        raise UserError(f"{folder / RECORD}: damaged, {wrong} is not what a campaign has there")
    return record


def _wrong(record: dict[str, Any]) -> str | None:
    """The first part of a campaign's record that has another form than it is written in; None if there is none."""
    suite = record["suite"]
    forms: dict[str, tuple[Any, Callable[[Any], bool]]] = {
        "protocol": (record.get("protocol", 1), _is_count),
        "created_at": (record.get("created_at", ""), _is_text),
        "commit": (record.get("commit") or "", _is_text),
        "origin": (record.get("origin") or "", _is_text),
        "suite.tasks": (suite.get("tasks", []), lambda tasks: _all(tasks, lambda task: _is_text(task["id"]))),
        "suite.methods": (
            suite.get("methods", []),
            lambda methods: _all(methods, lambda m: _is_text(m["label"]) and _is_count(m["configurations"])),
        ),
        "suite.target_sizes": (suite.get("target_sizes", []), lambda sizes: _all(sizes, _is_count)),
    }
    for table in ("tuning", "final"):
        forms[f"suite.{table}"] = (suite.get(table, {"seeds": 1}), lambda held: _is_count(held["seeds"]))
    for where, (held, fits) in forms.items():
        try:
            if not fits(held):
                return where
        except (KeyError, TypeError):
            return where
    return None


def _all(held: Any, fits: Callable[[Any], bool]) -> bool:
    return isinstance(held, list) and all(map(fits, held))


def _is_text(held: Any) -> bool:
    return isinstance(held, str)


def _is_count(held: Any) -> bool:
    return type(held) is int and 0 <= held < 2**31


def read_json(path: Place) -> dict[str, Any]:
    """The object in a JSON file. Raises: UserError."""
    try:
        if not path.is_file():
            raise UserError(f"{path}: no file")
        content = json.loads(path.read_bytes().decode("utf-8"))
    except RecursionError as error:
        raise UserError(f"{path}: cannot be read (nested too deep)") from error
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({explain(error)})") from error
    if not isinstance(content, dict):
        raise UserError(f"{path}: expected a JSON object")
    return content
