"""Tasks whose source model is a checkpoint on disk: the contract, the weights, and what is said of foreign folders."""

import copy
import json
import shutil
from dataclasses import replace
from itertools import combinations

import pytest
import torch
from safetensors.torch import load_file, save_file

from harness import checkpoint, pretrained, seeds
from harness.data import content_hash
from harness.engines.rule import choose, step_size
from harness.errors import UserError
from harness.estimate import large_step
from harness.flops import count_flops
from harness.objective import Objective
from harness.plan import facts
from harness.settings import build
from harness.task import check_task_class, target_network, weightless
from tasks import TASKS
from tests.tasks.checkpoints import labelled, sentences, write_checkpoint, write_pictures, write_table

SPLITS = ("source_train", "source_test", "target_pool", "target_test")
CASES = {
    "bert": ("text_classification", "text"),
    "bert without a head": ("text_classification", "body"),
    "gpt2 classifier": ("text_classification", "text"),
    "gpt2": ("language_modelling", "language"),
    "llama": ("language_modelling", "language"),
    "vit": ("image_classification", "image"),
}


def make(case, folder):
    """The task of a case on a checkpoint and data of its own, and transformers' own model of it."""
    name, kind = CASES[case]
    architecture = case.split()[0]
    settings = {} if kind == "language" else {"num_labels": 3}
    if architecture == "llama":
        settings["tie_word_embeddings"] = False
    if case == "gpt2 classifier":
        settings["pad_token_id"] = 4
    model = write_checkpoint(folder / "model", architecture, kind, **settings)
    given = {"model": str(folder / "model"), "learning_rate": 1e-3, "batch_size": 4}
    if name == "image_classification":
        write_pictures(folder / "data", ("bird", "cat", "dog", "owl"))
        given |= {"data": str(folder / "data")}
    elif name == "text_classification":
        write_table(folder / "data.jsonl", labelled(60))
        given |= {"data": str(folder / "data.jsonl"), "max_tokens": 16}
    else:
        write_table(folder / "data.parquet", {"text": sentences(120, 2)})
        given |= {"data": str(folder / "data.parquet"), "max_tokens": 12}
    return build(TASKS[name], given, "here"), model


@pytest.fixture(params=sorted(CASES))
def case(request, tmp_path):
    return make(request.param, tmp_path)


def state(network):
    return {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}


def test_the_contract_holds_on_a_checkpoint(case):
    """Complete, the same at every call, no example in two splits, blocks and head found, a loss that trains all."""
    task, _ = case
    check_task_class(type(task), "here")
    data = task.datasets()
    assert content_hash(vars(data)) == content_hash(vars(task.datasets()))
    rows = {name: {row.tobytes() for row in getattr(data, name)["inputs"].numpy()} for name in SPLITS[2:]}
    assert not any(rows[one] & rows[other] for one, other in combinations(rows, 2))
    with seeds.seeded("a key", "head"):
        network, head = task.source_model(), task.new_head()
    assert len(task.blocks(network)) == 2
    assert isinstance(network.get_submodule(task.head), torch.nn.Linear)
    if head is not None:
        network.set_submodule(task.head, head)
    batch = {name: tensor[:4] for name, tensor in data.target_pool.items()}
    loss = task.loss(network, batch)
    loss.backward()
    assert loss.isfinite()
    unused = [name for name, parameter in network.named_parameters() if parameter.grad is None]
    assert not unused
    with torch.no_grad():
        predictions = task.predict(network.eval(), data.target_test)
        few = task.predict(network, {name: tensor[:3] for name, tensor in data.target_test.items()})
    assert len(predictions) == len(data.target_test["inputs"])
    torch.testing.assert_close(few, predictions[:3])
    assert task.score(predictions, data.target_test) >= 0


