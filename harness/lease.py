"""The lease of a campaign: one driver at a time, others are told which, and a dead one's lease expires.

The driver writes who and where it is to ``lease.json`` and renews it. On the same machine a lease ends with its
process; elsewhere once it has not been renewed for LIFE seconds, and is then watched a while, since clocks differ.
In a folder two that start at once are kept apart by a lock on the folder; where there is no such lock, as in an object
store, each reads back after a while whether it is the one that stayed. Commands that only read need no lease.
"""

from __future__ import annotations

import fcntl
import getpass
import json
import os
import signal
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from harness.errors import UserError
from results.place import Place, explain, make_folder, write_durably

NAME: Final = "lease.json"

RENEW: Final = 5.0
LIFE: Final = 60.0
"""Seconds between renewals, and from the last one until the lease of a driver on another machine may be taken."""

SETTLE: Final = 2.0
"""Seconds after which a write by another that started at the same moment has arrived."""


@dataclass(frozen=True)
class Holder:
    """Who holds a lease: a driver's process, since when, and when it last said so (UTC, ISO 8601)."""

    id: str
    user: str
    host: str
    machine: str
    pid: int
    started: str
    since: str
    renewed: str

    def __str__(self) -> str:
        return f"{self.user} on {self.host}, process {self.pid}, since {self.since[:19].replace('T', ' ')} UTC"


def myself() -> Holder:
    """This process as a holder, from now on."""
    now = datetime.now(UTC).isoformat()
    pid = os.getpid()
    return Holder(uuid.uuid4().hex, _user(), socket.gethostname(), _machine(), pid, _started(pid), now, now)


class Lease:
    """A lease that this process holds."""

    def __init__(self, folder: Place, holder: Holder) -> None:
        self.folder, self.holder = folder, holder
        self.taken_by: Holder | None = None
        self.written = time.time()

    def held(self) -> bool:
        """Whether it is still ours beyond doubt: renewed lately, and nobody else's."""
        return self.taken_by is None and time.time() - self.written < LIFE / 2

    def renew(self) -> None:
        """Say that we are there; note it if another has taken the lease. Raises: OSError."""
        began = time.time()
        other = read(self.folder)
        if other is not None and other.id != self.holder.id:
            self.taken_by = other
        if self.taken_by is None:
            _write(self.folder, self.holder)
            self.written = began

    def release(self) -> None:
        """Give it back, if it is still ours."""
        try:
            other = read(self.folder)
            if other is not None and other.id == self.holder.id:
                (self.folder / NAME).unlink(missing_ok=True)
        except OSError:
            return  # it expires


@contextmanager
def lease(folder: Place) -> Iterator[Lease]:
    """Hold the lease of a campaign during the block; the folder is made where there is none.

    Raises: UserError if another driver holds it, or takes it because this one was silent too long; or if the place
    cannot be written.
    """
    try:
        held = _take(folder)
    except OSError as error:
        raise UserError(f"--out {folder}: cannot be written ({explain(error)})") from error
    over = threading.Event()
    renewing = threading.Thread(target=_renew, args=(held, over), name="lease", daemon=True)
    renewing.start()
    try:
        yield held
    except KeyboardInterrupt:
        if held.taken_by is not None:
            raise UserError(f"{folder}: this driver was silent too long, and {held.taken_by} took over") from None
        raise
    finally:
        over.set()
        renewing.join()
        held.release()


def read(folder: Place) -> Holder | None:
    """Who holds the lease of a campaign as far as its file says; None if nobody does, or the file is damaged."""
    path = folder / NAME
    try:
        if not path.is_file():
            return None
        content: dict[str, Any] = json.loads(path.read_bytes())
        holder = Holder(**{field.name: content[field.name] for field in fields(Holder)})
        datetime.fromisoformat(holder.renewed) + timedelta(0)
        texts = [getattr(holder, field.name) for field in fields(Holder) if field.name != "pid"]
        sound = type(holder.pid) is int and holder.pid > 0 and all(isinstance(text, str) for text in texts)
        return holder if sound and _aware(holder) else None
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, RecursionError, OverflowError):
        return None


def alive(holder: Holder) -> bool:
    """Whether a holder may still be at work."""
    if holder.machine == _machine() and holder.started:
        return _started(holder.pid) == holder.started
    return _age(holder) < LIFE


def _take(folder: Place) -> Lease:
    make_folder(folder)
    held = read(folder)
    if held is not None and not alive(held) and not (held.machine == _machine() and held.started):
        time.sleep(2 * RENEW)  # its clock may be behind ours: if it lives it has written by now
        if (again := read(folder)) is not None and again.id == held.id and again.renewed != held.renewed:
            _refuse(folder, again)
    with _alone(folder) as alone:
        held = read(folder)
        if held is not None and alive(held):
            _refuse(folder, held)
        mine = Lease(folder, myself())
        _write(folder, mine.holder)
    if not alone:
        time.sleep(SETTLE)
        held = read(folder)
        if held is None or held.id != mine.holder.id:
            _refuse(folder, held or mine.holder)
    return mine


def _refuse(folder: Place, holder: Holder) -> None:
    raise UserError(
        f"{folder}: another driver runs this campaign: {holder}. Wait for it or stop it; if its machine is gone,"
        f" its lease ends {LIFE:g} s after it was last renewed ({_age(holder):.0f} s ago)"
    )


@contextmanager
def _alone(folder: Place) -> Iterator[bool]:
    """Lock the folder for the block; False where that is not possible. The system lets go of it if we die."""
    if not isinstance(folder, Path):
        yield False
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            locked = True
        except OSError:
            locked = False
        yield locked
    finally:
        os.close(descriptor)


def _renew(held: Lease, over: threading.Event) -> None:
    while not over.wait(RENEW):
        try:
            held.renew()
        except OSError:
            continue  # the place does not answer; commits will say so if that lasts
        if held.taken_by is not None:
            os.kill(os.getpid(), signal.SIGINT)
            return


def _write(folder: Place, holder: Holder) -> None:
    renewed = {"renewed": datetime.now(UTC).isoformat()}
    write_durably(folder / NAME, (json.dumps(asdict(holder) | renewed, indent=1) + "\n").encode())


def _age(holder: Holder) -> float:
    return (datetime.now(UTC) - datetime.fromisoformat(holder.renewed)).total_seconds()


def _aware(holder: Holder) -> bool:
    return datetime.fromisoformat(holder.renewed).tzinfo is not None


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return f"user {os.getuid()}"


def _machine() -> str:
    """Where process numbers mean the same: a host since its start, or a container in it."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{socket.gethostname()} {boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return socket.gethostname()


def _started(pid: int) -> str:
    """When a process started, in the system's own ticks, since its number may be another's later; "" if it is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return "" if stat[0] in "ZX" else stat[19]
    except (OSError, IndexError):
        return ""
