"""Every block of code in README and docs is run, page by page, each in a folder of its own; or it says why not."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tomllib
from argparse import Namespace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

from harness import hub, plan, suite
from harness.arguments import parser
from harness.campaign import Campaign
from harness.errors import UserError
from harness.import_mapping import mapping_of
from harness.known import known_methods, known_tasks, load_suite
from harness.packages import GROUPS
from results.parquet import conform
from tests.conftest import COMMAND
from tests.docs.pages import PAGES, REMARKS, ROOT, Block, blocks, commands

LANGUAGES = ("setup", "bash", "python", "toml", "yaml", "text")
STARTS_RAY = re.compile(r"pacbench (run|explore) |\$FIRST")
"""What a block holds that needs Ray, in its commands or for the campaign it begins with."""

FRAGMENT = {"name": "fragment", "tasks": ["friedman1"], "methods": ["fine_tuning"], "target_sizes": [25]}
"""What completes a block that shows part of a suite."""

SECONDS = 600
"""A block may take on a machine that does much else; alone the longest takes ten."""


def _pages(ray: bool) -> list[str]:
    return [page for page in PAGES if blocks(page) and any(map(_starts_ray, blocks(page))) == ray]


def _starts_ray(block: Block) -> bool:
    runs = block.language in ("bash", "setup") and "not run" not in block.remarks
    return runs and bool(STARTS_RAY.search(block.text))


@pytest.fixture(scope="session")
def quick(tmp_path_factory):
    """$QUICK: the published campaign of the suite `quick`, as if it had run here."""
    campaign = Campaign.open(tmp_path_factory.mktemp("quick") / "quick", load_suite("quick", []))
    campaign.ledger.commit(conform(pq.read_table(ROOT / "docs" / "results" / "quick" / "rows.parquet")))
    assert campaign.missing(plan.final_trials(campaign.suite, campaign.select())) == []
    return campaign.folder


@pytest.fixture(scope="session")
def first(quick, tmp_path_factory):
    """$FIRST: the folder that is there after the tutorial: `first.toml` and its campaign `runs/first`."""
    folder = tmp_path_factory.mktemp("tutorial")
    run_page("docs/tutorial.md", folder, {"QUICK": str(quick)})
    return folder


@pytest.mark.parametrize("page", _pages(ray=False))
def test_blocks_run(page, quick, tmp_path):
    run_page(page, tmp_path, {"QUICK": str(quick)})


@pytest.mark.ray
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("page", _pages(ray=True))
def test_blocks_run_with_ray(page, quick, first, tmp_path):
    """The tutorial has run once already, for the pages that begin with its campaign."""
    if page != "docs/tutorial.md":
        run_page(page, tmp_path, {"QUICK": str(quick), "FIRST": str(first)})


@pytest.mark.parametrize("page", PAGES)
def test_blocks_are_of_known_kinds(page):
    """A language on every fence, remarks that the tests know, each before a block; what is not run says why."""
    fences = re.findall(r"^[ \t>]*```", (ROOT / page).read_text("utf-8"), re.MULTILINE)
    assert len(fences) == 2 * sum(block.language != "setup" for block in blocks(page)), f"{page}: a fence is indented"
    for block in blocks(page):
        assert block.language in LANGUAGES, f"{block.where}: a fence of the language {block.language!r}"
        assert not set(block.remarks) - set(REMARKS), f"{block.where}: an unknown remark"
        assert "not run" not in block.remarks or len(block.remarks["not run"]) > 10, f"{block.where}: no reason"
        if block.language == "text":
            assert "output" in block.remarks, f"{block.where}: text that is no output"


def run_page(page: str, folder: Path, environment: dict[str, str]) -> None:
    """Run or check all blocks of a page in `folder`; each that runs must end as the page says."""
    (folder / ".venv").symlink_to(Path(sys.executable).parents[1])
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    whole = {**os.environ, **environment, "HOME": str(folder), "COLUMNS": "80", "WANDB_SILENT": "true"}
    whole |= {"PATH": f"{COMMAND.parent}:{os.environ['PATH']}", "PYTHONPATH": ":".join(paths)}
    printed = ""
    for block in blocks(page):
        if block.title:
            path = folder / block.title
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text + "\n", encoding="utf-8")
        if "not run" in block.remarks or block.language in ("toml", "yaml"):
            check(block, folder)
        elif block.language == "text":
            assert_shown(block, printed)
        elif block.language == "python" and not block.title:
            printed = execute(block, [sys.executable, "-W", "error", "-c", block.text], folder, whole)
        elif block.language in ("bash", "setup"):
            printed = execute(block, ["bash", "-eu", "-o", "pipefail", "-c", _with_arguments(block)], folder, whole)


def execute(block: Block, command: list[str], folder: Path, environment: dict[str, str]) -> str:
    """What the block prints."""
    process = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    expected = int(block.remarks.get("exit status", "0"))
    said = process.stdout + process.stderr
    assert process.returncode == expected, f"{block.where}: exit status {process.returncode}\n{said}"
    assert "Traceback" not in process.stderr, f"{block.where}\n{process.stderr}"
    return said


def _with_arguments(block: Block) -> str:
    """The block's text, with more arguments where a remark has some."""
    more = block.remarks.get("with", "")
    return re.sub(r"(?m)(pacbench run \S+)", rf"\1 {more}", block.text) if more else block.text


