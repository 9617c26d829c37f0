"""The contract of every task: what data it gives, and what may depend on what."""

import json
from dataclasses import fields

import pytest
import torch
from torch import nn

from harness import seeds, settings
from harness.data import content_hash, copy, size, split, take
from harness.errors import UserError
from harness.evaluate import native_score
from harness.task import check_task_class
from tasks import TASKS

SPLITS = ("source_train", "source_test", "target_pool", "target_test")

# Generators are numpy's RandomState, whose streams are frozen, and every value is rounded from float64 to float32,
# which hides the last bits in which libraries of mathematical functions differ. So the hashes hold on every machine.
HASHES = {
    "friedman1": "7a5ed499ab2a8050315413f976312323",
    "friedman2": "909543b3c51a2470c7a76ad6a31631c3",
    "friedman3": "c8f2731964ab4bc453c17e34b727e208",
    "damped_pendulum": "9d43b117ebe24df77e5d7a1c55e29611",
    "lotka_volterra": "01f44b6c50e9b7df32571f8bc8b913ce",
    "van_der_pol": "e01d1f6ed35efc04fb99597b9ece6aa3",
    "burgers": "0f1be91efd5202fcc899875127ca5e9d",
    "allen_cahn": "64e6c4da948208b50a9b86f633bd5f2e",
    "helmholtz": "40178f07a1b1b8b92b77070ac0077e66",
    "digits_new_classes": "770736dace9ee940d6fae7ce2ace3491",
    "fair_affairs": "1f0860eb76b4d1a1f0de1994f02300cb",
    "digits_new_domain": "27991432a692191b16f7f2c06203aeb7",
    "photo_inpainting": "a1220cc4504017ccfd0213b765986137",
    "rand_health": "88dc5afd0df523539529e3672d0eac1d",
    "fertility": "2c505ac9944b79c0165da15642b35df0",
    "code_to_english": "3691d30f082f0ee2ef0264db6179a552",
    "shuffled_labels": "13b6e694a537f8a32898f6a2d20c7496",
    "unrelated_source": "d43c038995459846937c2462ffcac478",
    "tiny_language_model": "a1e14ec34a3a86aaf22c1d1839666fdf",
    "tiny_text_classifier": "62fe8abb7290b855a147715b8be8f2cc",
    "tiny_image_classifier": "770736dace9ee940d6fae7ce2ace3491",
}


def needs_files(cls):
    """Whether a task reads the user's own files (test_loaders.py has these)."""
    return any(field.metadata.get("place") for field in fields(cls))


BUILT_IN = sorted(name for name, cls in TASKS.items() if not needs_files(cls))
TINY = ("tiny_image_classifier", "tiny_language_model", "tiny_text_classifier")
"""Models of transformers to try engines with: no anchors, and embeddings that are in no block."""


@pytest.fixture(params=BUILT_IN)
def task(request):
    return TASKS[request.param]()


def network_of(task):
    with seeds.seeded("a key", "initial weights"):
        return task.network()


def test_the_class_is_complete_and_its_functions_are_static(task):
    check_task_class(type(task), "here")
    assert TASKS[task.name] is type(task)
    assert type(task).__doc__
    assert task.id == task.name


def test_data_are_the_same_at_every_call_on_every_machine(task):
    torch.manual_seed(1)
    first = content_hash(vars(task.datasets()))
    torch.manual_seed(2)
    assert content_hash(vars(task.datasets())) == first == HASHES[task.name]


def test_calls_share_no_memory(task):
    first, again = task.datasets(), task.datasets()
    for name in SPLITS:
        getattr(first, name)["inputs"].fill_(7.0)
        assert not (getattr(again, name)["inputs"] == 7.0).all()


def test_what_a_method_gets_shares_no_memory_with_the_pool_or_the_test_split(task):
    data = task.datasets()
    test = {name: tensor.clone() for name, tensor in data.target_test.items()}
    pool = {name: tensor.clone() for name, tensor in data.target_pool.items()}
    train, validation = split(data.target_pool, 25, "a key")
    for seen in (train, validation, copy(data.target_test), take(data.target_test, torch.arange(size(test)))):
        for tensor in seen.values():
            tensor.zero_()
    for name in test:
        assert torch.equal(data.target_test[name], test[name])
        assert torch.equal(data.target_pool[name], pool[name])


