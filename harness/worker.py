"""What runs on the cluster: workers that take packs from the desk, and those that explore configurations."""

from __future__ import annotations

import os
import resource
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ray
import torch
from ray import tune

from harness import note, packages, plan, provenance, seeds
from harness import trial as trials
from harness.campaign import scores
from harness.checkpoints import Checkpoints
from harness.cluster import Request, nodes
from harness.curves import commit_curves
from harness.deployed import MODELS
from harness.desk import Worker
from harness.engines.allocator import keep_freed_memory
from harness.errors import UserError
from harness.gang import Gang
from harness.ledger import Ledger
from harness.packages import Plugin
from harness.predictions import commit_predictions
from harness.prices import Prices
from harness.record import RECORD
from harness.recovery import Job
from harness.search import REDUCTION, WORST, Search, mean_score
from harness.source import Store
from harness.suite import EngineChoice
from results.place import Place, explain

POLL_SECONDS = 0.1


@dataclass(frozen=True)
class Terms:
    """What the driver asks of a worker before it may run anything.

    record: the campaign's campaign.json; versions: of the driver; alone: a worker has its node to itself; plugins:
    methods and tasks of installed packages that the campaign uses.
    """

    folder: Place
    record: bytes
    versions: dict[str, str]
    asked: Request
    alone: bool
    plugins: tuple[Plugin, ...] = ()
    engine: EngineChoice = field(default_factory=EngineChoice)
    prices: Prices = field(default_factory=Prices)
    save_models: bool = False


class Renewed(Exception):  # noqa: N818 - an end, not an error
    """A worker that came to its memory limit ends here: what it cannot give back would be missing to the next pack."""


class PackRunner(tune.Trainable):
    """One slot of the cluster: a Tune trial whose every step runs one pack and commits its rows.

    Tune's own reuse of actors, one Tune trial a pack, is no substitute: an actor that is free takes the pack that
    another actor is being started for and cancels that start, so with short packs a slot may stay empty for ever
    (seen: a stage twice as long). With slots as trials the driver's state does not grow with the packs either.
    """

    def setup(self, config: dict[str, Any], desk: Any, terms: Terms) -> None:  # type: ignore[override]
        """One thread per worker; first calls are made here, untimed. Raises: UserError if this node will not do."""
        self.desk, self.terms, self.slot = desk, terms, config["slot"]
        self.spent = False
        self.ledger = Ledger(terms.folder)
        self.store, self.worker = _begin(terms)
        self.store.models = terms.folder / MODELS if terms.save_models and isinstance(terms.folder, Path) else None
        self.gang = None
        if terms.asked.ranks:
            self.gang = Gang(terms.folder, terms.engine, terms.asked, terms.alone, self.store.models)

    def step(self) -> dict[str, Any]:
        if self.spent:
            raise Renewed
        until = time.monotonic() + 1.0
        while (taken := ray.get(self.desk.take.remote(self.slot, self.worker))) == "wait":
            if time.monotonic() > until:
                return {}
            time.sleep(POLL_SECONDS)
        if taken is None:
            return {"done": True}
        job: Job = ray.get(taken[1][0])  # in a list, or the desk would be sent the job itself
        return self._run(job)

    def _run(self, job: Job) -> dict[str, Any]:
        """The statuses of what is committed, and the keys of trials that are to run again with more memory."""
        if self.gang is not None:
            return self._run_together(self.gang, job)
        if job.pack.kind == "source":
            trials.train_sources(job.pack.trials, self.store)
            trials.prepare_networks(job.pack.prepare, self.store)
            return {"statuses": []}
        rows = trials.run_pack(job.pack.trials, self.store, self.terms.alone)
        exhausted = [] if job.last else [row["key"] for row in rows if row["status"] == "oom"]
        return self._commit(job, rows, exhausted)

    def _run_together(self, gang: Gang, job: Job) -> dict[str, Any]:
        """The same of a pack whose trials have ranks. What their checkpoints were for is done once there is a row."""
        first = job.pack.trials[0]
        self.store.together.note.doing(first.key)
        rows = gang.run(job.pack)
        self.store.together.note.doing("")
        answer: dict[str, Any] = {"statuses": []} if job.pack.kind == "source" else self._commit(job, rows, [])
        if self.terms.engine.checkpoint_steps and "unwritten" not in answer:
            of_sources = [f"source-{trial.source_key}" for trial in job.pack.trials]
            of_sources += [f"prepared-{trial.prepare_key}" for trial in (*job.pack.trials, *job.pack.prepare)]
            checkpoints = Checkpoints.beside(self.terms.folder, self.terms.engine.checkpoint_steps)
            checkpoints.forget(*(trial.key for trial in job.pack.trials), *of_sources)
        return answer

    def _commit(self, job: Job, rows: list[dict[str, Any]], exhausted: list[str]) -> dict[str, Any]:
        """Write the rows, but for those of the keys in `exhausted`, and say what became of them."""
        for row in rows:
            row["price"] = self.terms.prices.of(row, self.terms.asked.gpus or self.terms.asked.cpus)
        kept = [row for row in rows if row["key"] not in exhausted]
        for row in kept if job.before else ():
            row["extra"] = row["extra"] | {"ran_again_after": job.before}
        try:
            if kept:
                self.ledger.append(commit_predictions(self.terms.folder, commit_curves(self.terms.folder, kept)))
        except OSError as error:
            return {"unwritten": explain(error), "done": True}
        self.spent = any(row["status"] == "oom" for row in rows)
        return {"statuses": [row["status"] for row in kept], "exhausted": exhausted}

    def cleanup(self) -> None:
        Path(self.worker.note).unlink(missing_ok=True)


