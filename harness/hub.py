"""Models and data sets of the hub by name and revision, as `pacbench prefetch` laid them on a disk.

A suite writes `hub:OWNER/NAME@REVISION` where a folder is expected, or `hub:datasets/OWNER/NAME@REVISION/SUB/FOLDER`.
Here is no network: what a name stands for is looked up in the manifest of the folder that PACBENCH_PREFETCHED names.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.checkpoint import file_hash
from harness.errors import UserError, nearest

PREFIX = "hub:"
VARIABLE = "PACBENCH_PREFETCHED"
MANIFEST = "manifest.json"
EXPECTED = "hub:OWNER/NAME@REVISION or hub:datasets/OWNER/NAME@REVISION, with /SUB/FOLDER where only that is needed"

_NAME = re.compile(r"hub:(datasets/)?([\w.-]+(?:/[\w.-]+)?)@([\w.-]+)((?:/[\w.-]+)*)")

Manifest = dict[str, Any]


@dataclass(frozen=True)
class Hub:
    """What a name stands for. kind: "model" or "dataset"; inside: the folder of the repository that is meant."""

    kind: str
    repository: str
    revision: str
    inside: str

    @property
    def name(self) -> str:
        """The name without the folder in it: what the manifest is keyed by."""
        return f"{PREFIX}{'datasets/' if self.kind == 'dataset' else ''}{self.repository}@{self.revision}"

    @property
    def folder(self) -> str:
        """Where it lies in the folder of all that was prefetched."""
        return f"{self.kind}s/{self.repository.replace('/', '--')}@{self.revision}"


def parse(given: str) -> Hub:
    """What a name of the hub stands for. Raises: UserError."""
    found = _NAME.fullmatch(given)
    parts = found[4].split("/") if found else []
    if found is None or ".." in parts or "." in parts:
        raise UserError(f"{given!r} is no name of the hub; expected {EXPECTED}")
    return Hub("dataset" if found[1] else "model", found[2], found[3], found[4].lstrip("/"))


def local(given: str) -> str:
    """The path on this machine of what a name of the hub stands for.

    Raises: UserError if nothing was prefetched here, not this, or not all of it.
    """
    hub, root = parse(given), os.environ.get(VARIABLE, "")
    if not root:
        raise UserError(f"{given}: {VARIABLE} is not set; expected the folder that `pacbench prefetch` filled")
    place = Path(root).expanduser().resolve()
    manifest = read_manifest(place)
    if hub.name not in manifest:
        raise UserError(f"{given}: not prefetched in {place} ({nearest(hub.name, manifest)}); run `pacbench prefetch`")
    for _, why in damage(place, hub.name, manifest[hub.name], hashes=False):
        raise UserError(f"{why}; run `pacbench prefetch` again")
    path = place / hub.folder / hub.inside
    if not path.exists():
        raise UserError(f"{given}: {path} does not exist; the repository has no such folder")
    return str(path)


def read_manifest(place: Path) -> Manifest:
    """What was prefetched, by name. Raises: UserError if the folder holds no manifest that can be read."""
    path = place / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        if not all(isinstance(entry["files"], dict) for entry in manifest.values()):
            raise TypeError("an entry lists no files")
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(f"{path}: cannot be read ({error}); expected what `pacbench prefetch` writes") from error
    return dict(manifest)


def damage(place: Path, name: str, entry: Manifest, hashes: bool) -> Iterator[tuple[Path, str]]:
    """Every file that is not as the manifest says (its size, and if asked its hash), and in which way."""
    folder = place / parse(name).folder
    for file, told in entry["files"].items():
        path = folder / file
        size = path.stat().st_size if path.is_file() else None
        if size is None:
            yield path, f"{name}: {path} is missing"
        elif size != told["bytes"]:
            yield path, f"{name}: {path} has {size} bytes, the manifest says {told['bytes']}"
        elif hashes and file_hash(path) != told["sha256"]:
            yield path, f"{name}: {path} has another hash than the manifest says"
