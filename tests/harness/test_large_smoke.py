"""All core methods on tiny models of transformers, by the real command on a real Ray."""

import pytest

from harness import pretrained
from results.table import read
from tests.tasks.checkpoints import AUTO

KINDS = {"tiny_language_model": "language", "tiny_text_classifier": "text", "tiny_image_classifier": "image"}


@pytest.mark.ray
def test_every_method_is_done_on_every_tiny_model(pacbench, tmp_path):
    asked = ("--set", 'engine={name="plain"}', "--set", "prices.cpu=3.6", "--save-models")
    process = pacbench("run", "large_smoke", "--out", tmp_path / "out", *asked, timeout=600)
    assert process.returncode == 0, process.stderr
    rows = read(tmp_path / "out").to_pylist()
    assert len(rows) == 28
    assert {row["status"] for row in rows} == {"done"}
    assert {row["engine"] for row in rows} == {"plain"}
    for row in rows:
        if row["method"] != "scratch":
            assert row["score_source_before"] is not None
        assert row["training_flops"] > 0
        seconds = sum(row[f"{part}_seconds"] or 0.0 for part in ("prepare", "adapt", "evaluate"))
        assert row["price"] == pytest.approx(seconds / 1000)
        extra = dict(row["extra"])
        kind = KINDS[row["task"].partition("(")[0]]
        assert ("tokens_per_second" in extra) == (kind != "image")
        load = getattr(pretrained.library(), AUTO[kind]).from_pretrained
        _, found = load(tmp_path / "out" / extra["saved_model"], local_files_only=True, output_loading_info=True)
        assert not found["missing_keys"]
        assert not found["unexpected_keys"]
    trained = {(row["task"], row["method"]): row["trained_parameters"] for row in rows}
    for task in {row["task"] for row in rows}:
        assert trained[task, "linear_probe"] < trained[task, "lora"] < trained[task, "fine_tuning"]
