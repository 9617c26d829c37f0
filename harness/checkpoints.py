"""Checkpoints inside a trial: folders that appear whole, and go when the trial has its row."""

from __future__ import annotations

import contextlib
import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path

from harness.errors import UserError
from results.place import STAGED, Place, rename_durably


@dataclass(frozen=True)
class Checkpoints:
    """A folder that all ranks see. every: steps between two checkpoints of one training."""

    folder: Path
    every: int

    @classmethod
    def beside(cls, campaign: Place, every: int) -> Checkpoints:
        """Those of a campaign. Raises: UserError where its folder is none of a file system."""
        if not isinstance(campaign, Path):
            raise UserError(f"{campaign}: [engine] checkpoint_steps needs a folder that all nodes see, no object store")
        return cls(campaign / "checkpoints", every)

    def due(self, done: int, steps: int) -> bool:
        """Whether one is written after so many steps: at every multiple, and at the end of a training that had one."""
        return done % self.every == 0 or (done == steps and steps > self.every)

    def newest(self, name: str) -> str | None:
        """The folder of the newest checkpoint of the training; None if there is none."""
        with contextlib.suppress(FileNotFoundError):
            found = [path for path in (self.folder / name).iterdir() if path.name.isdigit()]
            return str(max(found, key=lambda path: int(path.name))) if found else None
        return None

    def staged(self, name: str) -> str:
        """A new folder to write a checkpoint into, that nobody reads before it is published."""
        path = self.folder / name / f"{STAGED}{uuid.uuid4().hex}"
        path.mkdir(parents=True)
        return str(path)

    def publish(self, name: str, staged: str, steps: int) -> None:
        """Make a written checkpoint the newest one, and delete those before."""
        target = self.folder / name / str(steps)
        shutil.rmtree(target, ignore_errors=True)
        rename_durably(Path(staged), target)
        for path in target.parent.iterdir():
            if path != target:
                shutil.rmtree(path, ignore_errors=True)

    def forget(self, *names: str) -> None:
        """Delete the checkpoints of all trainings whose names begin so."""
        with contextlib.suppress(FileNotFoundError):
            for path in list(self.folder.iterdir()):
                if path.name.startswith(tuple(f"{name}-" for name in names)):
                    shutil.rmtree(path, ignore_errors=True)