def test_the_source_model_is_the_checkpoint_and_fits_the_untrained_network(case):
    task, model = case
    with seeds.seeded("a key", "head"):
        network = task.source_model()
    read, theirs = state(network), state(model)
    drawn = [name for name in read if pretrained_name(name, theirs) is None]
    assert all(name.startswith(task.head) for name in drawn)
    for name in set(read) - set(drawn):
        assert torch.equal(read[name], theirs[pretrained_name(name, theirs)]), name
    shapes = {name: tensor.shape for name, tensor in state(task.network()).items()}
    assert shapes == {name: tensor.shape for name, tensor in read.items()}
    assert all(tensor.dtype == torch.float32 for tensor in read.values() if tensor.is_floating_point())


def pretrained_name(name, theirs):
    """A body alone was saved without its prefix."""
    return next((one for one in (name, name.partition(".")[2]) if one in theirs), None)


def test_output_vectors_are_weights_of_their_own_that_start_as_the_inputs(tmp_path):
    task, _ = make("gpt2", tmp_path)
    network = task.source_model()
    head, embedding = network.lm_head.weight, network.transformer.wte.weight
    assert torch.equal(head, embedding)
    assert head.data_ptr() != embedding.data_ptr()
    assert "lm_head.weight" in dict(network.named_parameters())


def test_a_finished_network_loads_in_plain_transformers(case, tmp_path):
    task, _ = case
    with seeds.seeded("a key", "head"):
        network, head = task.source_model(), task.new_head()
    if head is not None:
        task.retarget(network, head)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.01)
    network.save_pretrained(tmp_path / "saved")
    auto = getattr(pretrained.library(), pretrained._CLASSES[task.kind])
    again = auto.from_pretrained(tmp_path / "saved", local_files_only=True).eval()
    if task.kind == "image":
        pretrained.scale_pixels(again, task.folder)
    batch = {name: tensor[:4] for name, tensor in task.datasets().target_test.items()}
    with torch.no_grad():
        assert torch.equal(task.predict(again, batch), task.predict(network.eval(), batch))


def test_where_the_checkpoint_lies_is_part_of_no_key_and_its_content_is(case, tmp_path):
    task, _ = case
    (tmp_path / "model").rename(tmp_path / "moved")
    moved = replace(task, model=str(tmp_path / "moved"))
    facts.cache_clear()
    before = facts(moved)
    assert (moved.id, moved.parameters()) == (task.id, task.parameters())
    assert not {"model", "data", "source"} & set(task.parameters())
    path = tmp_path / "moved" / "model.safetensors"
    tensors = load_file(path)
    name = sorted(tensors)[0]
    save_file({**tensors, name: tensors[name] + 1}, path, metadata={"format": "pt"})
    facts.cache_clear()
    checkpoint.content_hash.cache_clear()
    after = facts(moved)
    assert before.data_hash == after.data_hash
    assert before.checkpoint != after.checkpoint
    assert before.source_hash != after.source_hash


def test_shards_are_read_as_one_file_is(tmp_path):
    whole, _ = make("llama", tmp_path / "whole")
    write_checkpoint(tmp_path / "cut", "llama", "language", shard="8KB", tie_word_embeddings=False)
    assert len(list((tmp_path / "cut").glob("*.safetensors"))) > 1
    cut = replace(whole, model=str(tmp_path / "cut"))
    one, other = state(whole.source_model()), state(cut.source_model())
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_pictures_are_scaled_by_the_checkpoints_statistics(tmp_path):
    task, model = make("vit", tmp_path)
    pixels = task.datasets().target_test["inputs"][:2]
    mean, spread = (torch.tensor(values).view(3, 1, 1) for values in ([0.4, 0.5, 0.6], [0.2, 0.25, 0.3]))
    network = task.source_model()
    with torch.no_grad():
        expected = model(pixel_values=(pixels / 255 - mean) / spread).logits
        torch.testing.assert_close(task.predict(network, {"inputs": pixels}), expected)
        copied = copy.deepcopy(network)
        torch.testing.assert_close(task.predict(copied, {"inputs": pixels}), expected)


def test_padding_changes_no_prediction(tmp_path):
    for case in ("bert", "gpt2 classifier"):
        task, _ = make(case, tmp_path / case)
        network = task.source_model().eval()
        short, long = task.datasets().target_test, replace(task, max_tokens=30).datasets().target_test
        with torch.no_grad():
            torch.testing.assert_close(task.predict(network, short), task.predict(network, long))


