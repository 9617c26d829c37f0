"""One rank of a trial: a process of its own, which ends with the trial.

Every rank runs the same trial with the same seeds. What they share out is inside the engine.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
from dataclasses import dataclass
from datetime import timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
from torch import distributed
from torch.distributed import TCPStore  # type: ignore[attr-defined]

from harness import trial as trials
from harness.checkpoints import Checkpoints
from harness.cluster import Request
from harness.curves import CURVE
from harness.engines.allocator import keep_freed_memory
from harness.engines.deepspeed import DeepSpeed
from harness.plan import Pack
from harness.predictions import PREDICTIONS
from harness.source import Store
from harness.suite import EngineChoice
from harness.supervise import end_with_parent
from results.place import Place


@dataclass(frozen=True)
class Order:
    """What the ranks are to do together. address: host and port where they find each other. alone: as of a worker.

    models: where the first rank keeps the networks of final trials, if at all.
    """

    pack: Pack
    folder: Place
    engine: EngineChoice
    asked: Request
    alone: bool
    address: tuple[str, int]
    models: Path | None = None


def main(sending: Connection, rank: int, content: bytes) -> None:
    """Do what is ordered, and send the rows: of ranks after the first without curve and predictions."""
    from ray import cloudpickle

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent(signal.SIGKILL)
    order: Order = cloudpickle.loads(content)
    store = _store(order, rank)
    rows: list[dict[str, Any]] = []
    if order.pack.kind == "source":
        trials.train_sources(order.pack.trials, store)
        trials.prepare_networks(order.pack.prepare, store)
    else:
        rows = [trials.run(one, store, order.alone) for one in order.pack.trials]
    if rank:
        rows = [{name: value for name, value in row.items() if name not in (CURVE, PREDICTIONS)} for row in rows]
    sending.send_bytes(pickle.dumps(rows))
    if all(row["status"] == "done" for row in rows):  # the others may still be reading what this rank sent them
        with contextlib.suppress(RuntimeError):
            distributed.barrier()
    os._exit(0)  # the libraries' own ends can wait for ranks that are gone


def join(rank: int, ranks: int, address: tuple[str, int], device: torch.device, seconds: float) -> None:
    """Make this process a rank of a group that meets at a host and port, and computes on the device.

    seconds: how long a rank may let the others wait. Raises: RuntimeError if they do not come.
    """
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": str(ranks), "LOCAL_RANK": str(device.index or 0)}
    backend, waiting = "gloo", timedelta(seconds=seconds)
    if device.type == "cuda":
        torch.cuda.set_device(device)
        os.environ["TORCH_NCCL_BLOCKING_WAIT"] = "1"  # who waits in vain shall say so, not be ended
        backend = "nccl"
    met = TCPStore(*address, is_master=False, timeout=waiting)
    distributed.init_process_group(backend, store=met, rank=rank, world_size=ranks, timeout=waiting)


def _store(order: Order, rank: int) -> Store:
    """The store of a process that has found the others. Raises: RuntimeError if it does not."""
    engine = order.engine
    torch.set_num_threads(max(1, int(order.asked.cpus)))
    keep_freed_memory()
    device = torch.device("cuda", 0) if order.asked.gpus else torch.device("cpu")
    join(rank, engine.ranks, order.address, device, engine.silent_seconds)
    sharding = engine.sharding
    assert sharding is not None
    checkpoints = Checkpoints.beside(order.folder, engine.checkpoint_steps) if engine.checkpoint_steps else None
    store = Store(order.folder / "cache", torch.device("cpu"), DeepSpeed(sharding, device, checkpoints))
    store.models = order.models if rank == 0 else None
    return store
