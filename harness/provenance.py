"""Which code, versions and machine stand behind a number."""

from __future__ import annotations

import functools
import hashlib
import os
import platform
import socket
import subprocess
from importlib import metadata
from pathlib import Path

import torch

PACKAGES = (
    "pacbench",
    "torch",
    "ray",
    "numpy",
    "scipy",
    "pyarrow",
    "scikit-learn",
    "statsmodels",
    "transformers",
    "deepspeed",
)


@functools.cache
def versions() -> dict[str, str]:
    """Versions of Python and of the packages that can move a number; a package that is not installed is left out."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


@functools.cache
def source_commit() -> tuple[str | None, bool | None]:
    """(commit, dirty) of the checkout this program runs from; (None, None) where it is installed without one."""
    here = Path(__file__).resolve().parent.parent
    if not (here / ".git").exists():
        return None, None
    try:
        commit = _git(here, "rev-parse", "HEAD")
        return commit.strip(), bool(_git(here, "status", "--porcelain").strip())
    except (OSError, subprocess.SubprocessError):
        return None, None


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=10).stdout


@functools.cache
def host() -> str:
    """The machine's name."""
    return socket.gethostname()


@functools.cache
def device_name(kind: str) -> str:
    """What the device calls itself, for instance `cpu: Intel(R) Xeon(R) Processor`."""
    if kind == "cuda":
        return f"cuda: {torch.cuda.get_device_name()}"
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"cpu: {models[0] if models else platform.processor() or platform.machine()}"


@functools.cache
def arithmetic() -> dict[str, str]:
    """What else must be equal wherever trials of one campaign run: this program's own code, and MKL's rounding."""
    return {"code": source_hash()[:12], "MKL_CBWR": os.environ.get("MKL_CBWR", "not set")}


@functools.cache
def source_hash() -> str:
    """Hash of the Python files of this program."""
    home = Path(__file__).resolve().parent.parent
    hashed = hashlib.sha256()
    for package in ("harness", "methods", "results", "tasks"):
        for path in sorted((home / package).rglob("*.py")):
            hashed.update(f"{path.relative_to(home)}\0".encode() + path.read_bytes())
    return hashed.hexdigest()
