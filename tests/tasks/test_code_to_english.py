"""Next characters: which text is where, and that no character sees the future."""

import math
from itertools import combinations

import pytest
import torch

from harness.errors import UserError
from tasks import code_to_english
from tasks.code_to_english import SYMBOLS, CodeToEnglish

SPLITS = ("source_train", "source_test", "target_pool", "target_test")


def texts(examples):
    whole = torch.cat([examples["inputs"], examples["targets"][:, -1:]], 1)
    return ["".join(SYMBOLS[number] for number in row) for row in whole.tolist()]


def test_no_window_is_in_two_splits():
    for task in (CodeToEnglish(), CodeToEnglish(comments=False)):
        parts = {name: set(texts(getattr(task.datasets(), name))) for name in SPLITS}
        assert [len(parts[name]) for name in SPLITS] == [
            len(getattr(task.datasets(), name)["inputs"]) for name in SPLITS
        ]
        assert not any(parts[one] & parts[other] for one, other in combinations(SPLITS, 2))


def test_targets_are_the_inputs_one_further():
    for name in SPLITS:
        examples = getattr(CodeToEnglish().datasets(), name)
        assert torch.equal(examples["inputs"][:, 1:], examples["targets"][:, :-1])


def test_source_is_code_and_target_is_english():
    data, bare = CodeToEnglish().datasets(), CodeToEnglish(comments=False).datasets()
    count = {name: sum(text.count("self.") for text in texts(getattr(data, name))) for name in SPLITS}
    assert count["source_train"] > 500 > 20 > count["target_pool"]
    assert "Compare two sequences" in difflib_docstring()
    assert any("# " in text for text in texts(data.source_train))
    assert sum("# " in text for text in texts(bare.source_train)) < 5
    assert torch.equal(data.target_pool["inputs"], bare.target_pool["inputs"])


def difflib_docstring():
    return code_to_english._docstrings('"""Compare two sequences."""\ndef f():\n    """Of f."""\n    return 1  # no\n')


def test_bare_code_has_neither_comments_nor_docstrings():
    bare = code_to_english._bare('"""Whole."""\nclass A:\n    """Of A."""\n    x = 1  # one\n')
    assert bare.split() == ["pass", "class", "A:", "pass", "x", "=", "1"]
    assert difflib_docstring() == "Compare two sequences.\n\nOf f."


def test_no_prediction_depends_on_what_comes_later():
    task = CodeToEnglish()
    network = task.network().eval()
    inputs = task.datasets().target_pool["inputs"][:4]
    changed = inputs.clone()
    changed[:, 20:] = (changed[:, 20:] + 1) % len(SYMBOLS)
    with torch.no_grad():
        before, after = network(inputs), network(changed)
    torch.testing.assert_close(before[:, :20], after[:, :20])
    assert not torch.allclose(before[:, 20:], after[:, 20:])


def test_even_odds_score_the_logarithm_of_the_number_of_symbols():
    examples = CodeToEnglish().datasets().target_test
    even = torch.zeros(*examples["targets"].shape, len(SYMBOLS))
    assert CodeToEnglish.score(even, examples) == pytest.approx(math.log(96))


def test_a_python_without_its_library_is_one_message(monkeypatch, tmp_path):
    monkeypatch.setattr(code_to_english.sysconfig, "get_path", lambda name: str(tmp_path))
    with pytest.raises(UserError, match=r"standard library in .* lacks the source of _markupbase"):
        CodeToEnglish().datasets()
