"""What is installed is whole: a wheel of the files that the container takes has all that its commands need."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

HOME = Path(__file__).parents[2]
CONTAINER = (HOME / "Containerfile").read_text().replace("\\\n", " ")
PROJECT = tomllib.loads((HOME / "pyproject.toml").read_text())


@pytest.fixture(scope="module")
def copied(tmp_path_factory):
    """The folder that the container builds in: what its COPY lines take, and no more."""
    folder = tmp_path_factory.mktemp("container")
    for line in re.findall(r"^COPY (.+)$", CONTAINER, re.MULTILINE):
        *sources, target = line.split()
        for source in sources:
            if (HOME / source).is_dir():
                ignored = shutil.ignore_patterns("__pycache__")
                shutil.copytree(HOME / source, folder / target, ignore=ignored)
            else:
                shutil.copy(HOME / source, folder / target)
    return folder


@pytest.fixture(scope="module")
def installed(copied, tmp_path_factory):
    """installed(...): the command of a wheel that was built there and installed into a folder of its own."""
    folder = tmp_path_factory.mktemp("installed")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-cache-dir"]
    quiet = ["--quiet", "--no-deps", "--no-index"]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    build = [*pip, "wheel", *quiet, "--no-build-isolation", "-w", str(folder), "."]
    subprocess.run(build, check=True, cwd=copied, env=environment)
    (wheel,) = folder.glob("*.whl")
    subprocess.run([*pip, "install", *quiet, "--target", str(folder / "site"), str(wheel)], check=True, env=environment)
    environment["PYTHONPATH"] = str(folder / "site")

    def run(*arguments):
        command = [str(folder / "site" / "bin" / "pacbench"), *map(str, arguments)]
        return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)

    run.site, run.environment = folder / "site", environment
    return run


def test_a_board_is_known_by_name(installed, tmp_path):
    """Rows of the board's own, under another label, pair with all of the board; nothing is read from the checkout."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    rows = pq.read_table(installed.site / "results" / "published" / "standard" / "rows.parquet")
    mine = rows.filter(pc.equal(rows["label"], "pac"))
    mine = mine.set_column(mine.column_names.index("label"), "label", pa.array(["mine"] * len(mine)))
    pq.write_table(mine, tmp_path / "mine.parquet")
    asked = ("compare", tmp_path / "mine.parquet", "--candidate", "mine", "--baseline", "fine_tuning", "--json")
    process = installed(*asked, "--board", "standard")
    assert process.returncode == 0, process.stderr
    records = json.loads(process.stdout)
    assert records[0]["trials"] == 18 * 3 * 20
    assert records[0]["unpaired"] == {}
    assert records[0]["tasks"] == 16
    process = installed(*asked, "--board", "standart")
    assert process.returncode == 2
    assert "did you mean 'standard'?" in process.stderr
    assert installed(*asked, "--board", "./standard").returncode == 2, "a folder, and there is none"


def test_the_report_has_its_templates(installed, tmp_path):
    board = installed.site / "results" / "published" / "quick" / "rows.parquet"
    process = installed("report", board, "--out", tmp_path / "report")
    assert process.returncode == 0, process.stderr
    assert "Leaderboard" in (tmp_path / "report" / "report.html").read_text()
    assert installed("list", "suites").stdout.count("standard") == 1


def test_types_are_for_others_too(installed, tmp_path):
    """mypy finds the types of the installed package in a program that is none of ours."""
    program = tmp_path / "program.py"
    program.write_text("import pacbench\nreveal_type(pacbench.compare('a', 'pac', 'lora').verdict)\n")
    command = [sys.executable, "-P", "-m", "mypy", "--strict", "--cache-dir", os.devnull, "program.py"]
    environment = installed.environment | {"MYPYPATH": ""}
    process = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert 'Revealed type is "str | None"' in process.stdout or 'Union[builtins.str, None]"' in process.stdout, (
        process.stdout
    )
    assert "untyped" not in process.stdout


def test_the_container_follows_the_project():
    """Python's version, the pins, the extras and the packages that the container names are the project's."""
    python = re.search(r"^FROM docker\.io/library/python:(\d+)\.(\d+)", CONTAINER, re.MULTILINE)
    least = re.fullmatch(r">=(\d+)\.(\d+)", PROJECT["project"]["requires-python"])
    assert tuple(map(int, python.groups())) >= tuple(map(int, least.groups()))
    (install,) = re.findall(r"^RUN pip install .+$", CONTAINER, re.MULTILINE)
    assert "-c constraints.txt" in install
    extras = re.search(r'"\.\[([\w,-]+)\]"', install)[1].split(",")
    assert set(extras) <= set(PROJECT["project"]["optional-dependencies"])
    pinned = {line.split("==")[0].lower() for line in (HOME / "constraints.txt").read_text().splitlines()}
    wanted = [
        *PROJECT["project"]["dependencies"],
        *(r for e in extras for r in PROJECT["project"]["optional-dependencies"][e]),
    ]
    assert [name for one in wanted if (name := re.match(r"[\w.-]+", one)[0].lower()) not in pinned] == []
    assert 'ENTRYPOINT ["pacbench"]' in CONTAINER
