"""This machine as a run would find it: processors, memory, limits, folders, text. Imports nothing heavy."""

from __future__ import annotations

import os
import resource
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from harness.finding import Finding

GROUPS = Path("/sys/fs/cgroup")
SHARED = Path("/dev/shm")
LEAST_FREE = 500_000_000
"""Bytes for Ray's files, as a run asks for."""
LEAST_MEMORY = 2_000_000_000
"""Bytes that Ray and one worker take, roughly."""
LEAST_SHARED = 200_000_000
LEAST_FILES = 1024


def processors() -> Iterator[Finding]:
    """CPUs that this process may use, by affinity and by the control group's quota."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _quota()
    found = f"{allowed} usable of {os.cpu_count()}"
    if quota is not None and quota < allowed:
        cure = f"a run starts {allowed} workers; set resources.cpus so that no more than {quota:g} run at once"
        yield Finding("processors", "note", f"{found}, but a quota of {quota:g}", cure)
    else:
        yield Finding("processors", "ok", found)


def _quota() -> float | None:
    """CPUs that the control group grants, version 2 or 1."""
    if text := _read(GROUPS / "cpu.max"):
        most, _, period = text.partition(" ")
        return None if most == "max" else int(most) / int(period)
    granted, each = _read(GROUPS / "cpu/cpu.cfs_quota_us"), _read(GROUPS / "cpu/cpu.cfs_period_us")
    return int(granted) / int(each) if granted and each and int(granted) > 0 else None


def memory() -> Iterator[Finding]:
    """Memory of the machine, what is free of it, and the limits on this process."""
    known = {}
    for line in (_read(Path("/proc/meminfo")) or "").splitlines():
        name, _, amount = line.partition(":")
        known[name] = int(amount.split()[0]) * 1024 if amount.split() else 0
    total, free = known.get("MemTotal"), known.get("MemAvailable")
    if total is None or free is None:
        yield Finding("memory", "note", "not known: no /proc/meminfo here")
        return
    group = _read(GROUPS / "memory.max") or _read(GROUPS / "memory/memory.limit_in_bytes")
    limits = {"the control group's limit": int(group) if group and group.isdigit() else None}
    for letter, kind in (("v", resource.RLIMIT_AS), ("d", resource.RLIMIT_DATA)):
        soft = resource.getrlimit(kind)[0]
        limits[f"ulimit -{letter}"] = None if soft == resource.RLIM_INFINITY else soft
    binding = {name: limit for name, limit in limits.items() if limit is not None and limit < total}
    found = f"{_gigabytes(free)} free of {_gigabytes(total)}"
    found += "".join(f", {name} {_gigabytes(limit)}" for name, limit in binding.items())
    if min([free, *binding.values()]) < LEAST_MEMORY:
        yield Finding("memory", "note", found, f"Ray and a worker take {_gigabytes(LEAST_MEMORY)} or more")
    else:
        yield Finding("memory", "ok", found)


def folders() -> Iterator[Finding]:
    """The folder for temporary files, where Ray works, the current one, and shared memory."""
    temporary = Path(tempfile.gettempdir())
    free = shutil.disk_usage(temporary).free
    found = f"{temporary}, {_gigabytes(free)} free"
    if free < LEAST_FREE:
        cure = f"free some, or set TMPDIR to a folder with {_gigabytes(LEAST_FREE)}"
        yield Finding("temporary files", "missing", found, cure)
    else:
        yield Finding("temporary files", "ok", found)
    here = Path.cwd()
    found = f"{here}, {_gigabytes(shutil.disk_usage(here).free)} free"
    if os.access(here, os.W_OK):
        yield Finding("current folder", "ok", found)
    else:
        yield Finding("current folder", "note", f"{found}, not writable", "give --out another folder")
    if SHARED.is_dir():
        room = shutil.disk_usage(SHARED).total
        small = room < LEAST_SHARED
        more = "start the container with more, as in --shm-size=2g" if small else None
        yield Finding("shared memory", "note" if small else "ok", f"{SHARED}, {_gigabytes(room)}", more)


def limits() -> Iterator[Finding]:
    """Open files, and what letters the terminal takes."""
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    few = 0 <= files < LEAST_FILES
    yield Finding("open files", "note" if few else "ok", f"up to {files}", f"ulimit -n {LEAST_FILES}" if few else None)
    encoding = (sys.stdout.encoding or "ascii").lower()
    plain = "utf" not in encoding
    cure = "export PYTHONIOENCODING=utf-8" if plain else None
    yield Finding("text", "note" if plain else "ok", f"written as {encoding}", cure)


def _read(path: Path) -> str | None:
    try:
        return path.read_text().strip()
    except OSError:
        return None


def _gigabytes(amount: int) -> str:
    return f"{amount / 1e9:.1f} GB"
