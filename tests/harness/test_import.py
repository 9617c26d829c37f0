"""Results of other programs become a campaign; what does not fit is accounted for, and nothing is invented."""

from __future__ import annotations

import json
import random
import shutil

import pyarrow as pa
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet as pq
import pytest

from harness import cli
from results import table
from results.schema import IDENTITY, SCHEMA

HEADER = "task,method,seed,score,higher_is_better\n"
GOOD = HEADER + "t,a,0,0.5,true\nt,b,0,0.625,true\n"


def grid(tasks=8, methods=("pac", "fine_tuning", "lora"), seeds=3):
    """Scores of a full grid, as dictionaries of the minimal columns."""
    draw = random.Random(1)
    return [
        {"task": f"t{t}", "method": m, "seed": s, "score": round(draw.random(), 6), "higher_is_better": True}
        for t in range(tasks)
        for m in methods
        for s in range(seeds)
    ]


def write(path, rows):
    """The same rows in the format that the file's name says."""
    held = pa.Table.from_pylist(rows)
    if path.suffix == ".csv":
        pyarrow.csv.write_csv(held, path)
    elif path.suffix == ".parquet":
        pq.write_table(held, path)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    """command("import", ...) in this process, in an empty folder: exit status, stdout, stderr."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        status = cli.main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return status, captured.out, captured.err

    return run


@pytest.fixture
def imported(command, tmp_path):
    """imported(content, *options, name="f.csv"): the account of an import that succeeds, and its rows."""

    def run(content, *options, name="f.csv", out="out"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        status, stdout, _ = command("import", path, "--out", out, "--json", *options)
        assert status in (0, 1)
        account = json.loads(stdout)
        assert (status == 1) == (account["dropped"] > 0)
        return account, table.read(tmp_path / out)

    return run


def dropped(account):
    """Reason -> the lines that are named for it."""
    return {
        reason["reason"]: [
            next(place[unit] for unit in ("line", "row", "run") if unit in place) for place in reason["places"]
        ]
        for reason in account["reasons"]
    }


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".jsonl"])
def test_every_format_gives_the_same_rows_and_the_rest_is_null(command, tmp_path, suffix):
    """Scores come through bit for bit; what the file does not say is null in every column outside identity."""
    rows = grid()
    path = write(tmp_path / f"results{suffix}", rows)
    assert command("import", path, "--out", "out")[0] == 0
    read = table.read(tmp_path / "out")
    assert read.schema == SCHEMA
    key = ("task", "method", "seed")
    assert {tuple(r[k] for k in key): r["score_test"] for r in read.to_pylist()} == {
        tuple(r[k] for k in key): r["score"] for r in rows
    }
    said = {*IDENTITY, "task", "method", "label", "seed", "score_test", "higher_is_better", "status", "extra"}
    for name in set(SCHEMA.names) - said:
        assert read[name].null_count == len(read), name
    assert {dict(extra).keys() == {"imported_from"} for extra in read["extra"].to_pylist()} == {True}


def test_the_commands_read_what_was_imported(pacbench, tmp_path):
    """status, leaderboard, compare, report and export, with no number that the file does not carry."""
    path = write(tmp_path / "results.csv", grid())
    out = tmp_path / "out"
    process = pacbench("import", path, "--out", out)
    assert process.returncode == 0, process.stderr
    status = json.loads(pacbench("status", out, "--json").stdout)
    assert status["counts"] == {"done": 72}
    assert status["planned"] is None
    assert status["missing"] is None
    board = json.loads(pacbench("leaderboard", out, "--json").stdout)
    for standing in board["methods"]:
        assert (standing["tasks"], standing["seeds"], standing["failures"]) == (8, 3, 0)
        for cost in ("trained_parameters", "adapt_seconds", "training_flops", "source_retention", "tuning_configs"):
            assert standing[cost] is None
    compared = pacbench("compare", out, "--candidate", "pac", "--baseline", "fine_tuning", "--json")
    record = json.loads(compared.stdout)[0]
    assert (record["tasks"], record["target_size"]) == (8, None)
    assert pacbench("report", out).returncode == 0
    text = (out / "report" / "report.md").read_text()
    assert "target sizes not stated" in text
    assert "nan" not in text.lower().split()
    again = pacbench("export", out, tmp_path / "rows.csv")
    assert again.returncode == 0, again.stderr
    assert pacbench("run", "quick", "--out", out).returncode == 2


def test_importing_twice_changes_nothing(command, tmp_path):
    """Not the same file, not under another name, not with more rows: only those are new."""
    write(tmp_path / "a.csv", grid(tasks=2))
    command("import", "a.csv", "--out", "out")
    before = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert command("import", "a.csv", "--out", "out")[0] == 0
    shutil.copy("a.csv", "b.csv")
    assert command("import", "b.csv", "--out", "out")[0] == 0
    assert {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()} == before
    write(tmp_path / "c.csv", grid(tasks=3)[:18] + [r | {"task": "new"} for r in grid(tasks=1)])
    status, out, _ = command("import", "c.csv", "--out", "out", "--json")
    account = json.loads(out)
    assert (status, account["imported"], account["known"]) == (0, 9, 18)
    record = json.loads((tmp_path / "out" / "campaign.json").read_text())
    assert record["origin"] == "imported"
    assert [file["name"] for file in record["files"]] == ["a.csv", "c.csv"]


def test_a_second_result_of_a_trial_is_not_chosen(imported):
    """Not inside one file, and not against what is there already."""
    account, rows = imported(HEADER + "t,a,0,0.5,true\nt,b,0,0.6,true\nt,b,0,0.7,true\nt,a,0,0.5,true\n")
    assert rows["method"].to_pylist() == ["a"]
    assert account["known"] == 1
    assert list(dropped(account).values()) == [[3, 4]]
    account, rows = imported(HEADER + "t,a,0,0.9,true\nt,c,0,0.9,true\n", name="g.csv")
    assert list(dropped(account).values()) == [[2]]
    assert dict(zip(rows["method"].to_pylist(), rows["score_test"].to_pylist(), strict=True)) == {"a": 0.5, "c": 0.9}


def test_what_is_dropped_is_said_with_its_line(imported):
    """Every reason, and lines that are right beside blank lines, short lines and line breaks inside quotes."""
    lines = [
        't,a,0,0.5,true,"two\nlines"',  # lines 2 and 3
        "",
        "t,c,x,0.5,true",  # 5
        "t,c,1,,true",  # 6
        "t,c,2,nan,true",  # 7
        "t,c,3,-inf,true",  # 8
        "t,c,4,1e300,true",  # 9
        "t,c,5,half,true",  # 10
        "short,1",  # 11
        "t,c,6,0.5,",  # 12
        "t,c,6,0.5,maybe",  # 13
        ",c,6,0.5,true",  # 14
        "t, ,6,0.5,true",  # 15
        'u,d,0,"0,5",true',  # 16
        "v,d,0,0.5,true",  # 17
        "v,e,0,0.5,false",  # 18
        "t,c,99999999999999999999,0.5,true",  # 19
        't,"a\nb",0,0.5,true',  # 20 and 21
    ]
    header = HEADER.replace("\n", ",note\n")
    whole = [line + "," if line.count(",") == 4 or "0,5" in line else line for line in lines]
    account, rows = imported(header + "\n".join(whole) + "\n")
    assert rows["method"].to_pylist() == ["a"]
    found = dropped(account)
    assert found == {
        "seed is not a whole number": [5, 19],
        "no score": [6],
        "score is NaN or infinite (--not-finite failed keeps it)": [7, 8],
        "score is beyond 1e+100 in size": [9],
        "score is not a number": [10],
        "2 values, not 6 as in the header": [11],
        "no higher_is_better": [12],
        "higher_is_better is not true or false": [13],
        "no task": [14],
        "method is blank, or holds a NUL": [15],
        "score has a decimal comma; say --decimal ,": [16],
        "task 'v' has rows of several directions: False, True": [17, 18],
        "method holds a line break (is a quote not closed?)": [20],
    }
    assert account["rows"] == account["imported"] + account["dropped"] == 17


def test_failures_are_kept_where_that_is_asked_for(imported):
    """A failed trial needs no score; a score that is NaN is one only with --not-finite failed."""
    content = HEADER.replace("\n", ",status\n") + "t,a,0,,true,failed\nt,b,0,nan,true,\nt,c,0,0.5,true,done\n"
    _, rows = imported(content, "--not-finite", "failed")
    assert dict(zip(rows["method"].to_pylist(), rows["status"].to_pylist(), strict=True)) == {
        "a": "failed",
        "b": "diverged",
        "c": "done",
    }
    assert rows["score_test"].to_pylist() == [None, None, 0.5]


def test_columns_are_mapped_and_constants_given(imported):
    account, rows = imported(
        "data;algo;run;acc;secs;junk\nd;pac;007;0,25;1,5;x\nd;ft;7;0,5;NA;x\n",
        *("--map", "task=data", "--map", "method=algo", "--map", "seed=run", "--map", "score=acc"),
        *("--map", "adapt_seconds=secs", "--set", "metric=accuracy", "--set", "extra.anchor_zero=0.1"),
        *("--higher-is-better", "true", "--delimiter", ";", "--decimal", ",", "--set", "target_size=25"),
    )
    assert account["unused_columns"] == ["junk"]
    found = {row["method"]: row for row in rows.to_pylist(maps_as_pydicts="lossy")}
    assert (found["pac"]["score_test"], found["pac"]["adapt_seconds"], found["pac"]["seed"]) == (0.25, 1.5, 7)
    assert (found["ft"]["score_test"], found["ft"]["adapt_seconds"]) == (0.5, None)
    assert {(row["metric"], row["target_size"], row["extra"]["anchor_zero"]) for row in found.values()} == {
        ("accuracy", 25, "0.1")
    }


def test_nested_runs_are_read_by_a_mapping_file(command, tmp_path):
    """One JSON file per run: dotted paths, places in lists, constants, and parts of the file's name."""
    (tmp_path / "map.toml").write_text(
        'file_name = "(?P<method>[a-z_]+)-s(?P<seed>[0-9]+)[.]json"\nhigher_is_better = false\n'
        '[columns]\ntask = "cfg.data"\nscore = "res.1.rmse"\n[constants]\nmetric = "rmse"\n'
    )
    for method in ("pac", "fine_tuning"):
        for seed in range(2):
            run = {"cfg": {"data": "d"}, "res": [{}, {"rmse": 0.125 + seed}]}
            (tmp_path / f"{method}-s{seed}.json").write_text(json.dumps(run))
    (tmp_path / "other.json").write_text('{"cfg": {"data": "d"}, "res": []}')
    files = sorted(path.name for path in tmp_path.glob("*.json"))
    status, out, _ = command("import", *files, "--out", "out", "--mapping", "map.toml", "--json")
    account = json.loads(out)
    assert (status, account["imported"]) == (1, 4)
    assert account["reasons"][0]["places"] == [{"file": "other.json", "run": 1, "given": None}]
    rows = table.read(tmp_path / "out").to_pylist()
    assert {(r["method"], r["seed"], r["score_test"], r["higher_is_better"]) for r in rows} == {
        (method, seed, 0.125 + seed, False) for method in ("pac", "fine_tuning") for seed in range(2)
    }
    assert command("import", *files, "--out", "out", "--mapping", "map.toml")[1].startswith("0 of 5 rows")


