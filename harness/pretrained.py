"""Models of transformers behind the Task interface. The one place that imports transformers, lazily and offline."""

from __future__ import annotations

import functools
import json
import os
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from harness.checkpoint import check_body, check_whole, incomplete, tensors
from harness.data import Examples
from harness.errors import UserError
from harness.objective import mean_over

Kind = Literal["language", "text", "image"]
"""What a model is for: the next token, the class of a text, the class of a picture."""

_CLASSES: dict[Kind, str] = {
    "language": "AutoModelForCausalLM",
    "text": "AutoModelForSequenceClassification",
    "image": "AutoModelForImageClassification",
}
_PURPOSES: dict[Kind, str] = {
    "language": "predict the next token",
    "text": "classify texts",
    "image": "classify pictures",
}

TOKENIZERS = ("tokenizer.json", "vocab.json", "vocab.txt", "tekken.json")

PREDICTED_AT_ONCE = 32
"""Examples in one forward of an evaluation."""

IGNORED = -100
"""A target that counts neither in the loss nor in the score."""


def library() -> Any:
    """transformers, which from here on looks for nothing on a network and prints nothing. Raises: UserError."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    try:
        import transformers
    except ImportError as error:
        raise UserError(
            f"this task needs transformers ({error}); expected it installed: pip install 'pacbench[transformers]'"
        ) from error
    transformers.utils.logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    return transformers


def configuration(folder: Path) -> Any:
    """The model's configuration, to be changed by its caller. Raises: UserError."""
    return _read("configuration", folder, lambda: library().AutoConfig)


def tokenizer(folder: Path, config: Any) -> Any:
    """The model's tokenizer, with something to pad with.

    Raises: UserError if there is none, or it has more tokens than the model has vectors for.
    """
    if not any(path.name in TOKENIZERS or path.suffix == ".model" for path in folder.iterdir()):
        raise UserError(
            f"{folder}: no tokenizer; expected one of {', '.join(TOKENIZERS)} or *.model beside the weights"
        )
    found = _read("tokenizer", folder, lambda: library().AutoTokenizer)
    tokens = max(found.get_vocab().values(), default=-1) + 1
    vectors = getattr(config.get_text_config(), "vocab_size", 0)
    if tokens > vectors:
        raise UserError(
            f"{folder}: its tokenizer numbers {tokens} tokens and its model has vectors for {vectors}; expected the "
            "tokenizer that the model was trained with"
        )
    if found.pad_token_id is None:
        found.pad_token = found.eos_token or found.convert_ids_to_tokens(0)
    return found


def check_length(tokens: int, config: Any) -> None:
    """Raises: UserError if the model has no positions for so many tokens."""
    most = getattr(config.get_text_config(), "max_position_embeddings", None)
    if most is not None and tokens > most:
        raise UserError(f"max_tokens = {tokens}; expected at most {most}, the positions that the model knows")


def _read(what: str, folder: Path, reader: Any) -> Any:
    try:
        return reader().from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except UserError:
        raise
    except Exception as error:  # a foreign file makes transformers raise anything
        said = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        version = library().__version__
        raise UserError(f"{folder}: its {what} cannot be read by transformers {version} ({said})") from error


def untrained(kind: Kind, config: Any) -> nn.Module:
    """A model of a configuration, float32, its weights drawn from torch's global generator.

    Input and output vectors are tensors of their own, also where the configuration ties them: every method may then
    treat the head as a module. Raises: UserError if transformers has no such model, or only as code in the checkpoint.
    """
    config.tie_word_embeddings = False
    return _ready(_made(kind, config))


def _made(kind: Kind, config: Any) -> nn.Module:
    """The model as transformers makes it. Raises: as `untrained`."""
    if kind == "language":
        config.use_cache = False
        if type(config) in library().MODEL_FOR_MASKED_LM_MAPPING and not getattr(config, "is_decoder", False):
            raise UserError(
                f"a model of type {config.model_type!r} sees the tokens that it is to predict; expected one that reads "
                "from left to right, as gpt2 or llama do"
            )
    try:
        made = getattr(library(), _CLASSES[kind]).from_config(config, dtype=torch.float32, trust_remote_code=False)
    except (ValueError, KeyError, ImportError) as error:
        raise UserError(
            f"a model of type {getattr(config, 'model_type', '?')!r} cannot {_PURPOSES[kind]} with transformers "
            f"{library().__version__} ({' '.join(str(error).split()).partition(' Model type should')[0][:200]})"
        ) from error
    network: nn.Module = made
    return network


