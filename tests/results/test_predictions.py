"""Test predictions belong to committed rows, come back bit for bit, and are merged without a moment's loss."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from harness.ledger import Ledger
from harness.predictions import MOST_VALUES, PREDICTIONS, commit_predictions, kept, merge_predictions, restored
from results import predictions
from results.committed import MERGED
from results.schema import SCHEMA_VERSION


def row(key, predicted=None, attempt=1, status="done"):
    identity = {"pair_key": "p", "suite": "s", "protocol": 1, "stage": "final", "exploratory": False}
    own = {"schema_version": SCHEMA_VERSION, "key": key, "attempt": attempt, "status": status}
    return own | identity | ({PREDICTIONS: kept(predicted)[0]} if predicted is not None else {})


def commit(folder, *rows):
    Ledger(folder).append(commit_predictions(folder, rows))


TENSORS = {
    "numbers": torch.tensor([1.5, -0.0, float("inf"), float("nan"), 1e-42]),
    "class scores": torch.randn(7, 5, generator=torch.Generator().manual_seed(0)),
    "rollouts": torch.randn(3, 4, 2, generator=torch.Generator().manual_seed(1)),
    "classes": torch.tensor([3, 0, 2**24]),
    "half precision": torch.randn(4, generator=torch.Generator().manual_seed(2)).to(torch.bfloat16),
    "a view": torch.arange(12.0).reshape(3, 4).T,
}


@pytest.mark.parametrize("predicted", TENSORS.values(), ids=TENSORS)
def test_what_was_predicted_comes_back_bit_for_bit(tmp_path, predicted):
    """In its own type and shape, NaN and the sign of zero included."""
    commit(tmp_path, row("a", predicted))
    (found,) = predictions.scan(tmp_path)
    again = restored(found)
    assert (again.dtype, again.shape) == (predicted.dtype, predicted.shape)
    assert (
        again.numpy(force=True).tobytes() == predicted.contiguous().numpy(force=True).tobytes()
        if (predicted.dtype != torch.bfloat16)
        else torch.equal(again.view(torch.int16), predicted.view(torch.int16))
    )


@pytest.mark.parametrize(
    ("predicted", "why"),
    [
        (torch.zeros(MOST_VALUES + 1), "not kept: 16385 values, at most 16384 are"),
        (torch.tensor([0.1], dtype=torch.float64), "does not fit"),
        (torch.tensor([2**24 + 1]), "does not fit"),
        (torch.tensor(1.0), "does not fit"),
    ],
)
def test_what_cannot_be_kept_is_said(predicted, why):
    """Too many values, or values that float32 does not hold: nothing is rounded, the row says why there is nothing."""
    stored, reason = kept(predicted)
    assert stored is None
    assert why in reason


def test_one_line_for_each_example(tmp_path):
    """`read` gives key, attempt, example and prediction, in the order of key and example."""
    commit(tmp_path, row("b", torch.tensor([[1.0, 2.0], [3.0, 4.0]])), row("a", torch.tensor([5.0, 6.0])), row("c"))
    found = predictions.read(tmp_path)
    assert found.schema == predictions.SCHEMA
    assert [tuple(line.values()) for line in found.to_pylist()] == [
        ("a", 1, 0, [5.0]),
        ("a", 1, 1, [6.0]),
        ("b", 1, 0, [1.0, 2.0]),
        ("b", 1, 1, [3.0, 4.0]),
    ]
    assert predictions.read(tmp_path, {"a"})["key"].to_pylist() == ["a", "a"]
    assert len(predictions.read(tmp_path / "none")) == 0


def test_only_rows_that_are_done_have_predictions(tmp_path):
    """Not a killed attempt, not a failed one, not one that another replaced."""
    commit_predictions(tmp_path, [row("killed", torch.ones(2))])
    commit(tmp_path, row("failed", torch.ones(2), status="failed"))
    commit_predictions(tmp_path, [row("twice", torch.zeros(2))])
    commit(tmp_path, row("twice", torch.ones(2), attempt=2))
    found = {(p.key, p.attempt): p.values.tolist() for p in predictions.scan(tmp_path)}
    assert found == {("twice", 2): [1.0, 1.0]}


def test_merging_changes_nothing_that_is_read(tmp_path):
    """Commits go into few files; what is in two of them for a moment comes once; a damaged file is named and stays."""
    for number in range(5):
        commit(tmp_path, row(f"key-{number}", torch.full((3,), float(number))))
    folder = tmp_path / predictions.FOLDER
    before = predictions.read(tmp_path)
    copies = {path.name: path.read_bytes() for path in folder.glob("*.parquet")}
    (folder / "foreign.parquet").write_bytes(b"not Parquet")
    assert merge_predictions(tmp_path, lambda: False) == 0
    assert merge_predictions(tmp_path) == 5
    assert [path.name for path in folder.glob("*.parquet")] == ["foreign.parquet"]
    for name, content in copies.items():  # as after a kill before they were deleted
        (folder / name).write_bytes(content)
    with pytest.warns(UserWarning, match=r"foreign\.parquet"):
        assert predictions.read(tmp_path).equals(before)
    assert merge_predictions(tmp_path) == 5
    assert len(list((folder / MERGED).iterdir())) == 1


def test_a_file_costs_four_bytes_a_value(tmp_path):
    """64 trials with 10,000 test examples each: 40 kB a trial, and some hundred bytes."""
    predicted = torch.from_numpy(np.random.default_rng(0).normal(size=10_000).astype(np.float32))
    commit(tmp_path, *(row(f"{number:032d}", predicted + number) for number in range(64)))
    (path,) = (tmp_path / predictions.FOLDER).glob("*.parquet")
    assert 40_000 < path.stat().st_size / 64 < 41_000