def test_a_kept_head_serves_and_another_number_of_labels_is_refused(tmp_path):
    task, _ = make("bert", tmp_path)
    with pytest.raises(UserError, match="2 different labels, and the checkpoint's head has 3 outputs"):
        replace(task, keep_head=True).datasets()
    columns = labelled(60)
    write_table(tmp_path / "three.jsonl", {**columns, "label": [number % 3 for number in range(60)]})
    kept = replace(task, keep_head=True, data=str(tmp_path / "three.jsonl"), source=str(tmp_path / "three.jsonl"))
    assert kept.new_head() is None
    data = kept.datasets()
    assert [len(getattr(data, name)["targets"]) for name in SPLITS[:2]] == [48, 12]


def test_a_large_networks_step_is_counted_without_its_memory(case):
    flops, blocks = large_step(case[0])
    assert blocks == 2
    assert flops > 1e5


def no_tokenizer(task, folder):
    for path in (folder / "model").glob("tokenizer*"):
        path.unlink()
    return task


def other_tokenizer(task, folder):
    write_checkpoint(folder / "small", "gpt2", "language", vocab_size=20)
    return replace(task, model=str(folder / "small"))


def picture_model(task, folder):
    write_checkpoint(folder / "vit", "vit", "image")
    return replace(task, model=str(folder / "vit"))


def encoder(task, folder):
    write_checkpoint(folder / "bert", "bert", "text")
    return replace(task, model=str(folder / "bert"))


def foreign_code(task, folder):
    config = {"model_type": "nobody_knows", "auto_map": {"AutoConfig": "code.Config", "AutoModelForCausalLM": "code.M"}}
    (folder / "model" / "config.json").write_text(json.dumps(config))
    (folder / "model" / "code.py").write_text(f"open({str(folder / 'ran')!r}, 'w')")
    return task


def long_windows(task, folder):
    return replace(task, max_tokens=33)


def few_texts(task, folder):
    write_table(folder / "few.jsonl", {"text": ["one", "two"]})
    return replace(task, data=str(folder / "few.jsonl"))


def no_column(task, folder):
    return replace(task, text="sentence")


HOSTILE = [
    (no_tokenizer, "no tokenizer; expected one of tokenizer.json"),
    (other_tokenizer, r"its tokenizer numbers \d+ tokens and its model has vectors for 20; expected the tokenizer"),
    (picture_model, "a model of type 'vit' cannot predict the next token"),
    (encoder, "a model of type 'bert' sees the tokens that it is to predict; expected one that reads"),
    (foreign_code, "its configuration cannot be read by transformers"),
    (long_windows, "max_tokens = 33; expected at most 32, the positions"),
    (few_texts, r"few.jsonl: \d tokens in all; expected at least 13 for one window"),
    (no_column, "data.parquet: no column 'sentence'; its columns: text"),
]


@pytest.mark.parametrize(("changed", "message"), HOSTILE)
def test_what_does_not_fit_is_one_message_before_anything_starts(tmp_path, changed, message):
    task, _ = make("gpt2", tmp_path)
    facts.cache_clear()
    with pytest.raises(UserError, match=message) as caught:
        facts(changed(task, tmp_path))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "ran").exists()


def rewrite(folder, change):
    """The checkpoint's weights as `change` gives them back."""
    path = folder / "model" / "model.safetensors"
    save_file(change(load_file(path)), path, metadata={"format": "pt"})


def test_weights_that_are_missing_from_the_body_are_one_message(tmp_path):
    """When it is planned, where only headers are read, and should it be loaded nevertheless."""
    task, _ = make("gpt2", tmp_path)
    rewrite(tmp_path, lambda held: {name: tensor for name, tensor in held.items() if ".h.1." not in name})
    for work in (task.checkpoint, task.source_model):
        with pytest.raises(
            UserError, match=r"12 weights of the model are missing, transformer.h.1.attn.c_attn.bias the"
        ):
            work()


