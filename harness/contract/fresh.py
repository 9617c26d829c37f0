"""What other processes make of a method or task: pickled as for workers, and run where nothing ran before."""

from __future__ import annotations

import dataclasses
import importlib
import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import reduce
from pathlib import Path
from typing import Any

from harness import plugins, settings
from harness.errors import Declined

SECONDS = 900.0
"""Of a process at most: a method may train often, on a machine that does much else."""

RANKS = 2
"""Processes that a network is spread over, to try the engine `deepspeed`."""


class NotThere(Exception):  # noqa: N818 - the caller says what that means
    """The other process cannot make the same object; the message says why."""


class CannotTrain(Exception):  # noqa: N818 - an engine need not train every method
    """Training there fails; the message says why. found: the results until then."""

    def __init__(self, why: str, found: dict[str, Any]) -> None:
        super().__init__(why)
        self.found = found


def sent(thing: Any) -> Any:
    """What a worker gets: classes of modules by name, those of a suite's files by value. Raises: what pickling does.

    By value it is only written: to read it here would put other functions into the class that it came from.
    """
    if not type(thing).__module__.startswith("pacbench_file_"):
        return pickle.loads(pickle.dumps(thing))
    from ray import cloudpickle  # slow, and needed for a file's class only

    module = sys.modules[type(thing).__module__]
    cloudpickle.register_pickle_by_value(module)  # type: ignore[no-untyped-call]
    try:
        cloudpickle.dumps(thing)  # type: ignore[no-untyped-call]
    finally:
        cloudpickle.unregister_pickle_by_value(module)  # type: ignore[no-untyped-call]
    return thing


def results(things: Sequence[Any], kind: str) -> list[dict[str, Any]]:
    """What a process of its own finds for methods or for tasks, under another order of hashes.

    Raises: NotThere if a class cannot be found again there, or the process fails.
    """
    return _answer([_reference(thing, kind) for thing in things])


def sharded(method: Any) -> dict[str, Any]:
    """What a method does on `sharded_problems` where its weights lie spread over processes, in float32.

    Raises: NotThere as above; Declined if all problems are declined there; CannotTrain where training there fails.
    """
    from torch.distributed import TCPStore  # type: ignore[attr-defined]

    met = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    asked = _reference(method, "sharded")
    with ThreadPoolExecutor(RANKS) as pool:
        each = ([{**asked, "place": {"rank": rank, "port": met.port}}] for rank in range(RANKS))
        ((found,), *_) = pool.map(_answer, each)
    if "declined" in found:
        raise Declined(found["declined"])
    if "failed" in found:
        raise CannotTrain(found["failed"], {name: result for name, result in found.items() if name != "failed"})
    return found


def _answer(asked: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """What a process finds that runs this module. Raises: NotThere if it fails."""
    hashes = "1" if os.environ.get("PYTHONHASHSEED") != "1" else "2"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PYTHONHASHSEED": hashes}
    command = [sys.executable, "-m", "harness.contract.fresh"]
    try:
        process = subprocess.run(
            command, input=json.dumps(asked), capture_output=True, text=True, env=environment, timeout=SECONDS
        )
    except subprocess.TimeoutExpired as error:
        raise NotThere(f"a process of its own does not end within {SECONDS:g} s") from error
    try:
        found: list[dict[str, Any]] = json.loads(process.stdout.rpartition("\n")[2])
    except ValueError as error:
        last = (process.stderr.strip().splitlines() or ["no message"])[-1]
        raise NotThere(f"a process of its own fails: {last}") from error
    return found


def _reference(thing: Any, kind: str) -> dict[str, Any]:
    """What the other process makes the same object of. Raises: NotThere."""
    cls = type(thing)
    if "<locals>" in cls.__qualname__:
        raise NotThere(f"class {cls.__qualname__} is defined inside a function")
    fields = {field.name: getattr(thing, field.name) for field in dataclasses.fields(thing)}
    asked: dict[str, Any] = {"kind": kind, "module": cls.__module__, "class": cls.__qualname__, "fields": fields}
    if cls.__module__.startswith("pacbench_file_"):
        asked["file"] = sys.modules[cls.__module__].__file__
    return asked


def _made(asked: dict[str, Any]) -> Any:
    if file := asked.get("file"):
        module, _ = plugins.load(Path(file), "check")
    else:
        module = importlib.import_module(asked["module"])
    cls = reduce(getattr, asked["class"].split("."), module)
    return settings.build(cls, asked["fields"], "check")  # type: ignore[arg-type]


def _of_method(method: Any) -> dict[str, Any]:
    """The result on every problem, in another order than where it is compared: the first must not shape the rest.

    Nor must another configuration, which runs before.
    """
    from harness.contract.method_draws import run_another
    from harness.contract.method_under_test import MethodUnderTest
    from harness.contract.problem import tiny_problems

    problems = tiny_problems()[::-1]
    for problem in problems:
        run_another(MethodUnderTest(method), problem)
    return _results(method, problems, None)


def _results(method: Any, problems: Sequence[Any], engine: Any) -> dict[str, Any]:
    from harness.contract.check import said
    from harness.contract.rehearsal import digest, rehearse

    found: dict[str, Any] = {}
    for problem in problems:
        try:
            run = rehearse(method, problem, engine=engine)
            found[problem.name] = [digest(run.finished()), list(run.losses), run.fitted.note]
        except Declined as declined:
            reason = str(declined)
        except (Exception, SystemExit) as error:
            if engine is None:
                raise
            found["failed"] = said(error)  # no further problem: the other ranks may stand elsewhere
            break
    return found or {"declined": reason}


def _of_sharded_method(method: Any, rank: int, port: int) -> dict[str, Any]:
    """The same by the engine `deepspeed`, as a rank of a group that meets at a port of this machine."""
    import torch

    from harness.contract.problem import sharded_problems
    from harness.ranks import join
    from harness.sharding import Sharding

    device = torch.device("cpu")
    join(rank, RANKS, ("127.0.0.1", port), device, 60)
    from harness.engines.deepspeed import DeepSpeed

    return _results(method, sharded_problems(), DeepSpeed(Sharding(ranks=RANKS), device))


def _of_task(task: Any) -> dict[str, Any]:
    from harness.plan import facts

    return {"data_hash": facts(task).data_hash, "source_hash": facts(task).source_hash}


def main() -> None:
    """Read what is asked from stdin, and write what was found as the last line of stdout."""
    import torch

    torch.set_num_threads(1)
    of: dict[str, Callable[..., dict[str, Any]]] = {
        "method": _of_method,
        "sharded": _of_sharded_method,
        "task": _of_task,
    }
    found = [of[asked["kind"]](_made(asked), **asked.get("place", {})) for asked in json.load(sys.stdin)]
    print(f"\n{json.dumps(found)}", end="", flush=True)
    os._exit(0)  # the libraries' own ends can wait for ranks that are gone


if __name__ == "__main__":
    main()