def assert_shown(block: Block, printed: str) -> None:
    """Every line of a block of output was printed, in this order; `…` stands for anything."""
    shown, real = ([" ".join(line.split()) for line in text.split("\n")] for text in (block.text, printed))
    if "any numbers" in block.remarks["output"]:
        number = re.compile(r"[−+-]?\d[\d,.]*(?:e[+-]?\d+)?( s| min| h)?\b")
        shown, real = ([number.sub("#", line) for line in lines] for lines in (shown, real))
        missing = [line for line in shown if not any(_matches(line, other) for other in real)]
    else:
        rest = iter(real)
        missing = [line for line in shown if not any(_matches(line, other) for other in rest)]
    assert not missing, f"{block.where}: not printed: {missing}\n{printed}"


def _matches(shown: str, real: str) -> bool:
    return re.fullmatch(".*".join(map(re.escape, shown.split("…"))), real) is not None


def check(block: Block, folder: Path) -> None:
    """What can be told of a block that does not run: syntax, names of options, and everything that a suite says."""
    if block.language == "bash":
        checked = subprocess.run(["bash", "-n", "-c", block.text], capture_output=True, text=True, check=False)
        assert checked.returncode == 0, f"{block.where}: {checked.stderr}"
        for command in commands(block):
            check_command(command, block.where)
        check_others(block)
    elif block.language == "python":
        compile(block.text, block.where, "exec")
    elif block.language == "yaml":
        assert yaml.safe_load(block.text), block.where
    elif block.language == "toml" and block.remarks.get("read as") == "a mapping":
        assert mapping_of(import_options(folder / block.title)), block.where
    elif block.language == "toml" and block.remarks.get("read as") == "part of a pyproject":
        declared = tomllib.loads(block.text)["project"]["entry-points"]
        assert set(declared) <= set(GROUPS.values()), block.where
    elif block.language == "toml":
        check_suite(block, folder)


def check_command(command: str, where: str) -> None:
    """The command line is one that the program takes."""
    try:
        parser().parse_args(shlex.split(command))
    except SystemExit:
        pytest.fail(f"{where}: pacbench {command}: not a command line of the program")


def check_others(block: Block) -> None:
    """Benchmarks know the options they are given, and the package the extras that are installed."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    for line in block.text.split("\n"):
        for extra in re.findall(r"pacbench\[(\w+)\]", line):
            assert extra in extras, f"{block.where}: there is no extra {extra}"
        if benchmark := re.search(r"benchmarks[/.](\w+)", line):
            source = (ROOT / "benchmarks" / f"{benchmark[1]}.py").read_text("utf-8")
            for option in re.findall(r"\s(--[a-z-]+)", line):
                assert f'"{option}"' in source, f"{block.where}: {benchmark[1]} has no {option}"


def import_options(path: Path) -> Namespace:
    return parser().parse_args(["import", "x.csv", "--out", "x", "--mapping", str(path)])


def check_suite(block: Block, folder: Path) -> None:
    """The suite reader takes the block, completed where it shows a part; places need not be there."""
    raw = tomllib.loads(block.text if "=" in block.text.split("{")[0] else f"tasks = [{block.text}]")
    if "tasks" in raw:
        for task in raw["tasks"]:
            for name, value in list(task.items()) if isinstance(task, dict) else ():
                if isinstance(value, str) and value.startswith(hub.PREFIX):
                    hub.parse(value)
                    task[name] = str(folder)
    try:
        suite.parse(FRAGMENT | raw, block.where, folder, known_methods(), known_tasks())
    except UserError as error:
        pytest.fail(f"{block.where}: {error}")


def test_there_are_few_that_do_not_run():
    """Most blocks run; this number may fall."""
    every = [block for page in PAGES for block in blocks(page) if block.language in ("bash", "python")]
    assert sum("not run" in block.remarks for block in every) <= len(every) // 3
