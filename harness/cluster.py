"""The Ray cluster that a campaign runs on: an embedded local one or a running one, and whether it will do."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray import cloudpickle, tune
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from harness.embedded import QUIET, Embedded, prepare_environment
from harness.errors import UserError
from harness.plugins import by_value_modules
from harness.suite import Suite
from harness.supervise import Crashed, descendants, interrupt_once

LEADER_CPUS = 0.001
"""Of the process that starts a trial's ranks and waits for them; taken from theirs."""

ANSWER_SECONDS = 60.0
"""A node gets this long to start a worker and answer."""


@contextmanager
def cluster(ray_here: Embedded | None, address: str | None) -> Iterator[None]:
    """The local Ray, or where there is none the cluster at `address`, for the block.

    What is left of a local Ray ends with this process: to stop it in order would take a second.
    Raises: UserError if there is no cluster at the address, Crashed if Ray fails.
    """
    # Ray writes of every lost worker on the driver's stdout, pages of it.
    with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):
        if ray_here is not None:
            ray_here.ready()
        else:
            _join(str(address))
        signal.signal(signal.SIGTERM, interrupt_once)
        for module in by_value_modules():
            cloudpickle.register_pickle_by_value(module)  # type: ignore[no-untyped-call]
        try:
            yield
        except ray.exceptions.RayError as error:
            raise Crashed(f"Ray failed ({str(error).strip().splitlines()[-1]})") from error
        finally:
            if ray_here is None:
                ray.shutdown()


_PASSED_ON = ("MKL_CBWR", "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS")


def _join(address: str) -> None:
    """Connect to a running cluster. Raises: UserError if there is none."""
    prepare_environment()
    passed = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    try:
        ray.init(address, runtime_env={"env_vars": passed}, **QUIET)
    except Exception as error:  # Ray raises bare ones too
        raise UserError(f"--address {address}: no Ray cluster there that will do ({error})") from error


@dataclass(frozen=True)
class Request:
    """What a slot asks of a node, or each of its `ranks` of any node. memory: bytes, 0 where the suite leaves it open.
    ranks: 0 where trials run in the slot's own process."""

    cpus: float
    gpus: float
    memory: float
    ranks: int = 0

    def __str__(self) -> str:
        each = f"{self.cpus:g} CPUs, {self.gpus:g} GPUs, {self.memory / 1e9:g} GB"
        return f"{self.ranks} times {each}" if self.ranks else each

    def tune(self) -> Any:
        """As Ray Tune wants it: the ranks of a slot are reserved at once, in bundles after that of the slot itself."""
        memory = {"memory": self.memory} if self.memory else {}
        if not self.ranks:
            return {"cpu": self.cpus, "gpu": self.gpus} | memory
        rank = {"CPU": self.cpus - LEADER_CPUS / self.ranks, **({"GPU": self.gpus} if self.gpus else {}), **memory}
        return tune.PlacementGroupFactory([{"CPU": LEADER_CPUS}, *(dict(rank) for _ in range(self.ranks))])

    def slots(self, cluster: Iterable[dict[str, float]]) -> int:
        """How many slots the nodes of a cluster hold; the ranks of one may lie on several."""
        return sum(self.on(node) for node in cluster) // max(1, self.ranks)

    def on(self, node: dict[str, float]) -> int:
        """How many slots, or ranks of one, a node with these resources holds."""
        room = [node.get("CPU", 0) / self.cpus]
        room += [node.get("GPU", 0) / self.gpus] if self.gpus else []
        room += [node.get("memory", 0) / self.memory] if self.memory else []
        return int(min(room) + 1e-9)

    def memory_share(self, node: dict[str, float]) -> float:
        """The part of a node's memory that belongs to one slot."""
        if self.memory and node.get("memory"):
            return self.memory / node["memory"]
        return 1.0 / max(1, self.on(node))


def request(suite: Suite) -> Request:
    """What the suite asks for each pack, or for each rank of one."""
    resources, ranks = suite.resources, suite.engine.ranks if suite.engine.sharding else 0
    return Request(resources.cpus or 1.0, resources.gpu_share, (resources.memory_gb or 0.0) * 1e9, ranks)


def larger(asked: Request) -> Request:
    """Twice as much of everything, or what the node with the most memory has. Ranks get no more: they have devices of
    their own."""
    if asked.ranks:
        return asked
    most = max(nodes().values(), key=lambda node: node.get("memory", 0.0) if asked.on(node) else -1.0)
    return Request(
        min(2 * asked.cpus, max(most.get("CPU", 0.0), asked.cpus)),
        asked.gpus if asked.gpus >= 1 else min(2 * asked.gpus, 1.0),
        min(2 * asked.memory, max(most.get("memory", 0.0), asked.memory)),
    )


def nodes() -> dict[str, dict[str, float]]:
    """The resources of every node that is alive, by its id."""
    return {n["NodeID"]: n["Resources"] for n in ray.nodes() if n["Alive"]}  # type: ignore[no-untyped-call]


def slots(asked: Request) -> int:
    """How many packs run at once. Raises: UserError if no node can ever hold one."""
    fitting = asked.slots(nodes().values())
    if not fitting:
        most = {name: max(n.get(name, 0) for n in nodes().values()) for name in ("CPU", "GPU", "memory")}
        has = f"{most['CPU']:g} CPUs, {most['GPU']:g} GPUs, {most['memory'] / 1e9:.1f} GB"
        missing = "the cluster has not that much" if asked.ranks else "no node of the cluster has that much"
        raise UserError(f"[resources]: a pack asks for {asked}; {missing} (a node has at most {has})")
    return fitting


def on_node(node: str) -> dict[str, Any]:
    """Options of a task or actor that runs on this node and no other, whatever else runs there."""
    strategy = NodeAffinitySchedulingStrategy(node, soft=False)
    return {"num_cpus": 0, "scheduling_strategy": strategy}


def everywhere(function: Any, *arguments: Any) -> dict[str, Any]:
    """What a function returns on every node that is alive, by the node's name and id; an exception where it fails."""
    names = {n["NodeID"]: n["NodeManagerHostname"] for n in ray.nodes() if n["Alive"]}  # type: ignore[no-untyped-call]
    remote = ray.remote(function)
    asked = {node: remote.options(**on_node(node)).remote(*arguments) for node in names}
    ray.wait(list(asked.values()), num_returns=len(asked), timeout=ANSWER_SECONDS)
    answers = {}
    for node, reference in asked.items():
        try:
            answers[f"{names[node]} ({node[:8]})"] = ray.get(reference, timeout=0)
        except ray.exceptions.RayError as error:
            answers[f"{names[node]} ({node[:8]})"] = error
    return answers


def services() -> list[int]:
    """The processes of the embedded Ray without which it is dead; none on a running cluster."""
    found = []
    for process in descendants():
        try:
            name = Path(f"/proc/{process}/exe").resolve().name
        except OSError:
            continue
        if name in ("raylet", "gcs_server"):
            found.append(process)
    return found


def is_running(process: int) -> bool:
    """Whether a process of this machine is there and not a zombie."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False