def test_a_table_of_tasks_by_methods(imported):
    account, rows = imported(
        "dataset,pac,lora,note\nd1,0.5,0.25,x\nd2,0.75,,y\n",
        *("--wide", "pac,lora", "--map", "task=dataset", "--set", "seed=", "--higher-is-better", "true"),
    )
    assert {(r["task"], r["method"], r["score_test"], r["seed"]) for r in rows.to_pylist()} == {
        ("d1", "pac", 0.5, None),
        ("d1", "lora", 0.25, None),
        ("d2", "pac", 0.75, None),
    }
    assert dropped(account) == {"no score": [3]}


def test_only_rows_of_one_metric(imported):
    content = "task,method,seed,score,metric\nt,a,0,1,acc\nt,a,0,2,f1\n"
    account, rows = imported(content, "--higher-is-better", "true", "--where", "metric=f1")
    assert rows["score_test"].to_pylist() == [2.0]
    assert account["left_out"] == 1


@pytest.mark.ray
def test_an_export_comes_back_as_it_was(finished, command, tmp_path):
    """Keys, scores, costs, times and what is in extra; from Parquet and from CSV."""
    for name in ("rows.parquet", "rows.csv"):
        assert command("export", finished, name)[0] == 0
        out = f"from_{name}"
        assert command("import", name, "--out", out)[0] == 0
        read, own = table.read(tmp_path / out), table.read(finished)
        for column in set(SCHEMA.names) - {"extra", "versions"}:
            assert read[column].equals(own[column]), (name, column)
        for column in ("extra", "versions"):
            for mine, theirs in zip(read[column].to_pylist(), own[column].to_pylist(), strict=True):
                assert dict(theirs).items() <= dict(mine).items()


