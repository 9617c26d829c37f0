"""The files of a campaign that are JSON: campaign.json and the selection records."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from harness.errors import UserError

RECORD: Final = "campaign.json"


def read_record(folder: Path) -> dict[str, Any]:
    """The campaign.json of a folder. Raises: UserError if there is none or it is damaged."""
    if not (folder / RECORD).is_file():
        raise UserError(f"{folder}: no campaign here ({RECORD} is missing)")
    record = read_json(folder / RECORD)
    suite = record.get("suite")
    if not isinstance(suite, dict) or not isinstance(suite.get("name"), str):
        raise UserError(f"{folder / RECORD}: damaged, it names no suite")
    return record


def read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({error})") from error
    if not isinstance(content, dict):
        raise UserError(f"{path}: expected a JSON object")
    return content
