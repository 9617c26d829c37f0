"""Whatever lies in a campaign's folder or a suite file: a message, nothing executed, nothing written outside.

Every case goes through the real commands, in this process so that many take little time.
"""

from __future__ import annotations

import io
import json
import os
import pickle
import random
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from harness.cli import main
from harness.compaction import compact
from results import table
from results.committed import LEDGER, MANIFEST, MERGED
from results.schema import SCHEMA
from tests.conftest import SMALL
from tests.harness.test_ledger import row


class Bomb:
    """A pickle that leaves a trace where it is loaded."""

    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return (os.system, (f"touch {self.trace}",))


def parquet(columns, **options):
    sink = io.BytesIO()
    pq.write_table(columns if isinstance(columns, pa.Table) else pa.table(columns), sink, **options)
    return sink.getvalue()


def one_row(**changed):
    """A row as a file, with columns of other types or values."""
    columns = {name: [row("planted").get(name)] for name in SCHEMA.names} | {"status": ["done"]}
    plain = pa.table({name: pa.array(value, SCHEMA.field(name).type) for name, value in columns.items()})
    for name, value in changed.items():
        plain = plain.set_column(plain.schema.get_field_index(name), name, value)
    return parquet(plain)


def flipped(content, seed):
    """Twenty bits of the content turned over."""
    changed = bytearray(content)
    for place in random.Random(seed).choices(range(len(content)), k=20):
        changed[place] ^= 1 << place % 8
    return bytes(changed)


def dictionary_bomb():
    """300 million times a text of 1 kB, in a file of some kB."""
    indices = pa.DictionaryArray.from_arrays(pa.array([0] * 10_000_000, pa.int32()), pa.array(["x" * 1000]))
    return parquet({"key": indices}, row_group_size=10_000_000)


def zeros_bomb():
    return parquet({"key": pa.array(["0" * 100_000_000])}, compression="zstd")


def nulls_bomb():
    return parquet({"key": ["a"], "reason": pa.nulls(1)}) and parquet(
        {"key": pa.nulls(50_000_000, pa.string()), "seed": pa.nulls(50_000_000, pa.int64())}
    )


def doubled_column():
    return parquet(pa.table([pa.array(["a"]), pa.array(["b"])], names=["key", "key"]))


def not_text():
    array = pa.Array.from_buffers(pa.string(), 1, [None, pa.py_buffer(b"\0\0\0\0\2\0\0\0"), pa.py_buffer(b"\xff\xfe")])
    return one_row(reason=array)