def test_one_missing_weight_is_found_whatever_the_model(case, tmp_path):
    task, _ = case
    body = [name for name in load_file(tmp_path / "model" / "model.safetensors") if "layer" in name or ".h." in name]
    rewrite(tmp_path, lambda held: {name: tensor for name, tensor in held.items() if name != body[-1]})
    lost = f"1 weights of the model are missing, .*{body[-1]} the first|lack 16 of the numbers that the model has"
    with pytest.raises(UserError, match=lost):
        task.checkpoint()


def test_heads_and_poolers_may_be_missing(case, tmp_path):
    task, _ = case
    drawn = ("pooler", *({task.head} if task.kind != "language" else ()))
    rewrite(tmp_path, lambda held: {name: t for name, t in held.items() if not any(one in name for one in drawn)})
    assert task.checkpoint()
    task.source_model()


def test_weights_under_names_that_transformers_translates_are_not_missing(tmp_path):
    task, model = make("bert", tmp_path)
    old = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}

    def renamed(held, without="nothing"):
        whole = {name: tensor for name, tensor in held.items() if without not in name}
        return {next((n.replace(new, o) for new, o in old.items() if new in n), n): t for n, t in whole.items()}

    rewrite(tmp_path, renamed)
    assert task.checkpoint()
    read = task.source_model().state_dict()
    assert all(torch.equal(read[name], tensor) for name, tensor in model.state_dict().items())
    rewrite(tmp_path, lambda held: renamed(held, "layer.1.output.dense.weight"))
    copied = shutil.copytree(task.model, tmp_path / "copy")
    with pytest.raises(UserError, match="its weights lack 512 of the numbers that the model has"):
        replace(task, model=str(copied)).checkpoint()


def test_a_configuration_of_another_size_is_one_message(tmp_path):
    task, _ = make("llama", tmp_path)
    path = tmp_path / "model" / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "intermediate_size": 48}))
    with pytest.raises(
        UserError, match=r"mlp.\w+.weight holds 512 numbers, and the model that config.json describes has 768"
    ):
        task.checkpoint()


def test_the_rule_for_engines_counts_a_checkpoints_step_without_its_memory(case):
    task, _ = case
    counted, parameters = step_size(task, 4)
    with seeds.seeded("a key", "network"):
        network = target_network(task)
    batch = {name: tensor[:4] for name, tensor in task.datasets().target_pool.items()}
    assert parameters == sum(parameter.numel() for parameter in network.parameters())
    real = count_flops(Objective(network, task.loss), batch)
    assert real <= counted <= 1.3 * real  # of a real step on a CPU torch does not count the attention
    assert {tensor.device.type for tensor in weightless(task).parameters()} == {"meta"}
    assert choose(task, 4, "cpu", "auto").name == "plain"


def test_labels_outside_and_texts_without_a_head_are_refused(tmp_path):
    task, _ = make("bert without a head", tmp_path)
    with pytest.raises(UserError, match="has no head that could be scored"):
        replace(task, source=task.data).datasets()
    with pytest.raises(UserError, match="label '0' is not one of 1, 2"):
        replace(task, labels=("1", "2")).datasets()


def test_the_command_says_what_is_wrong_with_a_checkpoint(pacbench, tmp_path):
    """One message that names the task, exit status 2, nothing started."""
    task, _ = make("gpt2", tmp_path)
    path = tmp_path / "model" / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    suite = tmp_path / "suite.toml"
    suite.write_text(
        'name = "mine"\nmethods = ["fine_tuning"]\ntarget_sizes = [5]\ntasks = [{ name = "language_modelling", '
        f'model = "{task.model}", data = "{task.data}", max_tokens = 12 }}]\n'
    )
    process = pacbench("run", suite, "--out", tmp_path / "out")
    assert process.returncode == 2
    said = " ".join(process.stderr.split())
    assert "task language_modelling(max_tokens=12):" in said
    assert "cut off or changed; download it again" in said
    assert "Traceback" not in process.stderr
    assert not (tmp_path / "out" / "ledger").exists()