class ConfigurationRunner(tune.Trainable):
    """One configuration of an exploration, a Tune trial whose every step trains one rung of it and commits its rows.

    What is committed is not trained again, so a worker that takes over from a lost one goes on where that stood.
    """

    def setup(  # type: ignore[override]
        self, config: dict[str, Any], search: Search, ends: dict[str, int], terms: Terms
    ) -> None:
        """ends: the steps at which configurations are known to end. Raises: UserError if this node will not do."""
        self.search, self.ends, self.terms = search, ends, terms
        self.ledger = Ledger(terms.folder)
        self.store, self.worker = _begin(terms)
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Another configuration, on the same worker."""
        self.method = self.search.method(new_config)
        self.end = self.ends.get(seeds.canonical(plan.settings_of(self.method)), self.search.rungs[-1])
        self.rung = 0
        return True

    def step(self) -> dict[str, Any]:
        """The mean signed validation score on the next rung, and the statuses of what was trained for it now."""
        steps = self.search.rungs[self.rung]
        wanted = self.search.trials(self.method, steps)
        committed = scores(self.ledger.outcomes())
        missing = [trial for trial in wanted if trial.key not in committed]
        if missing:
            rows = trials.run_pack(missing, self.store, self.terms.alone)
            try:
                self.ledger.append(commit_curves(self.terms.folder, rows))
            except OSError as error:
                return {"unwritten": explain(error), "score": WORST, "resource": 0, "done": True}
            committed = scores(self.ledger.outcomes())
        score = mean_score(wanted, committed)
        told = {"score": score, "resource": REDUCTION**self.rung, "steps": steps}
        told["statuses"] = [committed[trial.key]["status"] for trial in missing]
        self.rung += 1
        return told | {"done": score == WORST or steps >= self.end}

    def cleanup(self) -> None:
        Path(self.worker.note).unlink(missing_ok=True)


def _begin(terms: Terms) -> tuple[Store, Worker]:
    """What every worker does first; it has one thread, and first calls are made here, untimed. Raises: UserError."""
    if wrong := unfit(terms):
        raise UserError(f"node {provenance.host()}: {wrong}")
    torch.set_num_threads(1)
    keep_freed_memory()
    sharded = terms.asked.ranks > 0
    store = Store(terms.folder / "cache", torch.device("cuda" if terms.asked.gpus and not sharded else "cpu"))
    trials.warm_up(store)
    path = Path(tempfile.gettempdir()) / f"pacbench-note-{os.getpid()}"
    store.together.note = note.Note(path)
    node = ray.get_runtime_context().get_node_id()
    if not terms.asked.gpus and not sharded:  # CUDA's own reservations would count
        _limit_memory(terms.asked, nodes()[node])
    return store, Worker(node, provenance.host(), os.getpid(), str(path), oom_kills())


def unfit(terms: Terms) -> str | None:
    """Why this process must not run the campaign's trials, in words; None if it may."""
    mine = provenance.versions() | provenance.arithmetic()
    for name, version in terms.versions.items():
        if mine.get(name) != version:
            return f"{name} is {mine.get(name, 'not there')}, where the command runs it is {version}"
    for plugin in terms.plugins:
        if wrong := packages.difference(plugin):
            return wrong
    try:
        record = (terms.folder / RECORD).read_bytes()
    except OSError as error:
        return (
            f"does not see the campaign's folder {terms.folder} ({explain(error)}); --out must be shared by all nodes"
        )
    if record != terms.record:
        return f"sees another campaign in {terms.folder}; --out must be shared by all nodes"
    return None


def _limit_memory(asked: Request, node: dict[str, float]) -> None:
    """Let this process allocate its share of the node's memory beyond what it has, so that who asks for more gets a
    MemoryError, which becomes a row, and no other process suffers."""
    used = [line.split()[1] for line in _lines("/proc/self/status") if line.startswith("VmData:")]
    if used and node.get("memory"):
        limit = int(used[0]) * 1024 + int(asked.memory_share(node) * node["memory"])
        resource.setrlimit(resource.RLIMIT_DATA, (limit, resource.getrlimit(resource.RLIMIT_DATA)[1]))


def oom_kills() -> int:
    """How many processes of this machine the system has ended for lack of memory; 0 where it does not say."""
    counts = [line.split()[1] for line in _lines("/proc/vmstat") if line.startswith("oom_kill ")]
    return int(counts[0]) if counts else 0


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []
