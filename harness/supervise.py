"""The command survives the process that does its work.

Ray ends the process that holds it when its own servers are gone, and leaves some of its processes behind. So `run`
works in a child process. The parent loads nothing heavy, passes signals on, ends whatever the child left behind, and
starts another child where one ended without saying how: the campaign is resumed, as it would be by hand. Should the
parent be killed, the child sees it and ends as by Ctrl-C. Should both be, `harness.leftovers` ends the rest.

Both adopt the processes that their descendants leave behind (PR_SET_CHILD_SUBREAPER), so what belongs to a run is
known by descent, and nothing else can be hit.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree
from types import FrameType
from typing import NoReturn

from harness import leftovers

_SUBREAPER = 36
"""Option of prctl(2): PR_SET_CHILD_SUBREAPER."""
_PARENT_DEATH = 1
"""Option of prctl(2): PR_SET_PDEATHSIG."""

RESTARTS = 5
"""Children in a row that may end without a word and without a trial finished, before the command gives up."""

ENDING_SECONDS = 20.0
"""A child that was told to end gets this long to do so."""

CRASHED = 70
"""Exit status of a command whose every child ended without a word."""


class Crashed(Exception):  # noqa: N818 - what happened to this process, not what it did wrong
    """This process cannot go on, for no fault of the campaign; another one may."""


@dataclass(frozen=True)
class Child:
    """What the child may tell its parent; also its folder for temporary files, removed after it."""

    pipe: int
    scratch: Path

    def alive(self) -> None:
        """A trial has finished: what crashes from now on is a new misfortune."""
        os.write(self.pipe, b".")

    def crash(self) -> NoReturn:
        """End at once and without a word: the parent clears up and starts another child, which resumes."""
        os._exit(CRASHED)


def supervised(work: Callable[[Child], int]) -> int:
    """The exit status of `work`, done in a child process, and again in another where one is killed.

    To be called before threads exist. Two more Ctrl-C after the first end everything at once.
    """
    _prctl(_SUBREAPER, 1)
    signals = _Signals()
    crashes = 0
    while True:
        if signals.interrupted():
            return 130
        scratch = Path(tempfile.mkdtemp(prefix="pacbench-"))
        waiting = leftovers.watch(scratch)
        reading, writing = os.pipe()
        parent = os.getpid()
        child = os.fork()
        if child == 0:
            os.close(reading)
            _as_child(parent, Child(writing, scratch), work)
        os.close(writing)
        signals.pass_to(child)
        heard = _listen(reading)
        signals.pass_to(None)
        sweep()
        waiting.communicate()  # it deletes the folder, where the sweep has left it the time
        rmtree(scratch, ignore_errors=True)
        if heard[-1:] not in (b"", b"."):
            return heard[-1]
        if signals.interrupted():
            continue
        crashes = 1 if b"." in heard else crashes + 1
        if crashes > RESTARTS:
            print(f"pacbench: ended {crashes} times without finishing a trial; what is committed is kept, the same "
                  "command resumes", file=sys.stderr)  # fmt: skip
            return CRASHED
        wait = 2.0 ** (crashes - 1)
        print(f"\npacbench: the run was killed, or Ray ended it; it goes on in {wait:.0f} s", file=sys.stderr)
        time.sleep(wait)


def _as_child(parent: int, self: Child, work: Callable[[Child], int]) -> None:
    """Do the work and tell its exit status; never returns."""
    status = CRASHED
    try:
        os.setpgid(0, 0)  # the terminal's Ctrl-C goes to the parent, which passes it on: once
        signal.signal(signal.SIGINT, interrupt_once)
        signal.signal(signal.SIGTERM, interrupt_once)
        _prctl(_SUBREAPER, 1)
        threading.Thread(target=_follow, args=(parent,), daemon=True).start()
        status = work(self)
        sys.stdout.flush()
        sys.stderr.flush()
    except Crashed as error:
        print(f"\npacbench: {error}", file=sys.stderr)
        sweep()
        os._exit(CRASHED)
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else 1
    except BaseException:  # noqa: BLE001 - the child's end, whatever the reason
        sys.excepthook(*sys.exc_info())
        status = 1
    finally:
        with contextlib.suppress(OSError):
            sys.stderr.flush()
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # what Ray's threads say of its end is no news
        with contextlib.suppress(OSError):  # nobody may be left to hear it
            os.write(self.pipe, bytes([status]))  # first: Ray ends this process when its servers are gone
        sweep()
        if os.getppid() != parent:
            rmtree(self.scratch, ignore_errors=True)
        os._exit(status)


def interrupt_once(number: int, frame: FrameType | None) -> None:
    """Raise KeyboardInterrupt for the first signal, and ignore others; end the process if it does not end by itself."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise KeyboardInterrupt


def _follow(parent: int) -> None:
    """End this process as by Ctrl-C once its parent is gone, and by force if it does not end by itself."""
    while os.getppid() == parent:
        time.sleep(0.2)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(ENDING_SECONDS)
    sweep()
    os._exit(130)


class _Signals:
    """SIGINT and SIGTERM of the parent: passed to the child; a child that does not end, or a third one, ends all."""

    def __init__(self) -> None:
        self.count = 0
        self.child: int | None = None
        signal.signal(signal.SIGINT, self._receive)
        signal.signal(signal.SIGTERM, self._receive)
        signal.signal(signal.SIGALRM, self._receive)

    def interrupted(self) -> bool:
        return self.count > 0

    def pass_to(self, child: int | None) -> None:
        self.child = child
        if child is not None and self.count:
            os.kill(child, signal.SIGINT)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        self.count += 1
        if self.count > 2 or number == signal.SIGALRM:
            sweep()
        elif self.child is not None:
            signal.alarm(round(2 * ENDING_SECONDS))
            os.kill(self.child, signal.SIGINT)


def _listen(pipe: int) -> bytes:
    """What the child says until it tells its status or ends; the last bytes only. It is not waited for then: while it
    waits for a Ray that starts, which may have been ended, it does nothing else, for half a minute."""
    heard = b""
    while part := os.read(pipe, 4096):
        heard = (b"." if b"." in heard + part[:-1] else b"") + part[-1:]
        if part[-1:] != b".":
            break
    os.close(pipe)
    return heard


def sweep(seconds: float = 10.0) -> None:
    """Kill every descendant of this process, and theirs that they left behind; wait until they are gone."""
    deadline = time.monotonic() + seconds
    while (found := descendants()) and time.monotonic() < deadline:
        for process in found:
            try:
                os.kill(process, signal.SIGKILL)
            except OSError:
                continue
        _reap()
        time.sleep(0.02)
    _reap()


def descendants() -> list[int]:
    """The processes below this one that are not dead."""
    children: dict[int, list[int]] = {}
    dead = set()
    for entry in os.scandir("/proc") if os.path.isdir("/proc/self") else ():
        if entry.name.isdigit():
            try:
                fields = Path(entry.path, "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            children.setdefault(int(fields[1]), []).append(int(entry.name))
            if fields[0] in "ZX":
                dead.add(int(entry.name))
    found, todo = [], [os.getpid()]
    while todo:
        below = children.get(todo.pop(), [])
        todo += below
        found += below
    return [process for process in found if process not in dead]


def _reap() -> None:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            continue
    except ChildProcessError:
        return


def end_with_parent(number: int) -> bool:
    """Have the system send this signal when the process ends that started this one; False where it cannot be asked."""
    return _prctl(_PARENT_DEATH, number)


def _prctl(option: int, value: int) -> bool:
    """Where the system is not Linux these promises are not made."""
    try:
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)
    except (OSError, AttributeError):
        return False
    return True
