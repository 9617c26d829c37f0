"""The published run of the suite `standard`: its tables follow from its rows, its words from its tables."""

from __future__ import annotations

import re
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from benchmarks import findings
from results.display import MINUS

HOME = Path(__file__).parents[2]
BOARD = HOME / "docs" / "results" / "standard"
ESTIMATE = re.compile(rf"[+{MINUS}]?\d[\d.]* \[[^\]]*\d\]")


@pytest.fixture(scope="module")
def rows():
    return pq.read_table(BOARD / "rows.parquet")


@pytest.fixture(scope="module")
def final(rows):
    return rows.filter(pc.equal(rows["stage"], "final"))


def lines(text):
    """The cells of a Markdown table, without its head."""
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()[2:]]


def test_the_tables_follow_from_the_rows(rows):
    assert (BOARD / "tables.md").read_text() == findings.document(rows) + "\n"


@pytest.mark.parametrize("page", [BOARD / "findings.md", HOME / "README.md"])
def test_every_estimate_that_is_quoted_is_in_the_tables(page):
    """A digit that is copied wrong is found; a plus sign may be left out."""
    tables = (BOARD / "tables.md").read_text().replace("\u00a0", " ")
    quoted = ESTIMATE.findall(" ".join(page.read_text().split()))
    assert quoted
    assert [one for one in quoted if one not in tables] == []


def test_the_run_is_whole(rows, final):
    assert len(rows) == 19_008
    assert set(rows["status"].to_pylist()) == {"done"}
    assert set(rows["engine"].to_pylist()) == {"lanes"}
    assert len(set(final["seed"].to_pylist())) == 20


def test_scratch_is_behind_the_best_transfer_method_on_every_task(final):
    """The interval of the difference excludes 0 on each; controls are exempt."""
    found = lines(findings.transfer(final))
    assert len(found) == 18
    for task, control, _, difference, _ in found:
        assert control or float(re.search(r"\[([^,]+),", difference)[1].replace(MINUS, "-")) > 0, task


def test_nothing_is_learned_from_shuffled_labels(final):
    found = lines(findings.chance(final))
    assert len(found) == 12 * 3
    assert {line[-1] for line in found} == {"1.00"}


def test_masking_again_gives_the_allocated_network_back_on_every_task(final):
    """Bitwise, of all that have a mask: PAC and four of its controls, on 18 tasks, 3 sizes and 20 seeds."""
    masked = final.filter(pc.is_valid(final["score_source_recovered"]))
    assert len(masked) == 5 * 18 * 3 * 20
    assert pc.all(pc.equal(masked["score_source_recovered"], masked["score_source_prepared"])).as_py()


def test_controls_have_the_configuration_selected_for_pac(final):
    """The same task, size and seed have the same hyper-parameters, but for what the control fixes."""
    import json

    config = {}
    for row in final.select(["task", "target_size", "label", "config"]).to_pylist():
        config[row["task"], row["target_size"], row["label"]] = json.loads(row["config"])
    for task, size, label in config:
        if label == "pac_random_mask":
            assert config[task, size, label] == config[task, size, "pac"]
        if label == "pac_no_penalty":
            assert config[task, size, label] == config[task, size, "pac"] | {"penalty": 0.0}
