"""A folder with a pretrained checkpoint: is it whole, and the hash of what is in it. Loads no model."""

from __future__ import annotations

import functools
import hashlib
import json
import math
import re
import struct
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import UserError

if TYPE_CHECKING:
    from torch import nn  # the doctor reads this file where torch is missing

EXPECTED = "a folder as `save_pretrained` of transformers writes it: config.json, model.safetensors, tokenizer files"
WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
PICKLED = re.compile(r"pytorch_model.*\.bin|.*\.(pt|pth|ckpt)|pytorch_model\.bin\.index\.json")
LARGEST_HEADER = 100_000_000
"""Bytes of a safetensors header, by its specification."""


def model_folder(given: str) -> Path:
    """The folder a user named as `model`. Raises: UserError if none is given, it is not absolute, or no folder."""
    if not given:
        raise UserError(f"model is not given; expected the path of {EXPECTED}")
    path = Path(given).expanduser()
    if not path.is_absolute():
        raise UserError(f"model = {given!r} is not absolute; expected the whole path of {EXPECTED}")
    if not path.is_dir():
        raise UserError(f"model = {given!r} is not a folder; expected {EXPECTED}")
    return path


def check_whole(folder: Path, allow_pickle: bool) -> list[Path]:
    """The checkpoint's files that decide its numbers: configuration, then weights.

    Raises: UserError for a missing configuration, missing or truncated shards, and for pickled weights unless they
    are allowed.
    """
    config = folder / "config.json"
    if not isinstance(_json(config), dict):
        raise UserError(f"{config}: not a model's configuration; expected {EXPECTED}")
    if (folder / INDEX).is_file():
        weights = _shards(folder)
    elif (folder / WEIGHTS).is_file():
        weights = [folder / WEIGHTS]
    else:
        return [config, *_pickled(folder, allow_pickle)]
    for path in weights:
        tensors(path)
    return [config, *weights]


def _shards(folder: Path) -> list[Path]:
    """The files that the index names, all of them there and holding what it says."""
    index = _json(folder / INDEX)
    mapped = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(mapped, dict) or not mapped or not all(isinstance(name, str) for name in mapped.values()):
        raise UserError(f"{folder / INDEX}: names no shards; expected an object weight_map from tensors to files")
    names = sorted(set(mapped.values()))
    if outside := [name for name in names if Path(name).name != name]:
        raise UserError(f"{folder / INDEX}: names {outside[0]!r}, which lies outside of the folder")
    if missing := [name for name in names if not (folder / name).is_file()]:
        raise UserError(
            f"{folder}: the checkpoint is not whole: {len(missing)} of {len(names)} shards that {INDEX} lists are "
            f"missing, {missing[0]} the first; download it again"
        )
    for name in names:
        held = tensors(folder / name)
        if lost := sorted(tensor for tensor, file in mapped.items() if file == name and tensor not in held):
            raise UserError(
                f"{folder / name}: lacks the tensor {lost[0]} that {INDEX} says it holds; download it again"
            )
    return [folder / name for name in names]


