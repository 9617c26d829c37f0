"""The installed package that a method or task comes from: its name, its version and a hash of its code."""

from __future__ import annotations

import functools
import hashlib
import sys
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

OURS = ("harness", "methods", "tasks", "results", "suites")
"""This program's own import packages; whatever they hold is built in."""

GROUPS = {"methods": "pacbench.methods", "tasks": "pacbench.tasks", "suites": "pacbench.suites"}
"""Entry points by which an installed package offers methods, tasks and suites."""


@dataclass(frozen=True)
class Package:
    """An installed package. code: hash of its Python files, 12 hex digits; empty where it is not asked for."""

    name: str
    version: str
    code: str = ""

    def __str__(self) -> str:
        return f"{self.name} {self.version}".strip()


BUILT_IN = Package("built-in", "")


@dataclass(frozen=True)
class Plugin:
    """A method or task of an installed package, by the entry point that offers it."""

    group: str
    name: str
    package: Package


def declared(group: str) -> list[metadata.EntryPoint]:
    """The entry points of a group; of a package installed twice those that Python would import."""
    return list(metadata.entry_points(group=group))


def package_of_entry(entry: metadata.EntryPoint) -> Package:
    """The package that declares an entry point."""
    if entry.dist is None:
        return Package("of no name", "")
    return Package(str(entry.dist.name), str(entry.dist.version))


@functools.lru_cache(maxsize=256)
def plugin_of(cls: type) -> Plugin | None:
    """The plug-in that a method's or task's class is; None for a built-in class and for a file's."""
    top, name = cls.__module__.partition(".")[0], getattr(cls, "name", "")
    if top in OURS or top.startswith("pacbench_file_"):
        return None
    for group in (GROUPS["methods"], GROUPS["tasks"]):
        found = find(group, name)
        if found is not None and found[0] is cls:
            return found[1]
    return None


def find(group: str, name: str) -> tuple[object, Plugin] | None:
    """What the entry point of that name gives here, and the plug-in it is; None where it is not there or broken."""
    for entry in declared(group):
        if entry.name == name:
            try:
                value = entry.load()
            except (Exception, SystemExit):  # noqa: BLE001 - somebody else's code
                continue
            package = package_of_entry(entry)
            code = code_hash(getattr(value, "__module__", entry.module))
            return value, Plugin(group, name, Package(package.name, package.version, code))
    return None


def plugins_of(*classes: type) -> tuple[Plugin, ...]:
    """Those of the classes that are plug-ins, each once, in the order of their packages' names."""
    found = {plugin for cls in classes if (plugin := plugin_of(cls)) is not None}
    return tuple(sorted(found, key=lambda plugin: (plugin.package.name, plugin.group, plugin.name)))


def versions_of(*classes: type) -> dict[str, str]:
    """The packages that the classes come from, and their versions; empty if all are built in or files'."""
    return {plugin.package.name: plugin.package.version for plugin in plugins_of(*classes)}


def difference(wanted: Plugin) -> str | None:
    """How a plug-in is another one here, in words; None if it is the same."""
    found = find(wanted.group, wanted.name)
    package, kind = wanted.package, wanted.group.removeprefix("pacbench.").removesuffix("s")
    if found is None:
        return f"{kind} {wanted.name!r} of package {package} is not there, or cannot be loaded"
    here = found[1].package
    if (here.name, here.version) != (package.name, package.version):
        return f"{kind} {wanted.name!r} comes from {here}, where the command runs from {package}"
    if here.code != package.code:
        return f"package {package} has other code than where the command runs, under the same version"
    return None


@functools.lru_cache(maxsize=64)
def code_hash(module: str) -> str:
    """Hash of the Python files of the top-level package that a module lies in, or of its one file.

    Of a namespace package, which several installed packages may share, only the part around the module counts.
    """
    top = sys.modules.get(module.partition(".")[0])
    held = top if getattr(top, "__file__", None) else sys.modules.get(module)
    file = getattr(held, "__file__", None)
    if file is None:
        return ""
    path = Path(file)
    alone = held is top and not hasattr(held, "__path__")
    hashed = hashlib.sha256()
    for one in [path] if alone else sorted(path.parent.rglob("*.py")):
        hashed.update(f"{one.relative_to(path.parent)}\0".encode() + one.read_bytes())
    return hashed.hexdigest()[:12]
