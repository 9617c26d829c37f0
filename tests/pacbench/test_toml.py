"""A dictionary becomes a suite file that says the same."""

from __future__ import annotations

import math
import tomllib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import UserError
from pacbench import toml

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
PLAIN = TEXT | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False)
NESTED = st.recursive(PLAIN, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4))


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(TEXT, NESTED, max_size=5))
def test_what_is_written_reads_back(table):
    assert tomllib.loads(toml.document(table)) == table


def test_other_kinds_of_values_are_written_as_what_they_stand_for():
    table = {
        "path": Path("a/b.py"),
        "size": np.int64(3),
        "rate": np.float32(0.5),
        "tuple": (1, (2,)),
        "on": np.bool_(True),
    }
    expected = {"path": "a/b.py", "size": 3, "rate": 0.5, "tuple": [1, [2]]}
    assert tomllib.loads(toml.document({key: table[key] for key in expected})) == expected
    assert math.isnan(tomllib.loads(toml.document({"x": math.nan}))["x"])


@pytest.mark.parametrize("held", [None, object(), {1: 2}, {"a": {"b": [None]}}, "\ud800", b"bytes"])
def test_what_no_suite_file_can_hold_is_refused(held):
    with pytest.raises(UserError, match=r"suite: .*expected"):
        toml.document({"key": held})
