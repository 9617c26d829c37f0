"""Checkpoint folders: whole ones have a hash, and what is missing or damaged is one message."""

import json

import pytest
import torch
from safetensors.torch import save_file

from harness.checkpoint import check_whole, content_hash, model_folder
from harness.errors import UserError

FIRST, SECOND = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"


def one_file(folder):
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    save_file({"a": torch.zeros(4, 3), "b": torch.ones(5)}, folder / "model.safetensors")


def sharded(folder):
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    save_file({"a": torch.zeros(4, 3)}, folder / FIRST)
    save_file({"b": torch.ones(5)}, folder / SECOND)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": FIRST, "b": SECOND}}))


def missing_shard(folder):
    sharded(folder)
    (folder / SECOND).unlink()


def truncated(folder):
    one_file(folder)
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-7])


def cut_in_the_header(folder):
    one_file(folder)
    (folder / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:20])


def empty_shard(folder):
    sharded(folder)
    (folder / FIRST).write_bytes(b"")


def wrong_shard(folder):
    sharded(folder)
    (folder / FIRST).write_bytes((folder / SECOND).read_bytes())


def outside(folder):
    sharded(folder)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": "../elsewhere.safetensors"}}))


def no_map(folder):
    sharded(folder)
    (folder / "model.safetensors.index.json").write_text("[]")


def not_json(folder):
    one_file(folder)
    (folder / "config.json").write_text("{")


def no_config(folder):
    one_file(folder)
    (folder / "config.json").unlink()


def no_weights(folder):
    one_file(folder)
    (folder / "model.safetensors").unlink()


def pickled(folder):
    no_weights(folder)
    torch.save({"a": torch.zeros(2)}, folder / "pytorch_model.bin")


DAMAGED = [
    (missing_shard, "1 of 2 shards that model.safetensors.index.json lists are missing, model-00002-of-00002"),
    (truncated, r"model.safetensors: \d+ bytes where its header says \d+: cut off or changed"),
    (cut_in_the_header, "model.safetensors: not a whole safetensors file .its header is cut off"),
    (empty_shard, "model-00001-of-00002.safetensors: not a whole safetensors file"),
    (wrong_shard, "model-00001-of-00002.safetensors: lacks the tensor a that"),
    (outside, "names '../elsewhere.safetensors', which lies outside of the folder"),
    (no_map, "names no shards; expected an object weight_map"),
    (not_json, "config.json: cannot be read"),
    (no_config, "config.json: cannot be read .*No such file"),
    (no_weights, "no weights; expected model.safetensors, or"),
    (pickled, "its weights are pickled .pytorch_model.bin., and reading a pickle can run foreign code; expected"),
]


@pytest.mark.parametrize(("made", "message"), DAMAGED)
def test_a_damaged_checkpoint_is_one_message(tmp_path, made, message):
    made(tmp_path / "model")
    with pytest.raises(UserError, match=message) as caught:
        check_whole(tmp_path / "model", allow_pickle=False)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "message"),
    [("", "model is not given"), ("gpt2", "'gpt2' is not absolute"), ("/no/such/folder", "is not a folder")],
)
def test_a_folder_that_is_none_is_one_message(given, message):
    with pytest.raises(UserError, match=message):
        model_folder(given)


def test_pickled_weights_are_taken_where_the_user_says_so(tmp_path):
    pickled(tmp_path / "model")
    assert [path.name for path in check_whole(tmp_path / "model", allow_pickle=True)] == [
        "config.json",
        "pytorch_model.bin",
    ]


@pytest.mark.parametrize("made", [one_file, sharded])
def test_the_hash_is_that_of_the_content_wherever_it_lies(tmp_path, made):
    for name in ("one", "other", "changed"):
        made(tmp_path / name)
    (tmp_path / "one" / "README.md").write_text("no part of it")
    save_file({"a": torch.ones(4, 3), "b": torch.ones(5)}, tmp_path / "changed" / "model.safetensors")
    if made is sharded:
        save_file({"a": torch.ones(4, 3)}, tmp_path / "changed" / FIRST)
    one, other, changed = (content_hash(tmp_path / name, False) for name in ("one", "other", "changed"))
    assert one == other != changed
