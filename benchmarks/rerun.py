"""Run rows of a published table again, each from nothing but what the row says, and compare the scores.

`python -m benchmarks.rerun docs/results/standard/rows.parquet KEY [KEY ...]`: a suite of one task, one method with the
row's configuration pinned, and one target size is run by the real command; the row of the same key must have the same
scores, bitwise on one kind of machine.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from results.table import read

SCORES = ("score_validation", "score_test", "score_source_before", "score_source_after", "score_source_recovered")


def suite(row: dict[str, Any]) -> str:
    """The suite file of one row. Tasks with parameters are named as in `friedman1(shift=2.0)`."""
    found = re.fullmatch(r"(\w+)(?:\((.*)\))?", row["task"])
    assert found is not None, row["task"]
    parameters = [part.split("=") for part in (found[2] or "").split(", ") if part]
    task = {"name": found[1]} | {name: json.loads(value) for name, value in parameters}
    method = {"name": row["method"], "label": row["label"], **json.loads(row["config"])}
    return f"""name = "rerun"
tasks = [{inline(task)}]
methods = [{inline(method)}]
target_sizes = [{row["target_size"]}]
tuning = {{ configs = 1 }}
final = {{ seeds = {row["seed"] + 1} }}
budget = {{ steps = {row["budget_steps"]} }}
"""


def inline(table: dict[str, Any]) -> str:
    """A TOML inline table."""
    return "{ " + ", ".join(f"{name} = {json.dumps(value)}" for name, value in table.items()) + " }"


def main() -> int:
    """Run the rows; 1 if a score differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", type=Path)
    parser.add_argument("keys", nargs="+", metavar="KEY")
    options = parser.parse_args()
    try:
        published = pq.read_table(options.rows)
    except (OSError, pa.ArrowInvalid) as error:
        parser.error(f"{options.rows}: {error}")
    if unknown := set(options.keys) - set(published["key"].to_pylist()):
        parser.error(f"{options.rows}: no row has the key {sorted(unknown)[0]!r}")
    same = True
    for key in options.keys:
        (before,) = published.filter(pc.equal(published["key"], key)).to_pylist()
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "rerun.toml"
            path.write_text(suite(before))
            command = [str(Path(sys.executable).with_name("pacbench")), "run", str(path), "--out", f"{folder}/out"]
            subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
            rows = read(Path(folder) / "out")
        again = rows.filter(pc.equal(rows["key"], key)).to_pylist()
        equal = len(again) == 1 and all(before[name] == again[0][name] for name in SCORES)
        same = same and equal
        cell = f"{before['task']}, {before['label']}, n={before['target_size']}, seed {before['seed']}"
        shown = again[0]["score_test"] if again else "no row of that key"
        print(
            f"{cell}: {before['score_test']!r} published, {shown!r} now; {'all scores equal' if equal else 'DIFFERENT'}"
        )
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