ENCODED = {
    "byte order mark": ("\ufeff" + GOOD).encode(),
    "UTF-16": GOOD.encode("utf-16"),
    "Windows line ends": GOOD.replace("\n", "\r\n").encode(),
    "no line end": GOOD.rstrip().encode(),
}


@pytest.mark.parametrize("content", ENCODED.values(), ids=ENCODED)
def test_text_is_read_however_it_is_written(imported, content):
    assert imported(content)[1]["score_test"].to_pylist() == [0.5, 0.625]


PATHS = b'{"task":"t","method":"a","seed":0,"score":0.5,"higher_is_better":true}\n'
REFUSED = {
    "empty file": ("f.csv", b"", (), "the file is empty"),
    "header only": ("f.csv", HEADER.encode(), (), "none of 0 rows"),
    "binary": ("f.csv", bytes(range(256)) * 9, (), "not text"),
    "a pickle by name": ("f.pkl", b"\x80\x04\x95", (), "ends in one of"),
    "a pickle": ("f.csv", b"\x80\x04cos\nsystem\n(S'touch x'\ntR.", (), "not text in UTF-8"),
    "compressed": ("f.csv.gz", b"\x1f\x8b", (), "ends in one of"),
    "Latin 1": ("f.csv", "task,é\n".encode("latin-1"), (), "say --encoding"),
    "unknown encoding": ("f.csv", GOOD.encode(), ("--encoding", "klingon"), "klingon"),
    "other delimiter": ("f.csv", GOOD.replace(",", ";").encode(), (), "say --delimiter ';'"),
    "a column twice": ("f.csv", b"task,task\n1,2\n", (), "'task' is there more than once"),
    "no such column": ("f.csv", GOOD.encode(), ("--map", "score=scor"), "did you mean 'score'"),
    "no such target": ("f.csv", GOOD.encode(), ("--map", "scor=score"), "did you mean 'score'"),
    "a key of its own": ("f.csv", GOOD.encode(), ("--map", "key=task"), "no column 'key'"),
    "no direction": ("f.csv", b"task,method,seed,score\nt,a,0,1\n", (), "--higher-is-better"),
    "no seed": ("f.csv", b"task,method,score\nt,a,1\n", ("--higher-is-better", "true"), "--set seed="),
    "a constant of another type": ("f.csv", GOOD.encode(), ("--set", "target_size=ten"), "target_size=ten"),
    "a quote that is not closed": ("f.csv", (HEADER + 't,"a,0,0.5,true\n' * 3).encode(), (), "is a quote not closed?"),
    "not Parquet": ("f.parquet", b"PAR1xxxxPAR1", (), "not readable as Parquet"),
    "nested for ever": ("f.jsonl", b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", (), "nested deeper"),
    "JSON nested for ever": ("f.json", b"[" * 100_000, (), "not readable as JSON"),
    "other types in JSON Lines": (
        "f.jsonl",
        PATHS + PATHS.replace(b'"seed":0', b'"seed":"x"'),
        (),
        "changed from number",
    ),
    "a name twice in JSON": ("f.json", PATHS.replace(b'"seed":0', b'"seed":0,"seed":1'), (), "'seed' is there twice"),
    "a number without end": ("f.json", PATHS.replace(b"0.5", b"9" * 5000), (), "not readable as JSON"),
}


@pytest.mark.parametrize(("name", "content", "options", "text"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_imported_is_refused_with_one_message(command, tmp_path, name, content, options, text):
    """Exit status 2, a message that says why, and no folder is left."""
    (tmp_path / name).write_bytes(content)
    status, out, error = command("import", name, "--out", "out", *options)
    assert (status, out) == (2, "")
    assert text in " ".join(error.split())
    assert not (tmp_path / "out").exists()


def test_a_file_that_says_more_than_it_holds_is_refused(command, tmp_path):
    """A long text said a million times in a file of some kilobytes; nulls without number."""
    count = 1_000_000
    text = pa.DictionaryArray.from_arrays(pa.array([0] * count, pa.int32()), ["t" * 4000])
    pq.write_table(pa.table({"task": text}), tmp_path / "text.parquet")
    pq.write_table(pa.table({f"c{i}": pa.nulls(20 * count, pa.bool_()) for i in range(6)}), tmp_path / "nulls.parquet")
    for name, word in (("text.parquet", "bytes of text"), ("nulls.parquet", "declares")):
        status, _, error = command("import", name, "--out", "out")
        assert status == 2
        assert word in error


def test_a_folder_of_something_else_is_left_alone(made, command, tmp_path):
    """A campaign that was run, a file, and folders that are no place to write."""
    (tmp_path / "f.csv").write_text(GOOD)
    shutil.copytree(made, tmp_path / "run")
    before = sorted(path.name for path in (tmp_path / "run").rglob("*"))
    assert "was run" in command("import", "f.csv", "--out", "run")[2]
    assert sorted(path.name for path in (tmp_path / "run").rglob("*")) == before
    assert command("import", "f.csv", "--out", "f.csv")[0] == 2
    assert command("import", "f.csv", "--out", "/proc/none/x")[0] == 2
