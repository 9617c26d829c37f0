"""`pacbench prefetch` against a server that speaks the hub's API: what is fetched, and running offline."""

import json
from argparse import Namespace

import pytest

from harness import hub
from harness.commands_prefetch import prefetch_command
from harness.errors import UserError
from tests.harness.hub_server import COMMIT, serving
from tests.tasks.checkpoints import labelled, write_checkpoint, write_table

SUITE = """
name = "fetched"
methods = ["fine_tuning"]
target_sizes = [5]
[[tasks]]
name = "text_classification"
model = "hub:someone/tiny-bert@main"
data = "hub:datasets/someone/reviews@main/plain"
max_tokens = 16
[tuning]
configs = 1
[budget]
steps = 2
[engine]
name = "plain"
"""


@pytest.fixture(scope="module")
def repositories(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hub")
    model, data = folder / "model", folder / "data"
    write_checkpoint(model, "bert", "text", num_labels=3)
    (model / "pytorch_model.bin").write_bytes(b"a pickle nobody asked for")
    (model / "README.md").write_text("a card")
    (data / "plain").mkdir(parents=True)
    (data / "other").mkdir()
    write_table(data / "plain" / "train-00000-of-00001.parquet", labelled(60))
    write_table(data / "plain" / "validation-00000-of-00001.parquet", labelled(30, 7))
    write_table(data / "other" / "train.parquet", labelled(5))
    (data / "reviews.py").write_text("raise SystemExit('code of a data set is never run')")
    return {"models/someone/tiny-bert": model, "datasets/someone/reviews": data}


@pytest.fixture(scope="module")
def fetched(pacbench, repositories, tmp_path_factory):
    """The suite's file, the folder it was prefetched to, and what the command said."""
    folder = tmp_path_factory.mktemp("prefetched")
    (folder / "suite.toml").write_text(SUITE)
    with serving(repositories) as (address, asked):
        environment = {"HF_ENDPOINT": address, "HF_HUB_DISABLE_XET": "1", "HF_HOME": str(folder / "home")}
        process = pacbench("prefetch", folder / "suite.toml", "--to", folder / "all", env=environment)
        assert process.returncode == 0, process.stderr
        assert asked
    return folder / "suite.toml", folder / "all", process.stdout


def test_what_a_task_can_read_is_fetched_and_listed_with_its_hash(fetched):
    _, place, said = fetched
    manifest = json.loads((place / "manifest.json").read_text())
    model, data = manifest["hub:someone/tiny-bert@main"], manifest["hub:datasets/someone/reviews@main"]
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= set(model["files"])
    assert not {"pytorch_model.bin", "README.md"} & set(model["files"])
    assert sorted(data["files"]) == [
        "plain/train-00000-of-00001.parquet",
        "plain/validation-00000-of-00001.parquet",
    ]
    assert model["commit"] == data["commit"] == COMMIT
    for name, entry in manifest.items():
        assert not list(hub.damage(place, name, entry, hashes=True))
    assert f"PACBENCH_PREFETCHED={place}" in said


def test_a_suite_is_planned_from_what_was_fetched_without_a_network(pacbench, fetched):
    suite, place, _ = fetched
    offline = {"PACBENCH_PREFETCHED": str(place), "HF_ENDPOINT": "http://127.0.0.1:9"}
    process = pacbench("plan", suite, "--json", env=offline)
    assert process.returncode == 0, process.stderr
    assert json.loads(process.stdout)["trials"] == 5


def test_what_is_there_is_not_fetched_again(fetched, capsys):
    """Without a server."""
    suite, place, said = fetched
    assert prefetch_command(Namespace(suite=str(suite), to=str(place), verify=False)) == 0
    assert capsys.readouterr().out == said


def test_damage_is_found_and_mended(pacbench, fetched, repositories, monkeypatch, tmp_path):
    suite, place, _ = fetched
    path = next((place / "models").glob("*/model.safetensors"))
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + b"?")
    with pytest.raises(UserError, match="another hash than the manifest says; run `pacbench prefetch` without"):
        prefetch_command(Namespace(suite=str(suite), to=str(place), verify=True))
    path.write_bytes(whole[:-1])
    monkeypatch.setenv(hub.VARIABLE, str(place))
    with pytest.raises(UserError, match=r"has \d+ bytes, the manifest says \d+; run `pacbench prefetch` again"):
        hub.local("hub:someone/tiny-bert@main")
    with serving(repositories) as (address, _):
        environment = {"HF_ENDPOINT": address, "HF_HUB_DISABLE_XET": "1", "HF_HOME": str(tmp_path)}
        mended = pacbench("prefetch", suite, "--to", place, env=environment)
    assert mended.returncode == 0, mended.stderr
    assert path.read_bytes() == whole


def test_a_hub_that_is_not_there_is_one_message(pacbench, fetched, tmp_path):
    suite, _, _ = fetched
    environment = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path / "home")}
    process = pacbench("prefetch", suite, "--to", tmp_path / "all", env=environment)
    assert process.returncode == 2
    assert "hub:someone/tiny-bert@main: cannot be fetched" in " ".join(process.stderr.split())
    assert "Traceback" not in process.stderr


@pytest.mark.parametrize("given", ["hub:tiny-bert", "hub:a/b/c@main", "hub:a/b@main/../x", "hub:a/b@", "hub:@main"])
def test_a_name_without_revision_or_with_a_way_out_is_refused(given):
    with pytest.raises(UserError, match="is no name of the hub; expected hub:OWNER/NAME@REVISION"):
        hub.parse(given)


def test_a_name_that_was_not_prefetched_is_one_message(monkeypatch, fetched, tmp_path):
    _, place, _ = fetched
    monkeypatch.delenv(hub.VARIABLE, raising=False)
    with pytest.raises(UserError, match="PACBENCH_PREFETCHED is not set"):
        hub.local("hub:someone/tiny-bert@main")
    monkeypatch.setenv(hub.VARIABLE, str(place))
    with pytest.raises(UserError, match=r"not prefetched in .*did you mean 'hub:someone/tiny-bert@main'"):
        hub.local("hub:someone/tiny-bert@v2")
    with pytest.raises(UserError, match="the repository has no such folder"):
        hub.local("hub:datasets/someone/reviews@main/missing")
    monkeypatch.setenv(hub.VARIABLE, str(tmp_path))
    with pytest.raises(UserError, match=r"manifest.json: cannot be read"):
        hub.local("hub:someone/tiny-bert@main")
