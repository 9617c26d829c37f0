"""`pacbench prefetch`: on a machine with a network, fetch the models and data sets that a suite names of the hub."""

from __future__ import annotations

import json
import os
import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

from harness import hub
from harness.checkpoint import check_whole, file_hash
from harness.errors import UserError
from harness.hub import Hub
from harness.images import SUFFIXES as PICTURES
from harness.known import suite_file
from harness.suite import read_toml
from harness.texts import SUFFIXES as TEXTS
from results.place import write_durably

MODEL_FILES = (".json", ".txt", ".model", ".jinja")


def prefetch_command(options: Namespace) -> int:
    """Fetch what is not there yet, check what is, and write the manifest; with `--verify` only check."""
    suite = suite_file(options.suite)
    place = Path(options.to).expanduser().resolve()
    wanted = named(read_toml(suite), str(suite))
    if not wanted:
        print(f"{options.suite} names nothing of the hub ({hub.EXPECTED})", file=sys.stderr)
        return 0
    manifest = hub.read_manifest(place) if options.verify or (place / hub.MANIFEST).exists() else {}
    for name, (parts, pickles) in wanted.items():
        held = set(manifest[name]["parts"]) if name in manifest else set()
        damaged = list(hub.damage(place, name, manifest[name], hashes=True)) if name in manifest else []
        if options.verify and (damaged or not parts <= held or name not in manifest):
            why = damaged[0][1] if damaged else f"{name}: not prefetched in {place}"
            raise UserError(f"{why}; run `pacbench prefetch` without --verify")
        for path, why in damaged:
            print(f"{why}: fetching it again", file=sys.stderr)
            path.unlink(missing_ok=True)
        if damaged or not parts <= held or name not in manifest:
            manifest[name] = fetch(hub.parse(name), sorted(parts | held), pickles, place)
            write_durably(place / hub.MANIFEST, json.dumps(manifest, indent=1, sort_keys=True).encode())
        size = sum(file["bytes"] for file in manifest[name]["files"].values())
        print(f"{name}: {len(manifest[name]['files'])} files, {size / 1e6:.1f} MB, commit {manifest[name]['commit']}")
    print(f"{hub.VARIABLE}={place} lets any machine that sees this folder run the suite without a network")
    return 0


def named(raw: dict[str, Any], where: str) -> dict[str, tuple[set[str], bool]]:
    """The names of the hub in a suite's tasks, each with the folders wanted of it and whether pickles are allowed.

    Raises: UserError for a name that is none.
    """
    found: dict[str, tuple[set[str], bool]] = {}
    tasks = raw.get("tasks")
    for number, task in enumerate(tasks if isinstance(tasks, list) else []):
        for key, value in task.items() if isinstance(task, dict) else ():
            if isinstance(value, str) and (meant := os.path.expandvars(value)).startswith(hub.PREFIX):
                try:
                    one = hub.parse(meant)
                except UserError as error:
                    raise UserError(f"{where}: tasks[{number}]: {key}: {error}") from error
                parts, pickles = found.get(one.name, (set(), False))
                found[one.name] = (parts | {one.inside}, pickles or task.get("allow_pickle") is True)
    return found


def fetch(one: Hub, parts: list[str], pickles: bool, place: Path) -> dict[str, Any]:
    """Download one repository's files at a revision; what the manifest says of it.

    Raises: UserError if the hub cannot be reached, has no such repository or revision, or gives other bytes than it
    announces.
    """
    library = _library()
    folder = place / one.folder
    try:
        info = library.HfApi().repo_info(one.repository, repo_type=one.kind, revision=one.revision, files_metadata=True)
        announced = {file.rfilename: file for file in info.siblings or []}
        files = chosen(one, parts, sorted(announced), pickles)
        library.snapshot_download(
            one.repository, repo_type=one.kind, revision=info.sha, local_dir=folder, allow_patterns=files
        )
    except UserError:
        raise
    except Exception as error:  # the hub's client raises errors of its own, and those of what it is built on
        said = " ".join(str(error).split())[:300]
        raise UserError(f"{one.name}: cannot be fetched ({type(error).__name__}: {said})") from error
    held = {}
    for file in files:
        path = folder / file
        held[file] = {"bytes": path.stat().st_size, "sha256": file_hash(path)}
        lfs = announced[file].lfs
        if lfs is not None and lfs.sha256 != held[file]["sha256"]:
            raise UserError(f"{one.name}: {file} came with another hash than the hub announces; run this again")
    if one.kind == "model":
        check_whole(folder, pickles)
    return {"commit": info.sha, "parts": parts, "files": held}


def chosen(one: Hub, parts: list[str], files: list[str], pickles: bool) -> list[str]:
    """The files that a task can read: of a model one set of weights and what belongs to it, of data all data.

    Raises: UserError if there is none.
    """
    inside = [file for file in files if any(not part or file.startswith(f"{part}/") for part in parts)]
    if one.kind == "model":
        depth = {f"{part}/" if part else "" for part in parts}
        flat = [file for file in inside if f"{file.rpartition('/')[0]}/".lstrip("/") in depth]
        names = {file: file.rpartition("/")[2] for file in flat}
        weights = [f for f, name in names.items() if name.startswith("model") and name.endswith(".safetensors")]
        if not weights and pickles:
            weights = [f for f, name in names.items() if name.startswith("pytorch_model") and name.endswith(".bin")]
        kept = weights and [*weights, *(f for f, name in names.items() if name.endswith(MODEL_FILES))]
    else:
        kept = [file for file in inside if Path(file).suffix.lower() in {*TEXTS, *PICTURES}]
    if not kept:
        what = "safetensors" if one.kind == "model" else f"data ({', '.join(TEXTS)} or pictures)"
        raise UserError(f"{one.name}: the repository has no {what}; it holds {', '.join(files[:12]) or 'nothing'}")
    return sorted(kept)


def _library() -> Any:
    os.environ.pop("HF_HUB_OFFLINE", None)
    try:
        import huggingface_hub
    except ImportError as error:
        raise UserError(f"prefetch needs huggingface_hub ({error}): pip install 'pacbench[transformers]'") from error
    return huggingface_hub
