"""Installed packages for tests, written by hand: a module and the metadata that pip would leave beside it."""

from __future__ import annotations

import os

METHOD = '''
from dataclasses import dataclass
from harness.method import Method, Objective

@dataclass(frozen=True)
class Mine(Method):
    """A method of a package."""
    name = "{name}"
    version = "3"
    paper = "none"

    def adapt(self, network, target, fit):
        return Objective(network, target.loss)
'''

SUITE = """# A suite of a package.
name = "theirs"
tasks = ["friedman1"]
methods = ["fine_tuning"]
target_sizes = [10]
tuning = { configs = 1 }
final = { seeds = 1 }
budget = { steps = 5 }
"""


def install(folder, package, entries, version="1.0", **modules):
    """Put a package into a folder; entries: groups of entry points; modules: the text of each."""
    folder.mkdir(exist_ok=True)
    for module, text in modules.items():
        (folder / f"{module}.py").write_text(text)
    declare(folder, package, entries, version)


def declare(folder, package, entries, version="1.0"):
    """The metadata of a package, in place of what was there."""
    meta = folder / f"{package.replace('-', '_')}.dist-info"
    meta.mkdir(exist_ok=True)
    (meta / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n")
    groups = [f"[pacbench.{group}]\n" + "".join(f"{n} = {v}\n" for n, v in of.items()) for group, of in entries.items()]
    (meta / "entry_points.txt").write_text("\n".join(groups))


def on_path(*folders):
    """An environment in which Python finds what lies in these folders."""
    return {"PYTHONPATH": os.pathsep.join([*map(str, folders), *filter(None, [os.environ.get("PYTHONPATH")])])}
