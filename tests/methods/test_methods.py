"""Every built-in method keeps the contract that `pacbench check` tries; and what the tests know of them besides."""

from dataclasses import fields

import pytest

from harness import settings
from harness.contract import METHOD_CHECKS, MethodUnderTest, fresh
from harness.errors import UserError
from methods import METHODS

DRAWS = {"lora", "pac_random_mask", "scratch"}
"""Methods that draw anything of their own, initial weights included."""

QUICK = {"subtuning": {"search_fraction": 0.3, "folds": 1}}
"""Settings for the tests, where a method's own are slow."""

UNDER_TEST = {name: MethodUnderTest(cls(**QUICK.get(name, {}))) for name, cls in METHODS.items()}


@pytest.fixture(params=sorted(METHODS))
def method(request):
    return UNDER_TEST[request.param].method


ELSEWHERE = ("deepspeed", "fresh process")
"""Checks that start processes: what they say of these methods, other tests say in fewer processes."""


@pytest.mark.parametrize("check", [check for check in METHOD_CHECKS if check.name not in ELSEWHERE], ids=str)
@pytest.mark.parametrize("name", sorted(METHODS))
def test_the_contract_holds(name, check):
    found = check.examine(UNDER_TEST[name])
    assert found.state != "fault", f"{found.text}; {found.mend}"
    assert found.state != "not checked", found.text


def test_a_process_that_has_run_nothing_else_gives_the_same_results():
    """The check `fresh process`, for all methods in one process."""
    there = fresh.results([UNDER_TEST[name].method for name in sorted(METHODS)], "method")
    for name, found in zip(sorted(METHODS), there, strict=True):
        for run in UNDER_TEST[name].each():
            assert found[run.problem.name][1] == pytest.approx(list(run.losses), rel=1e-3), name


def test_another_key_gives_another_result_only_where_the_method_draws(method):
    (check,) = (check for check in METHOD_CHECKS if check.name == "determinism")
    assert check.examine(UNDER_TEST[method.name]).text.endswith("draws") is (method.name in DRAWS)


def test_the_class_is_listed_under_its_name(method):
    assert METHODS[method.name] is type(method)


def test_no_method_declines_a_tiny_problem(method):
    assert len([*UNDER_TEST[method.name].each()]) == 4


def limits():
    for name, cls in sorted(METHODS.items()):
        for field in fields(cls):
            meta = field.metadata
            if meta["low"] is not None:
                yield name, field.name, meta["low"] - 1
            if meta["high"] is not None:
                yield name, field.name, meta["high"] + 1
            if meta["options"]:
                yield name, field.name, "no such option"
            yield name, field.name, []


@pytest.mark.parametrize(("name", "setting", "value"), list(limits()))
def test_settings_out_of_range_are_refused(name, setting, value):
    with pytest.raises(UserError, match=rf"here: {setting} = "):
        settings.build(METHODS[name], {setting: value}, "here")


def test_an_unknown_setting_is_refused_with_the_nearest_name(method):
    with pytest.raises(UserError, match="learning_rate_factor"):
        settings.build(type(method), {"learning_rate_facto": 1.0}, "here")
