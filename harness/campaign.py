"""Campaign: the folder of one suite's runs, and the selection records written before the first test score."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa

from harness import plan, provenance, seeds
from harness.errors import UserError
from harness.ledger import BESIDE, Ledger
from harness.method import Method
from harness.plan import PROTOCOL, Cell, Trial
from harness.record import RECORD, open_place, read_json, read_record
from harness.settings import build
from harness.suite import Entrant, Suite
from results.place import STAGED, Place, explain, make_folder, names, write_durably


class Campaign:
    """A folder, or a place in an object store, with campaign.json, ledger/, selection/ and cache/."""

    def __init__(self, folder: Place, suite: Suite) -> None:
        self.folder = folder
        self.suite = suite
        self.ledger = Ledger(folder)
        self.cache = folder / "cache"
        self.save_models = False

    @classmethod
    def open(cls, folder: str | Place, suite: Suite) -> Campaign:
        """The campaign in `folder`, created if there is none.

        Raises: UserError if the folder cannot be written, is in use for something else, or holds another campaign.
        """
        folder, held, wanted = opened(folder, suite)
        if held.get("origin"):
            raise UserError(f"{folder} holds rows that were {held['origin']}, no campaign to run; choose another --out")
        if _identity(held) != _identity(wanted):
            raise UserError(
                f"{folder} holds another campaign ({difference(held, wanted)}); "
                "choose another --out, or run it with its own suite and settings"
            )
        return cls(folder, suite)

    @cached_property
    def tune_trials(self) -> tuple[Trial, ...]:
        """Every configuration of every cell on every tuning seed."""
        return tuple(plan.tune_trials(self.suite))

    def missing(self, trials: Iterable[Trial], retry_failed: bool = False) -> list[Trial]:
        """The trials without a committed row; with `retry_failed` also those not done or declined, as a new attempt."""
        columns = _columns(self.ledger.outcomes(), "key", "status", "attempt")
        committed = {key: (status, attempt) for key, status, attempt in zip(*columns, strict=True)}
        wanted = []
        for trial in trials:
            status, attempt = committed.get(trial.key, (None, 0))
            if status is None or (attempt or 0) < trial.attempt:
                wanted.append(trial)
            elif retry_failed and status not in ("done", "declined"):
                wanted.append(plan.next_attempt(trial, attempt or 0))
        return wanted

    def commit(self, rows: list[dict[str, Any]]) -> None:
        """Commit rows from the driver. Raises: UserError if they cannot be written."""
        try:
            self.ledger.append(rows)
        except OSError as error:
            raise UserError(f"{self.folder}: rows cannot be written ({explain(error)})") from error

    def _write(self, path: Place, content: bytes) -> None:
        try:
            make_folder(path.parent)
            write_durably(path, content)
        except OSError as error:
            raise UserError(f"{path}: cannot be written ({explain(error)})") from error

    def select(self) -> dict[Cell, Method]:
        """The configuration of every cell whose tuning is complete, from its record or, once, from its rows."""
        rows: dict[str, dict[str, Any]] | None = None
        by_cell: dict[tuple[str, str, int], list[Trial]] = {}
        for trial in self.tune_trials:
            by_cell.setdefault((trial.task.id, trial.label, trial.target_size), []).append(trial)
        selected: dict[Cell, Method] = {}
        recorded = set(names(self.folder / "selection"))
        for cell in sorted(plan.cells(self.suite), key=lambda cell: cell.entrant.control_of is not None):
            path = self.folder / "selection" / _record_name(cell)
            if path.name not in recorded:
                rows = scores(self.ledger.outcomes()) if rows is None else rows
                trials = by_cell.get((cell.task.id, cell.entrant.label, cell.target_size), [])
                if any(trial.key not in rows for trial in trials):
                    continue
                if base := cell.entrant.control_of:
                    followed = selected.get(dataclasses.replace(cell, entrant=base))
                    if followed is None:
                        continue
                    record = follow(cell, base, followed)
                else:
                    record = choose(cell, self.suite, trials, rows)
                self._write(path, _pretty(record))
            chosen = read_json(path).get("chosen")
            if not isinstance(chosen, dict):
                raise UserError(f"{path}: damaged, it says no configuration under 'chosen'")
            selected[cell] = build(type(cell.entrant.method), chosen, str(path))
        return selected


def opened(
    address: str | Place, suite: Suite, origin: str | None = None
) -> tuple[Place, dict[str, Any], dict[str, Any]]:
    """A place that can be written to, its campaign.json, which is written where there is none, and what that would say.

    Raises: UserError if the place cannot be written, or is in use for something else.
    """
    folder = open_place(address).resolve()
    wanted = {"suite": json.loads(seeds.canonical(plan.resolved(suite))), "protocol": PROTOCOL}
    wanted |= {"origin": origin} if origin else {}
    try:
        if not (folder / RECORD).exists():
            _create(folder, wanted)
        write_durably(probe := folder / f"{STAGED}probe", b"")
        probe.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"--out {folder}: cannot be written ({explain(error)})") from error
    held = read_record(folder)
    _refuse_links(folder)
    return folder, held, wanted


def choose(cell: Cell, suite: Suite, trials: list[Trial], rows: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The selection record of a cell: candidates, their validation scores and the choice.

    A candidate's score is the mean over the tuning seeds, signed so that higher is better; a seed that is not done
    makes it the worst. The first of equals wins, the default configuration being first; if all fail it is the default.
    """
    candidates: list[dict[str, Any]] = []
    for method in plan.configurations(cell.entrant, suite.tuning.configs):
        mine = [trial for trial in trials if trial.method == method]
        values = [rows[trial.key]["signed"] for trial in mine]
        complete = bool(values) and all(value is not None for value in values)
        mean = math.fsum(values) / len(values) if complete else None
        config = plan.settings_of(method)
        keys = {str(trial.seed): trial.key for trial in mine}
        candidates.append({"config": config, "signed_validation_scores": values, "mean": mean, "keys": keys})
    ranked = [-math.inf if candidate["mean"] is None else candidate["mean"] for candidate in candidates]
    best = ranked.index(max(ranked))
    if not trials:
        reason = "one configuration only: nothing to select"
    elif ranked[best] == -math.inf:
        reason = "no configuration finished on every tuning seed: the default is used"
    else:
        reason = "best mean validation score"
    return _record(cell, candidates, candidates[best]["config"], reason)


def follow(cell: Cell, base: Entrant, selected: Method) -> dict[str, Any]:
    """The selection record of a control: the configuration selected for the entrant that it is a control of."""
    method = cell.entrant.like(selected, f"{cell.name}, with the configuration of {base.label}")
    return _record(cell, [], plan.settings_of(method), f"the configuration selected for {base.label}")


def _record(cell: Cell, candidates: list[dict[str, Any]], chosen: dict[str, object], reason: str) -> dict[str, Any]:
    return {
        "task": cell.task.id,
        "label": cell.entrant.label,
        "target_size": cell.target_size,
        "candidates": candidates,
        "chosen": chosen,
        "reason": reason,
        "written_at": datetime.now(UTC).isoformat(),
    }


def scores(rows: pa.Table) -> dict[str, dict[str, Any]]:
    """Status and signed validation score (None unless done) by key."""
    columns = _columns(rows, "key", "status", "score_validation", "higher_is_better")
    found = {}
    for key, status, score, higher in zip(*columns, strict=True):
        done = status == "done" and score is not None
        found[key] = {"status": status, "signed": (score if higher else -score) if done else None}
    return found


def _identity(record: dict[str, Any]) -> object:
    """What two runs of one campaign must agree on: all but resources, prices and time limit, which move no score."""
    suite = dict(record.get("suite") or {})
    budget = suite.get("budget")
    suite["budget"] = {**(budget if isinstance(budget, dict) else {}), "trial_seconds": None}
    return {"protocol": record.get("protocol"), "suite": {**suite, "resources": None, "prices": None}}


def difference(held: dict[str, Any], wanted: dict[str, Any]) -> str:
    """The first place where two campaign records differ, in words."""
    if held.get("protocol") != wanted["protocol"]:
        return f"protocol {held.get('protocol')} there, {wanted['protocol']} here"
    there, here = held.get("suite") or {}, wanted["suite"]
    if there.get("name") != here["name"]:
        return f"suite {there.get('name')!r} there, {here['name']!r} here"
    compared = [key for key in here if key not in ("resources", "prices")]
    return next((f"{key} differs" for key in compared if there.get(key) != here[key]), "other keys")


def _refuse_links(folder: Place) -> None:
    """Raises: UserError if a part of the campaign is a link: what is written there would land elsewhere."""
    parts = ("ledger", "ledger/merged", "ledger/.set-aside", "models", *BESIDE)
    for path in (folder / part for part in parts):
        if isinstance(path, Path) and path.is_symlink():
            raise UserError(f"{path} is a link to {path.resolve()}; pacbench writes inside the campaign's folder only")


def _create(folder: Place, wanted: dict[str, Any]) -> None:
    make_folder(folder)
    ours = [name for name in ("ledger", "selection", "cache", "curves", "predictions") if _holds(folder / name)]
    if ours:
        raise UserError(f"{folder}: {ours[0]}/ is there but {RECORD} is missing; choose another --out")
    commit, dirty = provenance.source_commit()
    record = {**wanted, "created_at": datetime.now(UTC).isoformat(), "commit": commit, "dirty": dirty}
    write_durably(folder / RECORD, _pretty(record))


def _holds(part: Place) -> bool:
    return part.exists() if isinstance(part, Path) else bool(names(part))


def _pretty(value: object) -> bytes:
    return (json.dumps(value, indent=1, sort_keys=True) + "\n").encode()


def _record_name(cell: Cell) -> str:
    """A file name that shows the cell and, by a hash, belongs to it alone."""
    slug = re.sub(r"[^A-Za-z0-9_.=-]+", "_", f"{cell.task.id}-{cell.entrant.label}")[:80]
    return f"{slug}-n{cell.target_size}-{seeds.digest([cell.name])[:8]}.json"


def _columns(rows: pa.Table, *names: str) -> list[list[Any]]:
    return [rows[name].to_pylist() for name in names]
