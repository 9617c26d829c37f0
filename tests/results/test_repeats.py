"""A trial that was done twice must have the same scores; the first counts."""

from __future__ import annotations

import json
import random
import shutil
from datetime import UTC, datetime, timedelta

from harness.cli import main
from harness.ledger import Ledger
from results import table
from results.repeats import differing
from results.schema import table as rows_of_schema
from tests.harness.test_ledger import row

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def done(key, minutes, **columns):
    moment = NOON + timedelta(minutes=minutes)
    return row(key, task="t", label="l", seed=3, target_size=25, started_at=moment, finished_at=moment, **columns)


def test_first_to_finish_wins_and_the_difference_is_said(tmp_path):
    """Also if its file comes later and has the same attempt. Costs may differ; a failed attempt is no second result."""
    ledger = Ledger(tmp_path)
    ledger.append([done("a", 2, score_test=0.2, adapt_seconds=1.0)])
    ledger.append([done("a", 1, score_test=0.1, adapt_seconds=2.0), done("b", 1, score_test=float("nan"))])
    ledger.append([done("b", 2, score_test=float("nan"), host="other"), done("c", 1, status="failed")])
    ledger.append([done("c", 2, attempt=2, score_test=1.0), done("d", 1, score_validation=0.5)])
    ledger.append([done("d", 2, score_validation=0.5, score_test=1.0)])
    rows = {r["key"]: r for r in table.read(tmp_path).to_pylist()}
    assert (rows["a"]["score_test"], rows["d"]["score_test"]) == (0.1, None)
    found = ledger.differing()
    assert [(f.key, f.score, f.first, f.second) for f in found] == [
        ("a", "score_test", 0.1, 0.2),
        ("d", "score_test", None, 1.0),
    ]
    assert str(found[0]) == (
        "not deterministic: t, l, n=25, seed 3 was done twice; score_test was first 0.1, then 0.2 (key a)"
    )


def test_one_commit_found_twice_is_one(tmp_path):
    """The same rows in two files, as a damaged manifest leaves them, are one attempt."""
    rows = rows_of_schema([done("a", 1, score_test=0.1), done("a", 2, attempt=2, score_test=0.1)])
    twice = table.pa.concat_tables([rows, rows])
    assert table.distinct(twice).equals(rows)
    assert differing(twice) == []


def test_status_and_run_report_it(made, small_suite, tmp_path, capfd):
    """A tuning trial done again with the last bit of one score changed: every command that may says so."""
    folder = tmp_path / "campaign"
    shutil.copytree(made, folder)
    first = table.read(folder).to_pylist()[0]
    again = first | {"score_validation": first["score_validation"] + 2**-52, "finished_at": NOON}
    Ledger(folder).append([again | {"versions": dict(first["versions"])}])
    assert main(["status", str(folder)]) == 0
    shown = " ".join(capfd.readouterr().out.split())
    assert f"{first['score_validation']!r}, then {again['score_validation']!r}" in shown or (
        f"{again['score_validation']!r}, then {first['score_validation']!r}" in shown
    )
    assert first["key"] in shown
    assert "24 done; complete" in shown
    main(["status", str(folder), "--json"])
    (fault,) = json.loads(capfd.readouterr().out)["not_deterministic"]
    assert (fault["key"], fault["score"], fault["seed"]) == (first["key"], "score_validation", first["seed"])
    assert main(["run", str(small_suite), "--out", str(folder)]) == 0
    assert first["key"] in capfd.readouterr().err


def naive_latest(rows):
    """The rule of `latest` in words: first done attempt, else last attempt; of equals the first to finish."""
    best = {}
    for place, r in enumerate(rows):
        late = r["finished_at"] or datetime.max.replace(tzinfo=UTC)
        is_done = r["status"] == "done"
        rank = (not is_done, (r["attempt"] or 0) * (1 if is_done else -1), late, place)
        if r["key"] not in best or rank < best[r["key"]][0]:
            best[r["key"]] = (rank, place)
    return [rows[place] for place in sorted(place for _, place in best.values())]


def test_latest_is_its_rule():
    """Against the rule written as a loop, on 50 random tables."""
    draw = random.Random(0)
    for _ in range(50):
        rows = [
            row(draw.choice("abcdef"), status=draw.choice(["done", "failed", None]), seed=number)
            | {"attempt": draw.choice([1, 2, 3, None])}
            | {"finished_at": draw.choice([None, NOON, NOON + timedelta(minutes=draw.randrange(3))])}
            for number in range(draw.randrange(30))
        ]
        found = table.latest(rows_of_schema(rows))
        assert found["seed"].to_pylist() == [r["seed"] for r in naive_latest(rows)]
