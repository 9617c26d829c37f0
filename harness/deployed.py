"""What `--save-models` keeps: the network that a final trial would deploy, in a folder of its own beside the rows."""

from __future__ import annotations

import shutil
import uuid
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from harness.checkpoint import WEIGHTS
from harness.errors import UserError, message
from harness.pretrained_task import PretrainedTask
from harness.task import Task
from results.place import STAGED, Place, explain, make_folder, rename_durably

MODELS = "models"
"""Folder of a campaign: one folder for each model, named by its row's key."""

BESIDE_WEIGHTS = (
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "tekken.json"),
    *("vocab.json", "vocab.txt", "merges.txt", "*.model", "chat_template.jinja", "chat_template.json"),
    *("preprocessor_config.json", "processor_config.json"),
)
"""Of a checkpoint's files those that say how texts and pictures become its inputs."""


def check(place: Place) -> None:
    """Raises: UserError if models cannot be saved in a campaign at this place."""
    if not isinstance(place, Path):
        raise UserError(f"--save-models: {place} is no folder but an object store; expected --out to be a folder")
    try:
        import safetensors.torch  # noqa: F401
    except ImportError as error:
        raise UserError(
            f"--save-models needs safetensors ({error}); expected it installed: pip install 'pacbench[transformers]'"
        ) from error


def save(network: nn.Module, task: Task, key: str, models: Path) -> dict[str, str]:
    """Write the network to models/KEY unless it is there; what the row's `extra` says of it.

    A model of transformers loads with its Auto classes, with the tokenizer or the picture settings of the checkpoint it
    comes from; of any other network there is `model.safetensors`, its state_dict. Whatever goes wrong costs the model
    and not the row: `model_not_saved` then says what.
    """
    final = models / key
    staged = models / f"{STAGED}{uuid.uuid4().hex}"
    try:
        if not final.is_dir():
            make_folder(models)
            staged.mkdir()
            _write(network, task, staged)
            rename_durably(staged, final)
        return {"saved_model": f"{models.name}/{key}"}
    except Exception as error:  # noqa: BLE001 - a disk, transformers and safetensors fail in ways of their own
        said = explain(error) if isinstance(error, OSError) else message(error)
        return {"model_not_saved": " ".join(said.split())[:300] or type(error).__name__}
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def clear(models: Path) -> None:
    """Delete what killed workers left half-written. Only the campaign's one driver may, before its workers start."""
    for path in models.glob(f"{STAGED}*"):
        shutil.rmtree(path, ignore_errors=True)


def _write(network: Any, task: Task, folder: Path) -> None:
    if callable(getattr(network, "save_pretrained", None)):
        network.save_pretrained(folder)
        if isinstance(task, PretrainedTask):
            for path in (path for pattern in BESIDE_WEIGHTS for path in task.folder.glob(pattern)):
                shutil.copyfile(path, folder / path.name)
        return
    from safetensors.torch import save_file

    save_file(_apart(network.state_dict()), folder / WEIGHTS, metadata={"format": "pt"})


def _apart(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same tensors, dense and each in memory of its own, as safetensors wants them."""
    taken: set[int] = set()
    apart = {}
    for name, tensor in state.items():
        memory = tensor.untyped_storage().data_ptr()
        own = tensor.is_contiguous() and memory not in taken
        apart[name] = tensor if own else tensor.clone(memory_format=torch.contiguous_format)
        taken.add(memory)
    return apart
