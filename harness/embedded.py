"""The Ray of a run that names no cluster: it lives on this machine, for this run alone.

It starts in a thread while the rest of the program is imported and the suite is read, since each takes seconds. The
run's own process (see harness/supervise.py) ends whatever is left of it.
"""

from __future__ import annotations

import concurrent.futures.thread  # noqa: F401 - before the thread: what this registers for forks must not come in one
import logging
import os
import tempfile
import threading
from pathlib import Path
from typing import Any

import ray

from harness.engines.allocator import round_alike
from harness.supervise import Crashed

LONGEST_SOCKET_FOLDER = 40
"""Characters of Ray's folder at most: a socket's path in it may have 107."""

QUIET: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.CRITICAL}
"""Of ray.init: Ray's own logs stay out of the terminal."""


class Embedded:
    """A local Ray that is starting. scratch: folder for what need not outlive the run."""

    def __init__(self, scratch: Path) -> None:
        prepare_environment()
        os.environ["TMPDIR"] = tempfile.tempdir = str(scratch)  # what this process and the workers leave goes with it
        self.scratch = scratch
        self.error: Exception | None = None
        self.started = threading.Event()
        threading.Thread(target=self._start, daemon=True).start()

    def ready(self) -> None:
        """Wait until Ray is there. Raises: Crashed if it did not start."""
        self.started.wait()
        if self.error is not None:
            raise Crashed(f"Ray did not start ({self.error})") from self.error

    def _start(self) -> None:
        folder = str(self.scratch) if len(str(self.scratch)) <= LONGEST_SOCKET_FOLDER else None
        try:
            ray.init("local", include_dashboard=False, _temp_dir=folder, **QUIET)
        except Exception as error:  # noqa: BLE001 - raised again where it is waited for
            self.error = error
        self.started.set()
        threading.Event().wait()  # for ever: the system ends Ray's servers with the thread that started them


def prepare_environment() -> None:
    """What Ray, Tune and the workers that start from here read from the environment."""
    round_alike()
    os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"
    os.environ["TUNE_DISABLE_SIGINT_HANDLER"] = "1"
    os.environ["RAY_AIR_NEW_OUTPUT"] = "0"
    # Ray's default of 15 starves the workers on a machine that does anything else.
    os.environ.setdefault("RAY_worker_niceness", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
