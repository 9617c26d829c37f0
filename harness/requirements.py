"""The packages that this program asks for: which are installed, whether they work, and how to get them."""

from __future__ import annotations

import functools
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from harness.finding import Finding

NAME = "pacbench"
HOME = Path(__file__).resolve().parent.parent
MODULES = {"pillow": "PIL", "scikit-learn": "sklearn", "ray": "ray.tune"}
"""What to import of a package that is not called as it is."""
SECONDS = 180.0
"""In which all imports together must be done."""

PROBE = """
import importlib, json, sys, warnings
warnings.simplefilter("ignore")
for name in sys.argv[1:]:
    print(json.dumps(["begin", name]), flush=True)
    try:
        importlib.import_module(name)
        error = None
    except BaseException as caught:
        error = f"{type(caught).__name__}: {caught}"
    print(json.dumps(["end", name, error]), flush=True)
"""


@dataclass(frozen=True)
class Wanted:
    """A requirement: the package, the range of versions (as in `>=2.0`), and the extra that it belongs to."""

    package: str
    versions: str
    extra: str | None


def wanted() -> list[Wanted]:
    """Everything that the program declares, as it is installed or as its checkout says."""
    texts: list[tuple[str, str | None]]
    try:
        texts = [(text, None) for text in metadata.requires(NAME) or ()]
    except metadata.PackageNotFoundError:
        texts = _declared()
    found = []
    for text, extra in texts:
        parts = re.match(r"([\w.-]+)(?:\[[^\]]*\])?\s*([^;]*)(?:;.*extra\s*==\s*['\"]([\w-]+)['\"])?", text)
        if parts is not None:
            found.append(Wanted(parts[1].lower(), parts[2].strip(), parts[3] or extra))
    return found


def _declared() -> list[tuple[str, str | None]]:
    """The requirements in pyproject.toml, each with its extra. Raises: OSError where there is none."""
    project = tomllib.loads((HOME / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    optional = project["optional-dependencies"]
    return [
        *((text, None) for text in project["dependencies"]),
        *((t, extra) for extra in optional for t in optional[extra]),
    ]


def pip(extra: str | None = None) -> str:
    """The command that installs this program, with an extra or without."""
    bracket = f"[{extra}]" if extra else ""
    if folder := checkout() or (HOME if (HOME / "pyproject.toml").is_file() else None):
        constraints = folder / "constraints.txt"
        pinned = f"-c '{constraints}' " if constraints.is_file() else ""
        return f"{sys.executable} -m pip install {pinned}-e '{folder}{bracket}'"
    return f"{sys.executable} -m pip install '{NAME}{bracket}'"


def checkout() -> Path | None:
    """The folder that this program was installed from in place; None where it was not."""
    try:
        told = json.loads(metadata.distribution(NAME).read_text("direct_url.json") or "{}")
    except (metadata.PackageNotFoundError, ValueError):
        return None
    return Path(told["url"].removeprefix("file://")) if told.get("dir_info", {}).get("editable") else None


def installed(package: str) -> str | None:
    """The version that is installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def check(required: Sequence[Wanted], command: str) -> Iterator[Finding]:
    """Each package: there, new enough, and importable. command: how to install what lacks."""
    there = {one.package: installed(one.package) for one in required}
    broken = imported(tuple(MODULES.get(p, p.replace("-", "_")) for p, version in there.items() if version))
    for one in required:
        version, error = there[one.package], broken.get(MODULES.get(one.package, one.package.replace("-", "_")))
        if version is None:
            yield Finding(one.package, "missing", "not installed", command)
        elif error is not None:
            again = f"{sys.executable} -m pip install --force-reinstall '{one.package}{one.versions}'"
            yield Finding(one.package, "missing", f"{version}, but cannot be imported: {error}", again)
        elif not _fits(version, one.versions):
            yield Finding(one.package, "missing", f"{version}; {one.versions} is needed", command)
        else:
            yield Finding(one.package, "ok", version)


@functools.cache
def imported(modules: tuple[str, ...]) -> dict[str, str]:
    """What is wrong with each module that cannot be imported; tried in a process of its own, which may die of it."""
    wrong: dict[str, str] = {}
    left = list(modules)
    while left:
        command = [sys.executable, "-P", "-c", PROBE, *left]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, stdin=subprocess.DEVNULL)
            output, status = done.stdout, f"ends the process (status {done.returncode})"
        except subprocess.TimeoutExpired as error:
            output = error.stdout.decode() if isinstance(error.stdout, bytes) else error.stdout or ""
            status = f"not imported within {SECONDS:g} s"
        told = [json.loads(line) for line in output.splitlines() if line.startswith('["')]
        ended = {name: error for kind, name, *error in told if kind == "end"}
        wrong |= {name: error[0] for name, error in ended.items() if error[0]}
        died = next((name for kind, name, *_ in told if kind == "begin" and name not in ended), None)
        if died is None and len(ended) < len(left):
            died = next(name for name in left if name not in ended)
        if died is not None:
            wrong[died] = status
        left = left[left.index(died) + 1 :] if died is not None else []
    return wrong


def _fits(version: str, versions: str) -> bool:
    """Whether a version is in the range; taken to be where no library can tell."""
    try:
        from packaging.specifiers import SpecifierSet
    except ImportError:
        return True
    return SpecifierSet(versions).contains(version, prereleases=True)
