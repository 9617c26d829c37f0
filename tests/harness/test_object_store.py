"""A campaign in an object store: the same code against a server that speaks S3, on this machine."""

from __future__ import annotations

import os
import pickle
import re
import subprocess
import sys
import threading
import time
from urllib.request import Request, urlopen

import pytest

from harness.cli import main
from harness.compaction import compact
from harness.errors import UserError
from harness.lease import lease, read
from harness.ledger import Ledger
from harness.rows import read_attempts
from results import table
from results.committed import LEDGER, MERGED
from results.place import Bucket, PlaceError, names, place, write_durably
from tests.harness.test_compaction import fill, keys
from tests.harness.test_run import scores

SETTINGS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "us-east-1"}


def serve(log, **environment):
    """A server process and its address, once it answers; port 0 lets the system choose a free one."""
    command = [sys.executable, "-W", "error", "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"]
    with log.open("wb") as written:
        process = subprocess.Popen(command, stderr=written, env={**os.environ, **environment}, cwd=log.parent)
    deadline = time.monotonic() + 60
    while not (found := re.search(r"http://127.0.0.1:\d+", log.read_text())) and time.monotonic() < deadline:
        time.sleep(0.05)
    address = found.group()
    with urlopen(Request(f"{address}/campaigns", method="PUT"), timeout=30) as answered:
        assert answered.status == 200
    return process, address


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    process, address = serve(tmp_path_factory.mktemp("server") / "log")
    yield address
    process.kill()
    process.wait()


@pytest.fixture
def environment(server, monkeypatch):
    """What a user sets to reach the server."""
    whole = SETTINGS | {"AWS_ENDPOINT_URL": server}
    for name, value in whole.items():
        monkeypatch.setenv(name, value)
    return whole


@pytest.fixture
def bucket(environment, request):
    """A place of the test's own."""
    return place(f"s3://campaigns/{request.node.name.partition('[')[0]}/here")


def test_the_ledger_is_the_same_code(bucket):
    """Commit, read, compact, read: every row once, and nothing left beside."""
    fill(bucket, 0, 6)
    wanted = table.read_attempts(bucket)
    assert len(wanted) == 6
    assert compact(bucket) == 6
    assert table.read_attempts(bucket).equals(wanted)
    fill(bucket, 6, 2)
    assert len(Ledger(bucket).outcomes()) == 8
    assert compact(bucket) == 2
    assert keys(bucket) == [f"key-{number:04d}" for number in range(8)]
    assert names(bucket / LEDGER) == ["manifest.json"]
    assert len(names(bucket / LEDGER / MERGED)) == 2


def test_damage_is_set_aside_there_too(bucket, capsys):
    fill(bucket, 0, 2)
    victim = bucket / LEDGER / names(bucket / LEDGER)[0]
    write_durably(victim, victim.read_bytes()[:-9])
    with pytest.warns(UserWarning, match=victim.name):
        assert len(table.read(bucket)) == 1
    Ledger(bucket).mend()
    assert victim.name in capsys.readouterr().err
    assert names(bucket / LEDGER / ".set-aside") == [victim.name]
    assert len(table.read(bucket)) == 1


def test_one_driver_at_a_time(bucket):
    """Two that start at the same moment: at most one stays, and whoever comes later is told."""
    together, refused, over = threading.Barrier(2), [], threading.Event()

    def drive():
        together.wait()
        try:
            with lease(bucket):
                over.wait(20)
        except UserError as error:
            refused.append(str(error))

    drivers = [threading.Thread(target=drive) for _ in range(2)]
    for driver in drivers:
        driver.start()
    while not refused:
        time.sleep(0.1)
    with pytest.raises(UserError, match="another driver runs this campaign"), lease(bucket):
        pass
    over.set()
    for driver in drivers:
        driver.join()
    assert len(refused) == 1
    assert read(bucket) is None


def test_a_place_reaches_workers_with_its_keys(server):
    """Endpoint and keys travel with the place to a process that knows neither; no message shows them."""
    address = f"s3://user:pass%2Fword@campaigns/travel?scheme=http&endpoint_override={server.removeprefix('http://')}"
    sent = place(address, {})
    write_durably(sent / "file", b"content")
    arrived = pickle.loads(pickle.dumps(sent))
    assert (arrived / "file").read_bytes() == b"content"
    assert str(arrived) == "s3://campaigns/travel"


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("s3://no-such-bucket/x", "no bucket 'no-such-bucket'"),
        ("s3://campaigns/none", "no campaign here"),
        ("s3://campaigns/x?endpoint=1", "did you mean 'endpoint_override'"),
        ("s3://campaigns/x?scheme=http&endpoint_override=127.0.0.1:1", "127.0.0.1:1 gives no access"),
        ("s3://", "expected s3://bucket/prefix"),
        ("s3://campaigns/../x", "expected s3://bucket/prefix"),
        ("gs://campaigns/x", "expected a folder, or an object store as s3://bucket/prefix"),
    ],
)
def test_a_wrong_address_is_one_message(address, expected, environment, capsys):
    assert main(["status", address]) == 2
    printed = capsys.readouterr().err
    assert expected in printed
    assert printed.count("\n") == 1


def test_a_wrong_key_is_one_message(tmp_path):
    """A server that checks who asks (after the one request that makes the bucket)."""
    process, address = serve(tmp_path / "log", INITIAL_NO_AUTH_ACTION_COUNT="1")
    try:
        with pytest.raises(PlaceError, match=r"s3://campaigns/x: the object store at 127.0.0.1:\d+ gives no access"):
            place("s3://campaigns/x", SETTINGS | {"AWS_ENDPOINT_URL": address})
    finally:
        process.kill()
        process.wait()


def test_a_server_that_goes_away_is_one_message(tmp_path):
    """The address was good when the command began."""
    process, address = serve(tmp_path / "log")
    there = place("s3://campaigns/x", SETTINGS | {"AWS_ENDPOINT_URL": address})
    write_durably(there / "campaign.json", b'{"suite": {"name": "s"}, "protocol": 1}')
    assert len(read_attempts([there])) == 0
    process.kill()
    process.wait()
    with pytest.raises(UserError, match="s3://campaigns/x: cannot be read"):
        read_attempts([there])
    with pytest.raises(UserError, match="s3://campaigns/x: cannot be written"), lease(there):
        pass
    with pytest.raises(UserError, match="s3://campaigns/x: cannot be read"):
        Ledger(there).outcomes()


@pytest.mark.ray
def test_the_real_command_runs_there_and_every_command_reads_it(environment, pacbench, finished, small_suite, tmp_path):
    """Workers commit to the store and share its cache; scores are bitwise those of a run into a folder."""
    address = "s3://campaigns/real/small"
    process = pacbench("run", small_suite, "--out", address)
    assert process.returncode == 0, process.stderr
    assert isinstance(place(address), Bucket)
    assert scores(address) == scores(finished)
    assert "24 done; complete" in pacbench("status", address).stdout
    for command in (["leaderboard"], ["compare", "--candidate", "pac", "--baseline", "fine_tuning"]):
        assert main([command[0], address, *command[1:]]) == 0
    assert main(["export", address, str(tmp_path / "rows.parquet")]) == 0
    assert main(["report", address]) == 0
    assert set(names(place(address) / "report")) == {
        "report.html",
        "report.md",
        "report.tex",
        "leaderboard.csv",
        "leaderboard.parquet",
    }


def test_an_address_without_bucket_is_refused():
    with pytest.raises(PlaceError, match="expected s3://bucket/prefix"):
        place("s3:///x", {})
