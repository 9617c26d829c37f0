"""Committed rows as runs of Weights & Biases, off the path of the trials: the only file that imports wandb.

Every run has an id derived from its row, so that a repeated export never makes a second one. What has been brought is
written down in DIR/export and skipped from then on. Without a key or a network the runs are files in DIR/export/wandb.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import itertools
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, TextIO

import pyarrow as pa

from harness.errors import UserError
from results.tracked import Tracked, run_ids, tracked_leaderboard, tracked_rows

FOLDER: Final = "export"
FORBIDDEN, LONGEST = "/\\#?%:", 128
INIT_SECONDS, FINISH_SECONDS, IN_A_ROW = 60.0, 120.0, 3
"""How long one run may take to begin and to end online, and how many in a row may fail before the export gives up."""


@dataclass(frozen=True)
class Exported:
    """What an export did. brought: new runs; known: runs that were there; refused: why others could not be brought.

    why: the reason where the runs are files, not online.
    """

    brought: int
    known: int
    online: bool
    why: str
    refused: tuple[str, ...]


def check(project: str, per_minute: float) -> None:
    """Raises: UserError if wandb is not installed, is switched off, or would refuse the project's name."""
    if not per_minute > 0:
        raise UserError(f"--wandb-per-minute {per_minute:g}: expected a positive number")
    if find_spec("wandb") is None:
        raise UserError("--wandb: wandb is not installed; `pip install 'pacbench[wandb]'` brings it")
    unfit = [character for character in project if character in FORBIDDEN or not character.isprintable()]
    if unfit or not project.strip() or len(project) > LONGEST:
        raise UserError(
            f"--wandb {_shown(project)}: expected a project's name of 1 to {LONGEST} printable characters, none of "
            f"{' '.join(FORBIDDEN)} (a team is named by the environment variable WANDB_ENTITY)"
        )
    if os.environ.get("WANDB_MODE") == "disabled" or os.environ.get("WANDB_DISABLED", "").lower() in ("true", "1"):
        raise UserError("--wandb: the environment switches wandb off (WANDB_MODE=disabled or WANDB_DISABLED)")


def export(
    folder: Path, project: str, campaign: dict[str, Any], rows: pa.Table, points: pa.Table, per_minute: float
) -> Exported:
    """Bring the rows that are not there yet, and the leaderboard where it changed, to the project.

    rows, points: as `results.table.read` and `results.curves.read` give them. per_minute: bound on runs sent online.
    Raises: UserError if the folder cannot be written, or another export of it is running.
    """
    target = folder / FOLDER
    ids, board = run_ids(project, campaign, rows), tracked_leaderboard(project, campaign, rows)
    try:
        with contextlib.redirect_stdout(sys.stderr), tempfile.TemporaryDirectory(prefix="pacbench-wandb-") as scratch:
            online, why = _connect(target / "wandb", scratch)
            target.mkdir(parents=True, exist_ok=True)
            with _record(target / _record_name(project, online)) as (record, known):
                new = [place for place, name in enumerate(ids) if f"{name} 1" not in known]
                runs = tracked_rows([ids[place] for place in new], rows.take(pa.array(new, pa.int64())), points)
                boards = [board] if board and f"{board.id} {board.version}" not in known else []
                pusher = _Pusher(project, Path(scratch) if online else target, online, per_minute)
                brought, refused = pusher.push_all(itertools.chain(runs, boards), record)
    except OSError as error:
        raise UserError(f"{target}: cannot be written ({error.strerror or error})") from error
    return Exported(brought, len(ids) - len(new), online, why, tuple(refused))


def _connect(files: Path, scratch: str) -> tuple[bool, str]:
    """Whether runs can be sent, and why not; wandb then writes `files`. Nobody is asked anything.

    wandb takes what is said here from the environment alone: as an argument, the mode asks for a key all the same.
    """
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        if not os.environ[name] or name in ("WANDB_SWEEP_ID", "WANDB_LAUNCH", "WANDB_SERVICE"):  # of a surrounding run
            del os.environ[name]
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    os.environ["WANDB_CACHE_DIR"] = os.environ["WANDB_DATA_DIR"] = scratch
    import wandb

    try:
        wandb.setup(_settings(x_graphql_retry_max=2))
    except (ValueError, wandb.Error) as error:
        raise UserError(f"--wandb: wandb cannot read its settings: {_one_line(error)}") from error
    why = "WANDB_MODE=offline" if os.environ.get("WANDB_MODE") in ("offline", "dryrun") else ""
    if not why:
        try:
            why = "" if wandb.login(prompt=False, verify=True) else "no key is set"
        except wandb.Error as error:
            why = _one_line(error)
    wandb.teardown()
    if why:
        os.environ["WANDB_MODE"], os.environ["WANDB_DATA_DIR"] = "offline", str(files)
    return not why, why


