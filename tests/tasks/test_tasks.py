"""The contract of every task: what data it gives, and what may depend on what."""

from dataclasses import fields

import pytest
import torch
from torch import nn

from harness import seeds
from harness.contract import TASK_CHECKS, TaskUnderTest, fresh
from harness.data import content_hash, copy, size, split, take
from harness.errors import UserError
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

UNDER_TEST = {name: TaskUnderTest(TASKS[name]()) for name in BUILT_IN}


@pytest.fixture(params=BUILT_IN)
def task(request):
    return UNDER_TEST[request.param].task


def network_of(task):
    with seeds.seeded("a key", "initial weights"):
        return task.network()


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


@pytest.mark.parametrize("check", [check for check in TASK_CHECKS if check.name != "fresh process"], ids=str)
@pytest.mark.parametrize("name", BUILT_IN)
def test_the_contract_holds(name, check):
    found = check.examine(UNDER_TEST[name])
    assert found.state in ("ok", "hint"), f"{found.text}; {found.mend}"


def test_a_process_of_its_own_makes_the_same_data():
    """The check `fresh process`, for all tasks in one process."""
    there = fresh.results([UNDER_TEST[name].task for name in BUILT_IN], "task")
    assert [found["data_hash"] for found in there] == [HASHES[name] for name in BUILT_IN]


def test_the_class_is_listed_under_its_name(task):
    assert TASKS[task.name] is type(task)
    assert task.id == task.name


def test_data_are_the_same_on_every_machine(task):
    assert content_hash(vars(UNDER_TEST[task.name].sets)) == HASHES[task.name]


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
