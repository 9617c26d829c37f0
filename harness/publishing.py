"""Publishing: a folder is made beside its place and takes it in one step, and only from what publishing made before."""

from __future__ import annotations

import ctypes
import os
import shutil
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.errors import UserError
from results.findings import findings
from results.merging import Source, merged
from results.place import STAGED, explain
from results.site import foreign, write_site
from results.table import confirmatory

_HERE = -100
"""AT_FDCWD: paths are relative to the current folder."""
_EXCHANGE = 2
"""RENAME_EXCHANGE of renameat2(2)."""


def publish(
    sources: Sequence[Source],
    to: str,
    baseline: str,
    campaigns: Mapping[str, Mapping[str, Any]],
    title: str | None = None,
    license: str | None = None,
) -> dict[str, str]:
    """Write the site of these rows to the folder `to`; returns its files by name. campaigns: campaign.json by address.

    Whoever reads the folder meanwhile sees the old one or the new one. Raises: UserError for rows that must not be
    mixed or hold nothing to show, and for a folder that holds anything but what this wrote before, unchanged.
    """
    if "://" in to:
        raise UserError(f"--to {to}: expected a folder of this machine, to be copied to where it is shown")
    try:
        place = Path(to).expanduser().resolve()
        here = Path.cwd()
    except (OSError, RuntimeError) as error:  # an unknown user's home, or a current folder that is gone
        raise UserError(f"--to {to}: cannot be found ({explain(error)})") from error
    if not to or here.is_relative_to(place):
        raise UserError(f"--to {to!r}: it would replace the folder you are in; expected another one")
    try:
        _refuse_foreign(place)
        rows = merged(sources)
        found = findings(confirmatory(rows), baseline)  # what was explored is on no board
        place.parent.mkdir(parents=True, exist_ok=True)
        staged = place.with_name(f"{STAGED}{place.name}-{uuid.uuid4().hex}")
        staged.mkdir()
        try:
            files = write_site(found, staged, title=title, license=license, campaigns=list(campaigns.values()))
            _refuse_foreign(place)
            _take_place(staged, place)
        finally:
            shutil.rmtree(staged, ignore_errors=True)
    except OSError as error:
        raise UserError(f"--to {to}: cannot be written ({explain(error)})") from error
    except ValueError as error:
        raise UserError(str(error)) from error
    return {name: str(place / path.name) for name, path in files.items()}


def _refuse_foreign(to: Path) -> None:
    if to.exists() and not to.is_dir():
        raise UserError(f"--to {to} is a file; expected a folder")
    if to.is_dir() and (reason := foreign(to)) is not None:
        raise UserError(f"--to {to}: not replaced, {reason}; choose another folder, or clear this one by hand")


def _take_place(staged: Path, to: Path) -> None:
    """Put the new folder where the old one is, if any; the old one is then where the new one was. Raises: OSError."""
    if not to.is_dir() or not any(to.iterdir()):
        os.rename(staged, to)
    elif not _exchange(staged, to):  # where the system cannot, there is a moment without a folder
        old = staged.with_name(f"{staged.name}-old")
        os.rename(to, old)
        os.rename(staged, to)
        shutil.rmtree(old)


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two folders in one step, on Linux."""
    try:
        rename = ctypes.CDLL(None).renameat2
    except (OSError, AttributeError):
        return False
    return bool(rename(_HERE, os.fsencode(one), _HERE, os.fsencode(other), _EXCHANGE) == 0)