def _ready(network: nn.Module) -> nn.Module:
    return network.requires_grad_(True).train(False)


def loaded(kind: Kind, folder: Path, config: Any, allow_pickle: bool) -> nn.Module:
    """The model with a checkpoint's weights, float32; what the checkpoint lacks of head and pooler is drawn.

    Raises: UserError if weights of the model's body are missing, or nothing of it can be read.
    """
    tied = bool(getattr(config, "tie_word_embeddings", False))
    if kind == "language":
        config.use_cache = False
    try:
        network, found = getattr(library(), _CLASSES[kind]).from_pretrained(
            folder,
            config=config,
            dtype=torch.float32,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=not (allow_pickle and not any(folder.glob("*.safetensors"))),
            output_loading_info=True,
        )
    except Exception as error:  # a foreign file makes transformers raise anything
        said = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        raise UserError(f"{folder}: its weights cannot be loaded ({said})") from error
    body = f"{network.base_model_prefix}."
    missing = [name for name in found["missing_keys"] if name.startswith(body) and "pooler" not in name]
    if missing:
        raise incomplete(folder, missing, _PURPOSES[kind])
    if tied and kind == "language":
        untie(network)
    return _ready(network)


def check_weights(kind: Kind, folder: Path, config: Any, allow_pickle: bool) -> None:
    """Raises: UserError if a safetensors checkpoint lacks weights of the model's body; reads their headers only."""
    if getattr(config, "quantization_config", None) is None:
        with torch.device("meta"):
            network: Any = _made(kind, config)
        drawn = ("pooler", *(getattr(network, "_keys_to_ignore_on_load_missing", None) or ()))
        check_body(folder, allow_pickle, network, network.base_model_prefix, drawn, _PURPOSES[kind])


def untie(network: Any) -> None:
    """Give the output vectors memory of their own; they start as the input's."""
    head = network.get_output_embeddings()
    head.weight = nn.Parameter(head.weight.detach().clone())
    network.config.tie_word_embeddings = False
    network.all_tied_weights_keys = {}


def lacks_head(kind: Kind, folder: Path, config: Any, allow_pickle: bool) -> bool:
    """Whether a checkpoint has no weights for the head of such a model."""
    files = [path for path in check_whole(folder, allow_pickle) if path.suffix == ".safetensors"]
    prefix = f"{head_name(kind, shape_of(kind, config))}."
    return not any(name.startswith(prefix) for path in files for name in tensors(path))


def shape_of(kind: Kind, config: Any) -> nn.Module:
    """The model without memory for its weights: to look at its modules."""
    with torch.device("meta"):
        return untrained(kind, config)


def head_name(kind: Kind, network: Any) -> str:
    """The name of the module that makes logits: the last child with weights beside the body.

    Raises: UserError if there is none.
    """
    if kind == "language":
        head = network.get_output_embeddings()
        names = [name for name, module in network.named_modules() if module is head]
    else:
        body = network.base_model_prefix
        children = [
            name
            for name, child in network.named_children()
            if name != body and next(child.parameters(), None) is not None
        ]
        names = children[-1:]
    if not names:
        raise UserError(f"{type(network).__name__} has no head of its own")
    return str(names[0])


def fresh_head(kind: Kind, config: Any, labels: int) -> nn.Module:
    """A head for so many labels, as the model's own code makes it, drawn from torch's global generator."""
    config.num_labels = labels
    network: Any = shape_of(kind, config)
    head = network.get_submodule(head_name(kind, network)).to_empty(device="cpu")
    spread = getattr(config.get_text_config(), "initializer_range", None) or 0.02
    for module in head.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=spread)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif callable(reset := getattr(module, "reset_parameters", None)):
            reset()
    return _ready(head)


def put_head(network: Any, name: str, head: nn.Module) -> None:
    """A new head in its place, and the number of its labels where the model's saved configuration has it."""
    network.set_submodule(name, head)
    outputs = [module.out_features for module in head.modules() if isinstance(module, nn.Linear)]
    network.config.num_labels = network.num_labels = outputs[-1]


def layers(network: nn.Module) -> tuple[str, ...]:
    """The names of the transformer's layers, input side first: the items of the longest list of equal modules."""
    best: tuple[str, ...] = ()
    for name, module in network.named_modules():
        if isinstance(module, nn.ModuleList) and len({type(one) for one in module}) == 1 and len(module) > len(best):
            best = tuple(f"{name}.{number}" for number in range(len(module)))
    return best


