"""Running a suite from a program that goes on living: the command works in a process of its own.

A notebook's process has threads, which a fork would not survive, and Ray ends the process that holds it when its own
servers are gone. So nothing of the run happens here: the command is started as a new program, its words are passed on,
and it ends where this process ends (harness/attached.py).
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from harness import attached
from harness.cli import BAD_INPUT, INTERRUPTED
from harness.errors import PacbenchError, UserError
from pacbench import toml
from pacbench.campaigns import Campaign, status
from pacbench.rows import text_of
from pacbench.suites import Given, named, suite

BEGINNING = "pacbench: "
"""Of what the command says beside its progress."""
LONGEST = 50
"""Lines of a message."""


def run(
    given: Given,
    out: str | os.PathLike[str],
    settings: Mapping[str, object] | None = None,
    *,
    address: str | None = None,
    retry_failed: bool = False,
    progress: bool = True,
) -> Campaign:
    """Run a suite, or resume it: what is committed in ``out`` is never run again. Returns when all is done.

    ``out`` is a folder or `s3://bucket/prefix`. ``settings`` override the suite by dotted keys. ``address`` is a
    running Ray cluster; without one Ray starts here for this run. ``retry_failed`` runs final trials again that failed.
    ``progress`` passes the command's progress on to this process's stderr. Trials that failed are no exception: their
    rows say why, and so does the campaign that is returned.
    Raises: UserError for bad input, before anything is started; KeyboardInterrupt after Ctrl-C or a notebook's
    interrupt, once the run has ended cleanly (running it again resumes); PacbenchError where the run cannot go on.
    """
    where = text_of(out, "out")
    given, overrides = named(given, settings)
    with contextlib.ExitStack() as stack:
        if not isinstance(given, str):
            suite(given)  # its mistakes are told here by where they stand in the dictionary
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pacbench-suite-")))
            (folder / "suite.toml").write_text(toml.document(given), encoding="utf-8")
            given = str(folder / "suite.toml")
        command = ["run", given, "--out", where, *(part for one in overrides for part in ("--set", one))]
        command += [] if address is None else ["--address", address]
        command += ["--retry-failed"] if retry_failed else []
        code, said = _do(command, progress)
    if code == BAD_INPUT:
        raise UserError(said.removeprefix(BEGINNING).strip())
    if code == INTERRUPTED:
        raise KeyboardInterrupt
    if code not in (0, 1):
        raise PacbenchError(f"the run ended with status {code}; what is committed in {where} is kept. {said}".strip())
    return status(where)


def _do(command: list[str], progress: bool) -> tuple[int, str]:
    """Run the command; its exit status, and what it said last of all that was no progress."""
    here = [sys.executable, "-P", str(Path(attached.__file__).resolve()), str(os.getpid())]
    process = subprocess.Popen(  # no fork of this process's Python, and a group of its own: no Ctrl-C of a terminal
        [*here, *command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        text=True,
        encoding="utf-8",
        errors="replace",
    )
    said = _Words(progress)
    try:
        while True:
            try:
                for line in _lines(process):
                    said.hear(line)
                return process.wait(), said.last(process.returncode)
            except KeyboardInterrupt:
                process.send_signal(signal.SIGINT)  # it ends cleanly; a third one ends it at once
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()
        assert process.stdout is not None
        process.stdout.close()


def _lines(process: subprocess.Popen[str]) -> Iterator[str]:
    assert process.stdout is not None
    yield from process.stdout


class _Words:
    """What the command says, passed on as it comes; but its last message is held back, as it may be an error's."""

    def __init__(self, shown: bool) -> None:
        self.shown, self.held = shown, ""
        self.message: list[str] = []

    def hear(self, line: str) -> None:
        """One more line."""
        self._show(self.held)
        begins = line.startswith(BEGINNING)
        self.held = line if begins else ""
        self.message = [line] if begins else [*self.message[: LONGEST - 1], line]
        if not begins:
            self._show(line)

    def last(self, code: int) -> str:
        """The message that the command ended with, from its beginning on; shown unless it becomes an exception's."""
        if code != BAD_INPUT:
            self._show(self.held)
        return "".join(self.message).strip()

    def _show(self, text: str) -> None:
        if self.shown and text:
            sys.stderr.write(text)
            sys.stderr.flush()
