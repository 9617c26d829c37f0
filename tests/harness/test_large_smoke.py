"""All core methods on tiny models of transformers, by the real command on a real Ray."""

import pytest

from results.table import read


@pytest.mark.ray
def test_every_method_is_done_on_every_tiny_model(pacbench, tmp_path):
    process = pacbench("run", "large_smoke", "--out", tmp_path / "out", "--set", 'engine={name="plain"}', timeout=600)
    assert process.returncode == 0, process.stderr
    rows = read(tmp_path / "out").to_pylist()
    assert len(rows) == 28
    assert {row["status"] for row in rows} == {"done"}
    assert {row["engine"] for row in rows} == {"plain"}
    for row in rows:
        if row["method"] != "scratch":
            assert row["score_source_before"] is not None
        assert row["training_flops"] > 0
    trained = {(row["task"], row["method"]): row["trained_parameters"] for row in rows}
    for task in {row["task"] for row in rows}:
        assert trained[task, "linear_probe"] < trained[task, "lora"] < trained[task, "fine_tuning"]