def tensors(path: Path) -> dict[str, Any]:
    """What the header of a safetensors file says of each tensor. Raises: UserError if the file is cut off."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if not 2 <= length <= min(LARGEST_HEADER, size - 8):
                raise ValueError("its header is cut off")
            header = json.loads(file.read(length))
        held = {name: entry for name, entry in header.items() if name != "__metadata__"}
        end = 8 + length + max((entry["data_offsets"][1] for entry in held.values()), default=0)
    except (
        OSError,
        ValueError,
        TypeError,
        KeyError,
        IndexError,
        AttributeError,
        struct.error,
        RecursionError,
    ) as error:
        raise UserError(f"{path}: not a whole safetensors file ({error}); download it again") from error
    if size != end:
        raise UserError(f"{path}: {size} bytes where its header says {end}: cut off or changed; download it again")
    return held


def check_body(
    folder: Path, allow_pickle: bool, network: nn.Module, prefix: str, drawn: Sequence[str], purpose: str
) -> None:
    """Compare what the headers of a checkpoint's safetensors files list with the weights below `prefix` of a network.

    network: of the same configuration, with or without memory; what it ties need be there once. drawn: patterns of
    names that may be missing. transformers may read a checkpoint under other names, and put tensors together or take
    them apart: what has no counterpart by name counts as missing only where all tensors without a counterpart
    together hold fewer numbers.

    Raises: UserError if weights are missing, or one holds another number of entries than the network's.
    """
    files = [path for path in check_whole(folder, allow_pickle) if path.suffix == ".safetensors"]
    if not files:
        return
    sizes = {name: math.prod(entry["shape"]) for path in files for name, entry in tensors(path).items()}
    whole = any(name.startswith(f"{prefix}.") for name in sizes)
    held = {name if whole else f"{prefix}.{name}": size for name, size in sizes.items()}
    names: dict[nn.Parameter, list[str]] = {}
    for name, parameter in network.named_parameters(remove_duplicate=False):
        if name.startswith(f"{prefix}."):
            names.setdefault(parameter, []).append(name)
    missing: dict[str, int] = {}
    for parameter, same in names.items():
        found = next((name for name in same if name in held), None)
        if found is None:
            missing[same[0]] = parameter.numel()
        elif held[found] != parameter.numel():
            raise UserError(
                f"{folder}: {found} holds {held[found]} numbers, and the model that config.json describes has "
                f"{parameter.numel()} there; expected both of one model"
            )
    missing = {name: size for name, size in missing.items() if not any(re.search(one, name) for one in drawn)}
    known = {name for same in names.values() for name in same}
    others = sum(size for name, size in held.items() if name.startswith(f"{prefix}.") and name not in known)
    if others and sum(missing.values()) > others:
        raise UserError(
            f"{folder}: its weights lack {sum(missing.values()) - others} of the numbers that the model has; is the "
            f"checkpoint whole, and is its model one to {purpose}?"
        )
    if missing and not others:
        raise incomplete(folder, missing, purpose)


def incomplete(folder: Path, missing: Iterable[str], purpose: str) -> UserError:
    """Says which weights a checkpoint lacks."""
    names = sorted(missing)
    return UserError(
        f"{folder}: {len(names)} weights of the model are missing, {names[0]} the first; is the checkpoint whole, and "
        f"is its model one to {purpose}?"
    )


def _pickled(folder: Path, allow_pickle: bool) -> list[Path]:
    """Pickled weights in place of safetensors, where the user says so."""
    found = sorted(path for path in folder.iterdir() if PICKLED.fullmatch(path.name))
    if not found:
        raise UserError(f"{folder}: no weights; expected {WEIGHTS}, or {INDEX} and the shards it lists")
    if not allow_pickle:
        raise UserError(
            f"{folder}: its weights are pickled ({found[0].name}), and reading a pickle can run foreign code; expected "
            f"{WEIGHTS}, or allow_pickle = true if you trust where it comes from"
        )
    return found


def _json(path: Path) -> object:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: cannot be read ({error}); expected {EXPECTED}") from error


@functools.lru_cache(maxsize=16)
def content_hash(folder: Path, allow_pickle: bool) -> str:
    """SHA-256 (32 hex digits) over configuration, weights and how pictures are prepared; once per process and folder.

    Raises: UserError if the checkpoint is not whole.
    """
    total = hashlib.sha256()
    pictures = folder / "preprocessor_config.json"
    for path in [*check_whole(folder, allow_pickle), *([pictures] if pictures.is_file() else [])]:
        total.update(f"{path.name}/{file_hash(path)}/".encode())
    return total.hexdigest()[:32]


def file_hash(path: Path) -> str:
    """SHA-256 of a file. Raises: UserError if it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error})") from error