def test_network_has_the_head_and_blocks_it_names(task):
    network = network_of(task)
    blocks = task.blocks(network)
    assert isinstance(network.get_submodule(task.head), nn.Linear)
    assert len(blocks) == len(set(blocks)) >= 2
    of_parts = [
        f"{part}.{n}" for part in (*blocks, task.head) for n, _ in network.get_submodule(part).named_parameters()
    ]
    everything = [name for name, _ in network.named_parameters()]
    assert of_parts == ([name for name in everything if name in of_parts] if task.name in TINY else everything)


def test_a_new_head_fits_where_the_source_head_was(task):
    head = task.new_head()
    if head is not None:
        network = network_of(task)
        network.set_submodule(task.head, head)
        assert task.predict(network, take(task.datasets().target_test, torch.arange(3))).shape[0] == 3


def test_loss_is_one_finite_number_with_a_gradient_for_every_weight(task):
    network = network_of(task)
    loss = task.loss(network, take(task.datasets().target_pool, torch.arange(8)))
    loss.backward()
    assert loss.shape == ()
    assert loss.isfinite()
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_predictions_do_not_depend_on_the_other_examples(task):
    examples = take(task.datasets().target_test, torch.arange(40))
    network = network_of(task).eval()
    with torch.no_grad():
        whole = task.predict(network, examples)
        half = task.predict(network, take(examples, torch.arange(20)))
    assert whole.shape[0] == 40
    torch.testing.assert_close(whole[:20], half)


def test_targets_of_pool_and_test_follow_one_distribution(task):
    """A split that is sorted by anything would show here: mean targets within five standard errors."""
    data = task.datasets()
    pool, test = data.target_pool["targets"].double(), data.target_test["targets"].double()
    error = (pool.var() / len(pool) + test.var() / len(test)).sqrt()
    assert abs(pool.mean() - test.mean()) < 5 * error


@pytest.mark.parametrize("n", [5, 25, 100, 401])
def test_split_is_disjoint_and_four_to_one(task, n):
    pool = {"row": torch.arange(size(task.datasets().target_pool))}
    train, validation = (set(part["row"].tolist()) for part in split(pool, n, "a key"))
    assert not train & validation
    assert len(validation) == n // 5
    assert len(train) == n - n // 5


def test_splits_of_smaller_n_are_nested_in_those_of_larger(task):
    pool = {"row": torch.arange(size(task.datasets().target_pool))}
    for small, large in ((5, 25), (25, 100), (100, size(pool))):
        for less, more in zip(split(pool, small, "a key"), split(pool, large, "a key"), strict=True):
            assert set(less["row"].tolist()) <= set(more["row"].tolist())


def test_another_key_draws_other_examples():
    pool = {"row": torch.arange(100)}
    assert split(pool, 25, "a key")[0]["row"].tolist() != split(pool, 25, "another key")[0]["row"].tolist()


@pytest.mark.parametrize("n", [0, 4, 101])
def test_a_size_that_cannot_be_drawn_is_refused(n):
    with pytest.raises(UserError, match=f"{n} examples asked for; expected 5 to 100"):
        split({"row": torch.arange(100)}, n, "a key")


def test_anchors_are_pinned_for_the_defaults_and_in_the_right_order(task):
    if task.negative_control or task.name in TINY:
        assert task.anchors() is None
        return
    zero, one = task.anchors()
    assert (one > zero) is task.higher_is_better


def test_anchors_of_a_variant_are_not_those_of_the_default(task):
    for field in fields(task):
        others = [option for option in field.metadata["options"] if option != field.default]
        other = settings.build(type(task), {field.name: (others or [field.default * 2 + 1])[0]}, "here")
        assert other.anchors() is None, field.name


def test_source_parameters_are_canonical_json(task):
    assert json.loads(seeds.canonical(task.source_parameters())) == task.source_parameters()


def test_an_untrained_network_is_far_from_the_anchor_of_transfer(task):
    if task.negative_control or task.name in TINY:
        return
    score = native_score(task.predict, task.score, network_of(task), task.datasets().target_test)
    _, one = task.anchors()
    assert (score < one) is task.higher_is_better