def _settings(**more: Any) -> Any:
    """wandb's settings: it reads nothing of this machine or process, prints nothing and waits for a bounded time."""
    import wandb

    return wandb.Settings(
        console="off",
        silent=True,
        save_code=False,
        disable_code=True,
        disable_git=True,
        disable_job_creation=True,
        x_disable_meta=True,
        x_disable_stats=True,
        x_disable_machine_info=True,
        x_save_requirements=False,
        init_timeout=INIT_SECONDS,
        finish_timeout=FINISH_SECONDS,
        finish_timeout_raises=True,
        **more,
    )


class _Pusher:
    """Sends runs one after the other, or writes them as files below `folder`."""

    def __init__(self, project: str, folder: Path, online: bool, per_minute: float) -> None:
        self.project, self.folder, self.online = project, folder, online
        self.pause = 60.0 / per_minute if online else 0.0
        self.files: dict[str, list[Path]] = {}
        for path in () if online else (folder / "wandb").glob("offline-run-*"):
            self.files.setdefault(path.name.rpartition("-")[2], []).append(path)

    def push_all(self, runs: Iterable[Tracked], record: TextIO) -> tuple[int, list[str]]:
        """Push runs and write down those that arrived: their number, and why the others did not.

        The record reaches the disk at the end: what a crash of the machine takes from it is pushed again, under the
        same ids.
        """
        import wandb

        wandb.setup(_settings())
        brought, refused, in_a_row = 0, [], 0
        for run in runs:
            started = time.monotonic()
            try:
                self._push(run)
            except Exception as error:  # noqa: BLE001 - what wandb raises is a run that did not arrive, and is named
                refused.append(f"{run.name}: {type(error).__name__}: {_one_line(error)}")
                in_a_row += 1
                if in_a_row == IN_A_ROW:
                    break
                continue
            in_a_row = 0
            brought += 1
            record.write(f"{run.id} {run.version}\n")
            record.flush()
            time.sleep(max(0.0, started + self.pause - time.monotonic()))
        os.fsync(record.fileno())
        with contextlib.suppress(Exception):  # raised where its service process has died; the runs have said so
            wandb.teardown()
        return brought, refused

    def _push(self, run: Tracked) -> None:
        """One run. Points that an earlier, interrupted export has sent are not sent again."""
        import wandb

        for stale in self.files.pop(run.id, []):
            shutil.rmtree(stale)
        ours = wandb.init(
            project=self.project,
            dir=str(self.folder),
            id=run.id,
            resume="allow",
            reinit="finish_previous",
            name=run.name,
            group=run.group,
            job_type=run.job_type,
            tags=run.tags,
            config=run.config,
            settings=_settings(),
        )
        for step, loss in run.curve:
            if step >= ours.starting_step:
                ours.log({"train/loss": loss}, step=step)
        if run.table is not None:
            header, lines = run.table
            ours.log({"leaderboard": wandb.Table(columns=list(header), data=[list(line) for line in lines])})
        ours.summary.update(run.summary)
        ours.finish(exit_code=int(run.failed))


@contextlib.contextmanager
def _record(path: Path) -> Iterator[tuple[TextIO, set[str]]]:
    """The file that lists what was brought, one `id version` a line, held against other exports, and its lines."""
    with path.open("a+", encoding="utf-8", errors="replace") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UserError(f"{path.parent}: another export to this project is running") from error
        file.seek(0)
        text = file.read()
        if text and not text.endswith("\n"):  # cut short by a crash
            file.write("\n")
        yield file, set(text.splitlines())


def _record_name(project: str, online: bool) -> str:
    """One record for the files, and one for each server and team that the project may live on."""
    place = [os.environ.get("WANDB_BASE_URL", ""), os.environ.get("WANDB_ENTITY", "")] if online else []
    digest = hashlib.sha256("\n".join([project, *place]).encode()).hexdigest()[:8]
    slug = re.sub(r"[^A-Za-z0-9_-]+", "_", project)[:80]
    return f"{'online' if online else 'offline'}-{slug}-{digest}.txt"


def _one_line(error: Exception) -> str:
    line = " ".join(str(error).split())
    return line if len(line) <= 300 else f"{line[:300]}…"


def _shown(text: str) -> str:
    return repr(text) if len(text) <= 100 else f"{text[:100]!r}… ({len(text)} characters)"