COMMITS = {
    "empty": lambda whole: b"",
    "the magic bytes only": lambda whole: b"PAR1",
    "cut at the start": lambda whole: whole[100:],
    "cut in the middle": lambda whole: whole[: len(whole) // 2],
    "cut at the end": lambda whole: whole[:-1],
    "cut out of the middle": lambda whole: whole[: len(whole) // 3] + whole[len(whole) // 2 :],
    **{f"bits turned over, {seed}": (lambda whole, seed=seed: flipped(whole, seed)) for seed in range(8)},
    "bits turned over in the footer": lambda whole: whole[:-2000] + flipped(whole[-2000:-8], 1) + whole[-8:],
    "a footer longer than the file": lambda whole: whole[:-8] + b"\xff\xff\xff\x7fPAR1",
    "random bytes": lambda whole: random.Random(0).randbytes(5000),
    "text": lambda whole: b"key,score\na,1\n",
    "no key": lambda whole: parquet({"status": ["done"]}),
    "a key without value": lambda whole: one_row(key=pa.nulls(1, pa.string())),
    "a stage without value": lambda whole: one_row(stage=pa.nulls(1, pa.string())),
    "a protocol that is a text": lambda whole: one_row(protocol=pa.array(["one"])),
    "a status that is a list": lambda whole: one_row(status=pa.array([["done"]])),
    "a score that is a text": lambda whole: one_row(score_test=pa.array(["high"])),
    "a seed too large": lambda whole: one_row(seed=pa.array([2.0**80])),
    "a target size too large": lambda whole: one_row(target_size=pa.array([2**40])),
    "a key that is a table": lambda whole: one_row(key=pa.array([{"a": 1}])),
    "a column twice": lambda whole: doubled_column(),
    "text that is none": lambda whole: not_text(),
    "one text ten million times": lambda whole: dictionary_bomb(),
    "a text of zeros": lambda whole: zeros_bomb(),
    "fifty million nulls": lambda whole: nulls_bomb(),
}


def snapshot(folder):
    """Every file with its content, links by where they point."""
    found = {}
    for path in sorted(folder.rglob("*")):
        found[path.relative_to(folder)] = (
            os.readlink(path) if path.is_symlink() else path.is_file() and path.read_bytes()
        )
    return found


@pytest.fixture
def world(made, tmp_path):
    """A campaign beside a folder that must stay as it is."""
    shutil.copytree(made, tmp_path / "campaign")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "precious").write_text("precious")
    return tmp_path


def commands(world, suite, capfd):
    """Run every command on the campaign; returns what each printed on stderr, after checking that it ended well."""
    campaign, outside = str(world / "campaign"), snapshot(world / "outside")
    printed = {}
    for command in (
        ["status", campaign],
        ["status", campaign, "--json"],
        ["leaderboard", campaign],
        ["export", campaign, str(world / "rows.csv")],
        ["run", str(suite), "--out", campaign],
    ):
        status = main(command)
        out, printed[command[0]] = capfd.readouterr()
        assert status in (0, 1, 2), command
        assert status != 2 or printed[command[0]].startswith("pacbench: ")
        assert "Traceback" not in out + printed[command[0]]
    assert snapshot(world / "outside") == outside
    assert not (world / "executed").exists()
    assert {path.name for path in world.iterdir()} <= {"campaign", "outside", "rows.csv"}
    return printed


@pytest.mark.timeout(60)
@pytest.mark.parametrize("case", COMMITS)
def test_a_malformed_commit(case, world, small_suite, capfd):
    """It is named and left out by readers, set aside by the driver, and every other row is there."""
    whole = next((world / "campaign" / LEDGER).glob("*.parquet"))
    (world / "campaign" / LEDGER / "planted.parquet").write_bytes(COMMITS[case](whole.read_bytes()))
    printed = commands(world, small_suite, capfd)
    for command in ("status", "leaderboard", "export"):
        assert printed[command].count("planted.parquet: not a readable ledger file") == 1, printed
    assert printed["run"].count("planted.parquet: not readable, set aside") == 1
    assert (world / "campaign" / LEDGER / ".set-aside" / "planted.parquet").exists()
    assert len(table.read(world / "campaign")) == 24


@pytest.mark.timeout(60)
@pytest.mark.parametrize("suffix", [".parquet", ".pt"])
def test_a_pickle_under_another_name_is_not_loaded(suffix, world, small_suite, capfd):
    from harness.campaign import Campaign
    from harness.known import load_suite
    from harness.source import Store, torch

    for trace in (Bomb(world / "executed"), {"state": Bomb(world / "executed")}):
        content = pickle.dumps(trace)
        archive = io.BytesIO()
        torch.save(trace, archive)
        for part in ("ledger", "cache", "selection"):
            for number, planted in enumerate((content, archive.getvalue())):
                (world / "campaign" / part).mkdir(exist_ok=True)
                (world / "campaign" / part / f"planted{number}{suffix}").write_bytes(planted)
        commands(world, small_suite, capfd)
        store = Store(Campaign(world / "campaign", load_suite(str(small_suite), [])).cache, torch.device("cpu"))
        assert store._load("planted0") is None
        assert store._load("planted1") is None
    assert not (world / "executed").exists()


def test_a_damaged_network_is_made_again(world):
    from harness.source import Store, torch

    (world / "cache").mkdir()
    whole = io.BytesIO()
    torch.save({"state": {}, "score": None, "steps": 1, "seconds": 1.0, "flops": None}, whole)
    contents = [flipped(whole.getvalue(), seed) for seed in range(20)]
    contents += [whole.getvalue()[:cut] for cut in range(0, len(whole.getvalue()), 50)]
    for held in ([1], {"state": 1}, "text"):
        other = io.BytesIO()
        torch.save(held, other)
        contents.append(other.getvalue())
    for content in contents:
        (world / "cache" / "planted.pt").write_bytes(content)
        loaded = Store(world / "cache", torch.device("cpu"))._load("planted")
        assert loaded is None or loaded["state"] == {}


LINKS = {
    "to an endless file": lambda path, world: path.symlink_to("/dev/zero"),
    "to a file outside": lambda path, world: path.symlink_to(world / "outside" / "precious"),
    "to nothing": lambda path, world: path.symlink_to(world / "nothing"),
    "to a folder": lambda path, world: path.symlink_to(world / "outside"),
    "to itself": lambda path, world: path.symlink_to(path),
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("case", LINKS)
def test_a_link_among_the_commits(case, world, small_suite, capfd):
    LINKS[case](world / "campaign" / LEDGER / "planted.parquet", world)
    printed = commands(world, small_suite, capfd)
    assert "planted.parquet" in printed["status"]
    assert "planted.parquet" in printed["run"]
    assert len(table.read(world / "campaign")) == 24


@pytest.mark.timeout(60)
def test_what_is_no_file_among_the_commits(world, small_suite, capfd):
    """A pipe that nobody writes to would block a reader for ever; a folder is no commit."""
    os.mkfifo(world / "campaign" / LEDGER / "pipe.parquet")
    (world / "campaign" / LEDGER / "folder.parquet").mkdir()
    commands(world, small_suite, capfd)
    assert len(table.read(world / "campaign")) == 24


@pytest.mark.timeout(60)
@pytest.mark.parametrize("part", ["ledger", "ledger/merged", "ledger/.set-aside", "selection", "cache", "report"])
def test_a_part_that_is_a_link_outside(part, world, small_suite, capfd):
    """Nothing is written through it: whatever would be, is refused with one message."""
    shutil.rmtree(world / "campaign" / part, ignore_errors=True)
    (world / "campaign" / part).symlink_to(world / "outside")
    (world / "campaign" / "ledger" / "planted.parquet").write_bytes(b"damaged") if part != "ledger" else None
    printed = commands(world, small_suite, capfd)
    before = snapshot(world / "outside")
    status = main(["report", str(world / "campaign")])
    assert snapshot(world / "outside") == before
    if part == "report":
        assert status == 2
        assert "is a link to" in capfd.readouterr().err
    else:
        assert "is a link to" in printed["run"]


DEEP = b"[" * 100_000
OBJECTS = {
    "empty": b"",
    "cut": b'{"suite": {"name"',
    "no text": b"\xff\xfe\x00",
    "nested too deep": DEEP,
    "nested too deep inside": b'{"suite": ' + b'{"name":' * 50_000,
    "a list": b"[]",
    "a number of many digits": b'{"protocol": ' + b"9" * 10_000 + b"}",
    "nothing in it": b"{}",
    "a null": b"null",
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("case", OBJECTS)
def test_a_malformed_campaign_record(case, world, small_suite, capfd):
    (world / "campaign" / "campaign.json").write_bytes(OBJECTS[case])
    printed = commands(world, small_suite, capfd)
    assert all("campaign.json" in text and text.count("\n") == 1 for text in printed.values()), printed


WRONG = [None, 0, -1, "x", [], [1], [None], {}, {"a": 1}, True, 1.5, 10**400, [[[]]], [{"id": 1}], [{"label": "a"}]]
PARTS = ["protocol", "created_at", "suite", "name", "tasks", "methods", "target_sizes", "tuning", "final", "budget"]


@pytest.mark.timeout(120)
@pytest.mark.parametrize("part", PARTS)
def test_a_campaign_record_of_other_types(part, world, capfd):
    """Any value anywhere gives an answer or a message."""
    path = world / "campaign" / "campaign.json"
    good = json.loads(path.read_text())
    for wrong in WRONG:
        changed = json.loads(json.dumps(good))
        (changed if part in ("protocol", "created_at", "suite") else changed["suite"])[part] = wrong
        path.write_text(json.dumps(changed))
        for command in ("status", "leaderboard"):
            status = main([command, str(world / "campaign")])
            printed = capfd.readouterr().err
            assert status == 0 or (status == 2 and printed.startswith("pacbench: ")), (wrong, command)
    assert main(["report", str(world / "campaign"), "--out", str(world / "report")]) in (0, 2)


SELECTIONS = {
    **{f"{case}, the file": content for case, content in OBJECTS.items()},
    **{
        f"chosen: {chosen!r}": json.dumps({"chosen": chosen}).encode()
        for chosen in (None, [], "x", {"learning_rate_factor": "x"}, {"no_such": 1}, {"learning_rate_factor": [1]})
    },
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("case", SELECTIONS)
def test_a_malformed_selection_record(case, world, small_suite, capfd):
    """The run is refused and the record stays: it was written before the first test score and is not made up again."""
    path = min((world / "campaign" / "selection").glob("*.json"))
    path.write_bytes(SELECTIONS[case])
    assert main(["run", str(small_suite), "--out", str(world / "campaign")]) == 2
    printed = capfd.readouterr().err
    assert path.name in printed
    assert printed.count("\n") == 1
    assert path.read_bytes() == SELECTIONS[case]


MANIFESTS = {
    **{f"{case}, the file": content for case, content in OBJECTS.items()},
    "a path among the merged": b'{"manifest_version": 1, "rows": {}, "merged": ["../../outside/precious"]}',
    "a path with a suffix": b'{"manifest_version": 1, "rows": {}, "merged": ["../../outside/precious.parquet"]}',
    "a path among the files": b'{"manifest_version": 1, "rows": {"../../outside/x.parquet": 1}, "merged": []}',
    "rows that are a list": b'{"manifest_version": 1, "rows": [], "merged": []}',
    "merged that is a number": b'{"manifest_version": 1, "rows": {}, "merged": 3}',
    "a version that is a text": b'{"manifest_version": "1", "rows": {}, "merged": []}',
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("case", MANIFESTS)
def test_a_malformed_manifest(case, world, small_suite, capfd):
    """Readers name it and miss no row; the driver puts a new one in its place."""
    compact(world / "campaign")
    (world / "outside" / "precious.parquet").write_text("precious")
    (world / "campaign" / LEDGER / MANIFEST).write_bytes(MANIFESTS[case])
    printed = commands(world, small_suite, capfd)
    assert all(text.count(MANIFEST) >= 1 for text in printed.values())
    assert len(table.read(world / "campaign")) == 24


def test_a_newer_manifest_or_row_is_refused(world, small_suite, capfd):
    manifest = world / "campaign" / LEDGER / MANIFEST
    manifest.write_text('{"manifest_version": 2, "rows": {}, "merged": []}')
    printed = commands(world, small_suite, capfd)
    assert all("reads up to 1" in text and text.count("\n") == 1 for text in printed.values())
    manifest.unlink()
    newer = one_row(schema_version=pa.array([9], pa.int32()))
    (world / "campaign" / LEDGER / "newer.parquet").write_bytes(newer)
    printed = commands(world, small_suite, capfd)
    assert all("schema version 9" in text and text.count("\n") == 1 for text in printed.values())


@pytest.mark.timeout(60)
@pytest.mark.parametrize("seed", range(3))
def test_a_damaged_merged_file(seed, world, small_suite, capfd):
    """Rows of other files are there; what was in it is missing, and every command says which file it was."""
    commits = sorted((world / "campaign" / LEDGER).glob("*.parquet"))
    for path in commits[12:]:
        shutil.move(path, world / "campaign")
    compact(world / "campaign")
    for path in commits[12:]:
        shutil.move(world / "campaign" / path.name, path)
    (merged,) = (world / "campaign" / LEDGER / MERGED).iterdir()
    merged.write_bytes(flipped(merged.read_bytes(), seed))
    assert main(["status", str(world / "campaign")]) == 0
    printed = capfd.readouterr()
    assert merged.name in printed.err
    assert "12 missing" in printed.out


SUITES = {
    "nested too deep": lambda text: "x = " + "[" * 100_000,
    "tables nested too deep": lambda text: text + "".join(f"[{'.'.join(['a'] * 5000)}]\n"),
    "cut": lambda text: text[: len(text) // 2],
    "a number of many digits": lambda text: text.replace("steps = 20", f"steps = {'9' * 10_000}"),
    "a key of many dots": lambda text: "a" + ".a" * 20_000 + " = 1\n" + text,
    "no text": lambda text: "\x00\x01",
    "a method that is a path": lambda text: text.replace('"fine_tuning"', '"../../outside/precious"'),
    "a method that is a pickle": lambda text: text.replace('"fine_tuning"', '"./bomb.py"'),
    "a method file that is a folder": lambda text: text.replace('"fine_tuning"', '"./outside.py"'),
    "a size that is huge": lambda text: text.replace("[10, 20]", f"[{2**63}]"),
    "a date": lambda text: text.replace("steps = 20", "steps = 1979-05-27"),
    "not a number": lambda text: text.replace("steps = 20", "trial_seconds = nan"),
    **{f"bits turned over, {s}": (lambda text, s=s: flipped(text.encode(), s).decode("latin-1")) for s in range(10)},
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("case", SUITES)
def test_a_malformed_suite(case, world, capfd):
    (world / "suites").mkdir()
    (world / "suites" / "bomb.py").write_bytes(pickle.dumps(Bomb(world / "executed")))
    (world / "suites" / "outside.py").mkdir()
    (world / "suites" / "planted.toml").write_text(SUITES[case](SMALL))
    before = snapshot(world)
    assert main(["run", str(world / "suites" / "planted.toml"), "--out", str(world / "out")]) == 2
    printed = capfd.readouterr().err
    assert printed.startswith("pacbench: ")
    assert "Traceback" not in printed
    assert snapshot(world) == before


def test_paths_in_names_stay_inside_the_folder(world, capfd):
    """Names of suites and labels are free text; as file names they are not."""
    from harness import plan
    from harness.campaign import Campaign
    from harness.known import load_suite
    from harness.trial import describe

    suite = SMALL.replace('"small"', '"../../outside/suite"').replace("l2-sp strong", "../../../outside/label\\u0000")
    (world / "planted.toml").write_text(suite)
    before = snapshot(world / "outside")
    campaign = Campaign.open(world / "out" / "campaign", load_suite(str(world / "planted.toml"), []))
    campaign.ledger.append([describe(t) | {"status": "done", "score_validation": 1.0} for t in campaign.tune_trials])
    final = plan.final_trials(campaign.suite, campaign.select())
    campaign.ledger.append([describe(trial) | {"status": "done", "score_test": 1.0} for trial in final])
    for command in (["status"], ["leaderboard"], ["report"]):
        assert main([*command, str(world / "out" / "campaign")]) == 0
    assert snapshot(world / "outside") == before
    assert [path.name for path in (world / "out").iterdir()] == ["campaign"]
