"""Tiny checkpoints of transformers, with tokenizers, and small data sets in the formats that users have."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import torch
from PIL import Image

from harness import pretrained

SAMPLE = "a film that is good bad long short dull bright and the of it was very not quite . ,"
WORDS = SAMPLE.split()
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "<|end|>")
VOCABULARY = 96


def sentences(number, seed=0):
    draw = np.random.RandomState(seed)
    return [" ".join(draw.choice(WORDS, draw.randint(4, 12))) for _ in range(number)]


def write_tokenizer(folder, bert=False):
    """A byte-pair tokenizer, trained on a few sentences."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers

    library = pretrained.library()
    tokens = Tokenizer(models.BPE(unk_token="[UNK]"))
    tokens.pre_tokenizer = pre_tokenizers.Whitespace()
    trainer = trainers.BpeTrainer(vocab_size=VOCABULARY, special_tokens=list(SPECIAL), show_progress=False)
    tokens.train_from_iterator(sentences(200), trainer)
    if bert:
        tokens.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    named = {"pad_token": "[PAD]"} if bert else {"eos_token": "<|end|>"}
    library.PreTrainedTokenizerFast(tokenizer_object=tokens, unk_token="[UNK]", **named).save_pretrained(folder)


def tiny_config(architecture, **settings):
    library = pretrained.library()
    common = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    text = {"vocab_size": VOCABULARY, "bos_token_id": 4, "eos_token_id": 4}
    if architecture == "gpt2":
        return library.GPT2Config(n_embd=16, n_layer=2, n_head=2, n_positions=32, **{**text, **settings})
    if architecture == "llama":
        made = {"num_key_value_heads": 1, "max_position_embeddings": 32, **common, **text, **settings}
        return library.LlamaConfig(**made)
    if architecture == "bert":
        return library.BertConfig(vocab_size=VOCABULARY, max_position_embeddings=32, **common, **settings)
    return library.ViTConfig(image_size=16, patch_size=4, num_channels=3, **common, **settings)


AUTO = {
    "language": "AutoModelForCausalLM",
    "text": "AutoModelForSequenceClassification",
    "image": "AutoModelForImageClassification",
    "body": "AutoModel",
}


def write_checkpoint(folder, architecture, kind, shard="5GB", **settings):
    """Weights as transformers itself saves them, and what belongs to them; returns its own model."""
    torch.manual_seed(11)
    model = getattr(pretrained.library(), AUTO[kind]).from_config(tiny_config(architecture, **settings))
    model.save_pretrained(folder, max_shard_size=shard)
    if architecture == "vit":
        statistics = {"image_mean": [0.4, 0.5, 0.6], "image_std": [0.2, 0.25, 0.3]}
        (folder / "preprocessor_config.json").write_text(json.dumps(statistics))
    else:
        write_tokenizer(folder, bert=architecture == "bert")
    return model.eval()


def labelled(number=40, seed=1):
    """Texts and whether they are short."""
    texts = sentences(number, seed)
    return {"text": texts, "label": [int(len(text.split()) < 8) for text in texts]}


def write_table(path, columns):
    """A table in the format that the file's name says."""
    table = pa.table(columns)
    kind = path.suffix
    if kind == ".parquet":
        pa.parquet.write_table(table, path)
    elif kind == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in table.to_pylist()))
    elif kind == ".arrow":
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
    elif kind == ".csv":
        pa.csv.write_csv(table, path)
    else:
        lines = ["\t".join(columns), *("\t".join(map(str, row)) for row in zip(*columns.values(), strict=True))]
        path.write_text("\n".join(lines) + "\n")


def write_saved(folder, columns):
    """A data set as `save_to_disk` leaves it."""
    folder.mkdir(parents=True)
    write_table(folder / "data-00000-of-00001.arrow", columns)
    (folder / "dataset_info.json").write_text("{}")
    (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": "data-00000-of-00001.arrow"}]}))


def write_pictures(folder, classes=("bird", "cat", "dog"), each=8):
    draw = np.random.RandomState(3)
    for level, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        for number in range(each):
            pixels = draw.randint(0, 60, (20, 24, 3)) + 60 * level
            Image.fromarray(pixels.astype(np.uint8)).save(folder / name / f"{number}.png")
