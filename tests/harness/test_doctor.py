"""The doctor says what works, what is missing for what, and how to get it; and is never ill itself."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from harness import doctor, hub, requirements
from harness.finding import looked_at

HOME = Path(__file__).parents[2]


def by_name(findings):
    return {finding.name: finding for finding in findings}


@pytest.mark.ray
def test_a_machine_that_works(pacbench, tmp_path):
    """Here everything of the core is there; each feature is available, or says how to get what it lacks."""
    process = pacbench("doctor", "--json", cwd=tmp_path)
    assert process.returncode == 0, process.stdout + process.stderr
    found = json.loads(process.stdout)
    assert found["works"]
    core = {finding["name"]: finding for finding in found["core"]}
    required = {one.package for one in requirements.wanted() if one.extra is None}
    assert required <= set(core)
    assert {core[name]["state"] for name in (*required, "python", "ray starts", "temporary files")} == {"ok"}
    features = {feature["name"]: feature for feature in found["features"]}
    assert {"figures", "object stores", "deepspeed", "transformers", "wandb", "without a network"} <= set(features)
    assert features["figures"]["available"]
    assert features["transformers"]["available"]
    for feature in features.values():
        assert feature["available"] != any(finding["state"] == "missing" for finding in feature["findings"])
        assert all(finding["cure"] for finding in feature["findings"] if finding["state"] == "missing")


@pytest.mark.ray
def test_a_broken_machine_is_told_and_no_traceback(tmp_path):
    """A package that cannot be imported, one that ends the process, one that is too old; exit status 1."""
    for name, code in {"scipy": "raise ImportError('libgfortran is missing')", "PIL": "import os; os._exit(3)"}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(code)
    old = tmp_path / "jinja2-2.0.dist-info"
    old.mkdir()
    (old / "METADATA").write_text("Metadata-Version: 2.1\nName: jinja2\nVersion: 2.0\n")
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{HOME}", "PYTHONIOENCODING": "ascii"}
    command = [sys.executable, "-P", "-m", "harness.cli", "doctor"]
    process = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=280)
    assert process.returncode == 1
    assert process.stderr == ""
    said = process.stdout
    assert said.startswith("pacbench does not work here\n")
    assert re.search(r"x scipy .*libgfortran is missing\n .*pip install --force-reinstall 'scipy", said)
    assert re.search(r"x pillow .*ends the process \(status 3\)", said)
    assert re.search(r"x jinja2 .*2\.0; >=3", said)
    assert re.search(r"\n  numpy ", said), "what comes after a package that ends the process is looked at all the same"
    assert re.search(r"! text +written as ascii", said)


def test_a_machine_with_nothing_installed_is_told_how_to_install(tmp_path):
    """Python alone, without any package of others, not even its own entry in the list of installed ones."""
    program = f"import sys; sys.path.insert(0, {str(HOME)!r}); from harness.cli import main; "
    program += "sys.exit(main(['doctor', '--json']))"
    command = [sys.executable, "-I", "-S", "-c", program]
    process = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=280)
    assert process.returncode == 1
    assert process.stderr == ""
    core = {finding["name"]: finding for finding in json.loads(process.stdout)["core"]}
    assert core["torch"]["state"] == "missing"
    assert core["torch"]["cure"].endswith(f"-m pip install -c '{HOME}/constraints.txt' -e '{HOME}'")


def test_what_was_prefetched_is_looked_at(tmp_path, monkeypatch):
    """Not set, no manifest, a damaged file, a whole one."""
    monkeypatch.delenv(hub.VARIABLE, raising=False)
    assert by_name(doctor.offline())[hub.VARIABLE].state == "missing"
    monkeypatch.setenv(hub.VARIABLE, str(tmp_path))
    assert "cannot be read" in by_name(doctor.offline())[hub.VARIABLE].found
    name = "hub:owner/model@main"
    path = tmp_path / hub.parse(name).folder / "config.json"
    path.parent.mkdir(parents=True)
    path.write_text("{}")
    entry = {"commit": "c", "parts": [""], "files": {"config.json": {"bytes": 2, "sha256": "s"}}}
    (tmp_path / hub.MANIFEST).write_text(json.dumps({name: entry}))
    assert by_name(doctor.offline())[hub.VARIABLE].state == "ok"
    path.write_text("{")
    assert "has 1 bytes" in by_name(doctor.offline())[hub.VARIABLE].found


def test_looking_may_fail(tmp_path):
    """What no machine was thought to do becomes a note."""
    (found,) = looked_at("anything", lambda: iter([1 / 0]))
    assert (found.name, found.state) == ("anything", "note")
    assert "ZeroDivisionError" in found.found
