"""Methods, tasks and suites of other packages: found, named with where they come from, skipped where broken."""

from __future__ import annotations

import dataclasses
import json
import sys

import pytest

from harness import packages, provenance
from harness.cluster import Request
from harness.known import known_methods
from harness.plan import facts
from harness.trial import describe
from harness.worker import Terms, unfit
from tasks import TASKS
from tests.harness.packages import METHOD, SUITE, declare, install, on_path
from tests.harness.test_bad_input import assert_refused
from tests.harness.test_isolation import make_trial

BROKEN = {
    "raises": ("import no_such_module\n", "ModuleNotFoundError: No module named 'no_such_module'"),
    "exits": ("raise SystemExit(3)\n", "SystemExit: 3"),
    "speaks": ("print('hello')\n1/0\n", "ZeroDivisionError"),
    "lacks": ("pass\n", "AttributeError"),
    "is_none": ("Mine = None\n", "None is not a class derived from Method"),
    "other_name": (METHOD.format(name="another"), "the entry point's name must be the class's, which is 'another'"),
    "no_default": (
        METHOD.format(name="no_default").replace("import dataclass", "import dataclass, field")
        + "    strength: float = field(kw_only=True)\n",
        "field 'strength' of class Mine has no default",
    ),
    "no_dataclass": ("from harness.method import Method\nclass Mine(Method):\n    name = 'x'\n", "frozen=True"),
}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder with a good package, one of suites, and one package for each way to be broken."""
    folder = tmp_path_factory.mktemp("site")
    install(folder, "good-package", {"methods": {"mine": "good:Mine"}}, "1.2.3", good=METHOD.format(name="mine"))
    for name, (text, _) in BROKEN.items():
        install(folder, f"broken-{name}", {"methods": {name: f"broken_{name}:Mine"}}, **{f"broken_{name}": text})
    install(folder, "gone", {"methods": {"gone": "no_such_module_either:Mine"}, "suites": {"all": "nothing_here"}})
    (folder / "suites_of_theirs").mkdir()
    (folder / "suites_of_theirs" / "theirs.toml").write_text(SUITE)
    (folder / "suites_of_theirs" / "not_utf8.toml").write_bytes(b"# \xff\n")
    entries = {"suites": {"folder": "suites_of_theirs", "file": "good:SUITE", "none": "good:NO_SUITE"}}
    install(folder, "suite-package", entries, "0.4")
    (folder / "one.toml").write_text(SUITE.replace("theirs", "one"))
    with (folder / "good.py").open("a") as file:
        file.write("\nimport pathlib\nSUITE = str(pathlib.Path(__file__).with_name('one.toml'))\nNO_SUITE = 7\n")
    return folder


def test_list_says_where_everything_comes_from_and_what_is_skipped(site, pacbench, tmp_path):
    """One table a kind; a broken package costs its own names, and is named on stderr with the reason."""
    process = pacbench("list", "--json", cwd=tmp_path, env=on_path(site))
    assert process.returncode == 0, process.stderr
    listed = json.loads(process.stdout)
    methods = {line["name"]: line for line in listed["methods"]}
    assert methods["mine"] == {
        "name": "mine",
        "version": "3",
        "package": "good-package",
        "package_version": "1.2.3",
        "summary": "A method of a package.",
    }
    assert methods["pac"]["package"] is None
    assert not set(BROKEN) & set(methods)
    suites = {line["name"]: line for line in listed["suites"]}
    assert suites["quick"]["package"] is None
    assert suites["one"]["package"] == suites["theirs"]["package"] == "suite-package"
    assert suites["theirs"]["summary"] == "A suite of a package."
    for name, (_, reason) in BROKEN.items():
        (said,) = (line for line in process.stderr.splitlines() if f"'{name}'" in line)
        assert said.startswith(f"pacbench: method {name!r} of package broken-{name} 1.0 is skipped: ")
        assert reason in said
    assert "suite 'none' of package suite-package 0.4 is skipped: good:NO_SUITE is neither" in process.stderr
    assert "suite 'all' of package gone 1.0 is skipped" in process.stderr
    assert "Traceback" not in process.stderr
    assert "hello" not in process.stdout
    shown = pacbench("list", "methods", cwd=tmp_path, env=on_path(site) | {"COLUMNS": "120"})
    assert "good-package 1.2.3" in shown.stdout
    assert "built-in" in shown.stdout


def test_a_suite_that_names_nothing_broken_is_planned(site, pacbench, tmp_path):
    """By its name, from the package that offers it."""
    process = pacbench("plan", "theirs", "--json", cwd=tmp_path, env=on_path(site))
    assert process.returncode == 0, process.stderr
    assert json.loads(process.stdout)["trials"] == 1
    assert "broken-raises 1.0 is skipped" in process.stderr


def test_a_suite_that_names_what_was_skipped_is_told_why(site, pacbench, tmp_path):
    (tmp_path / "mine.toml").write_text(SUITE.replace('"fine_tuning"', '"fine_tuning", "raises"'))
    process = pacbench("plan", tmp_path / "mine.toml", env=on_path(site))
    last = process.stderr.splitlines()[-1]
    assert last.startswith(
        f"pacbench: {tmp_path / 'mine.toml'}: methods[1]: method 'raises' of package broken-raises 1.0"
    )
    assert "No module named 'no_such_module'" in last
    assert process.returncode == 2
    assert process.stdout == ""
    assert "Traceback" not in process.stderr


def test_an_unknown_suite_may_be_one_of_a_skipped_package(site, pacbench, tmp_path):
    last = pacbench("plan", "thiers", cwd=tmp_path, env=on_path(site)).stderr.splitlines()[-1]
    assert "unknown suite 'thiers'; did you mean 'theirs'?" in last
    assert "suite 'all' of package gone 1.0 is skipped" in last


@pytest.mark.parametrize("taken", ["theirs_and_ours", "pac"])
def test_a_name_that_two_packages_claim_is_an_error_where_it_is_used(taken, pacbench, tmp_path):
    """Both are named; what does not use the name works. A built-in name is no exception: one name, one method."""
    site = tmp_path / "site"
    install(site, "first", {"methods": {taken: "first:Mine"}}, "1.0", first=METHOD.format(name=taken))
    if taken != "pac":
        install(site, "second", {"methods": {taken: "second:Mine"}}, "2.0", second=METHOD.format(name=taken))
    both = ("the built-in one" if taken == "pac" else "package second 2.0", "package first 1.0")
    (tmp_path / "good.toml").write_text(SUITE)
    process = pacbench("plan", tmp_path / "good.toml", env=on_path(site))
    assert process.returncode == 0, process.stderr
    assert all(name in process.stderr for name in (f"method '{taken}' is claimed by", *both))
    assert pacbench("list", env=on_path(site)).returncode == 0
    (tmp_path / "bad.toml").write_text(SUITE.replace("fine_tuning", taken))
    refused = pacbench("plan", tmp_path / "bad.toml", env=on_path(site))
    assert_refused(refused)
    last = refused.stderr.splitlines()[-1]
    assert all(name in last for name in ("methods[0]", *both, "uninstall"))


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """The class of an installed package, in this process, and its folder."""
    site = tmp_path / "site"
    install(site, "my-package", {"methods": {"mine": "my_module:Mine"}}, "1.0", my_module=METHOD.format(name="mine"))
    monkeypatch.syspath_prepend(str(site))
    _forget()
    yield known_methods()["mine"], site
    sys.modules.pop("my_module", None)
    monkeypatch.undo()
    _forget()


def _forget():
    known_methods.cache_clear()
    packages.plugin_of.cache_clear()
    packages.code_hash.cache_clear()


def test_rows_name_the_package_of_their_method_and_no_other(mine):
    """Its name and version are among the row's versions; a trial of built-in parts has what it always had."""
    cls, _ = mine
    task = TASKS["friedman1"]()
    row = describe(make_trial(task, cls()))
    assert row["versions"] == provenance.versions() | {"my-package": "1.0"}
    built_in = describe(make_trial(task, known_methods()["pac"]()))
    assert built_in["versions"] == provenance.versions()
    assert row["data_hash"] == facts(task).data_hash


def test_a_node_with_another_plugin_is_refused(mine, tmp_path):
    """Another version, other code under the same version, or none: in words; the same: fit."""
    cls, site = mine
    (tmp_path / "campaign.json").write_bytes(b"{}")
    versions = provenance.versions() | provenance.arithmetic()
    terms = Terms(tmp_path, b"{}", versions, Request(1, 0, 0), False, packages.plugins_of(cls, TASKS["friedman1"]))
    assert [plugin.name for plugin in terms.plugins] == ["mine"]
    assert unfit(terms) is None
    declare(site, "my-package", {"methods": {"mine": "my_module:Mine"}}, "1.1")
    _forget()
    assert "comes from my-package 1.1, where the command runs from my-package 1.0" in unfit(terms)
    declare(site, "my-package", {"methods": {"mine": "my_module:Mine"}}, "1.0")
    (site / "my_module.py").write_text(METHOD.format(name="mine") + "# edited\n")
    _forget()
    assert "has other code than where the command runs" in unfit(terms)
    declare(site, "my-package", {})
    _forget()
    assert "method 'mine' of package my-package 1.0 is not there" in unfit(terms)
    assert unfit(dataclasses.replace(terms, plugins=())) is None