def _tokens(batch: Examples) -> int:
    return int((batch["targets"] != IGNORED).sum())


@mean_over(_tokens)
def next_token_loss(network: nn.Module, batch: Examples) -> Tensor:
    """Cross entropy in nats per token. Shapes: inputs and targets (batch, tokens), int64, a target the next input."""
    logits = network(input_ids=batch["inputs"]).logits
    return nn.functional.cross_entropy(logits.flatten(0, 1), batch["targets"].flatten(), ignore_index=IGNORED)


def next_token_predictions(network: nn.Module, batch: Examples) -> Tensor:
    """What a score needs of each example, a thousandth of its logits. Shapes: (batch, 2), summed loss and tokens."""
    parts = []
    for inputs, targets in zip(
        torch.split(batch["inputs"], PREDICTED_AT_ONCE), torch.split(batch["targets"], PREDICTED_AT_ONCE), strict=True
    ):
        logits = network(input_ids=inputs).logits.float()
        losses = nn.functional.cross_entropy(logits.transpose(1, 2), targets, ignore_index=IGNORED, reduction="none")
        parts.append(torch.stack([losses.sum(1), (targets != IGNORED).sum(1).float()], 1))
    return torch.cat(parts)


def cross_entropy_per_token(predictions: Tensor, examples: Examples) -> float:
    """Nats per token over all examples; its exponential is the perplexity."""
    losses, tokens = predictions.double().sum(0)
    return float(losses / tokens)


def predicted_tokens(examples: Examples) -> Tensor:
    """How many targets of each window count. Shapes: (examples,)."""
    return (examples["targets"] != IGNORED).sum(1)


def shown_tokens(examples: Examples) -> Tensor:
    """How many tokens of each text are no padding. Shapes: (examples,)."""
    return examples["mask"].sum(1)


def class_loss(network: nn.Module, batch: Examples) -> Tensor:
    """Cross entropy. Shapes: targets (batch,), int64."""
    return nn.functional.cross_entropy(_logits(network, batch), batch["targets"])


def class_predictions(network: nn.Module, batch: Examples) -> Tensor:
    """Logits. Shapes: (batch, labels)."""
    cut = {name: torch.split(tensor, PREDICTED_AT_ONCE) for name, tensor in batch.items()}
    parts = (dict(zip(cut, part, strict=True)) for part in zip(*cut.values(), strict=True))
    return torch.cat([_logits(network, part).float() for part in parts])


def accuracy(predictions: Tensor, examples: Examples) -> float:
    """The share of examples whose largest logit is their label's."""
    return float((predictions.argmax(1) == examples["targets"]).double().mean())


def _logits(network: nn.Module, batch: Examples) -> Tensor:
    """Texts are token numbers, with a mask and in pairs with types; pictures are bytes, or numbers that are scaled."""
    logits: Tensor
    if batch["inputs"].dtype == torch.int64:
        optional = {"attention_mask": batch.get("mask"), "token_type_ids": batch.get("types")}
        given = {name: tensor for name, tensor in optional.items() if tensor is not None}
        logits = network(input_ids=batch["inputs"], **given).logits
    else:
        pixels = batch["inputs"]
        if not pixels.is_floating_point():
            pixels = (pixels.float() / 255 - network.get_buffer("pixel_mean")) / network.get_buffer("pixel_spread")
        logits = network(pixel_values=pixels).logits
    return logits


def scale_pixels(network: nn.Module, folder: Path) -> nn.Module:
    """Let the network know the mean and spread of pixels it was trained with; no part of its saved state."""
    mean, spread = pixel_statistics(folder)
    network.register_buffer("pixel_mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
    network.register_buffer("pixel_spread", torch.tensor(spread).view(1, 3, 1, 1), persistent=False)
    return network


@functools.lru_cache(maxsize=16)
def pixel_statistics(folder: Path) -> tuple[list[float], list[float]]:
    """Mean and spread of red, green and blue in [0, 1], 0.5 where preprocessor_config.json is not there.

    Raises: UserError.
    """
    path = folder / "preprocessor_config.json"
    if not path.is_file():
        return [0.5] * 3, [0.5] * 3
    try:
        given = json.loads(path.read_text(encoding="utf-8"))
        found = [[float(value) for value in given.get(name, [0.5] * 3)] for name in ("image_mean", "image_std")]
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: cannot be read ({error})") from error
    if any(len(values) != 3 for values in found) or not all(value > 0 for value in found[1]):
        raise UserError(f"{path}: image_mean and image_std = {found}; expected three numbers each")
    return found[0], found[1]
