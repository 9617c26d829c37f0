"""Step time and memory of every method, and of stages 0 to 3, side by side in one run.

`python -m benchmarks.large [--ranks 2] [--stage 3] [--width 256 --layers 4 ...]`: a LLaMA built from configuration.
In every round the methods take one step each, so what else the machine does meets all of them; ratios are
medians over rounds against fine-tuning of the same round. Memory is the peak of one rank's tensors on its device over a
few steps, in a process that did nothing before: of CUDA's allocator, or on a CPU of torch's, as its profiler sees it,
less the objective that the engine has its copy from, which is the host's. On GPUs the same command takes one a rank.
"""

from __future__ import annotations

import argparse
import copy
import gc
import json
import multiprocessing
import os
import statistics
import tempfile
import warnings
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, distributed
from torch.distributed import TCPStore

from harness import pretrained, seeds
from harness.data import Examples, batch_order
from harness.engines.deepspeed import DeepSpeed, _Spread
from harness.fit import Fit, Job
from harness.method import Problem
from harness.objective import Objective, PartlyFrozen, SquaredDistance
from harness.ranks import join
from harness.recipe import Recipe
from harness.sharding import Sharding
from methods import METHODS
from methods.subtuning import SubsetObjective

METHODS_MEASURED = ("fine_tuning", "l2_sp", "lora", "subtuning", "pac", "linear_probe")
SYMBOLS = 1000
RECIPE = Recipe(optimizer="adamw", learning_rate=1e-4, weight_decay=0.01, clip_norm=1.0)


def optimizer_bytes(engine: Any) -> int:
    """Of the optimizer's state on this rank: its tensors, without scalars."""
    inner = getattr(engine.optimizer, "optimizer", engine.optimizer)
    held = [value for state in inner.state.values() for value in state.values()]
    return sum(t.numel() * t.element_size() for t in held if isinstance(t, Tensor) and t.numel() > 1)


def network_of(options: argparse.Namespace) -> torch.nn.Module:
    """The same LLaMA on every rank."""
    config = pretrained.library().LlamaConfig(
        hidden_size=options.width,
        intermediate_size=4 * options.width,
        num_hidden_layers=options.layers,
        num_attention_heads=max(1, options.width // 64),
        num_key_value_heads=max(1, options.width // 64),
        max_position_embeddings=options.tokens,
        vocab_size=SYMBOLS,
        bos_token_id=None,
        eos_token_id=None,
    )
    with seeds.seeded("large", "network"):
        return pretrained.untrained("language", config)


def examples_of(options: argparse.Namespace) -> Examples:
    """Random tokens: what they are moves no time."""
    drawn = torch.randint(SYMBOLS, (64, options.tokens + 1), generator=torch.Generator().manual_seed(0))
    return {"inputs": drawn[:, :-1].contiguous(), "targets": drawn[:, 1:].contiguous()}


def objective_of(method: str, network: torch.nn.Module, examples: Examples, engine: DeepSpeed) -> Objective:
    """What a method trains. PAC without Allocate, SubTuning on its first block: their searches are trainings too."""
    network = copy.deepcopy(network)
    blocks = pretrained.layers(network)
    if method == "subtuning":
        return SubsetObjective(network, pretrained.next_token_loss, ("lm_head", blocks[0]))
    problem = Problem(examples, pretrained.next_token_loss, lambda *given: 0.0, "lm_head", False, blocks, 0)
    fit = Fit(engine, RECIPE, 0, 0)
    made = METHODS[method](**({"allocate_fraction": 0.0} if method == "pac" else {}))
    with seeds.seeded("large", method):
        return made.adapt(made.prepare(network, problem, fit), problem, fit)


def _bytes_beside(module: torch.nn.Module) -> int:
    """Of what a method remembers of a weight: an anchor; a mask, and the entries that it fixes."""
    if isinstance(module, SquaredDistance):
        return module.anchor.numel() * module.anchor.element_size()
    if isinstance(module, PartlyFrozen):
        return module.fixed.numel() + 4 * int(module.fixed.sum())
    return 0


class Case:
    """One method at one stage, ready to take steps."""

    def __init__(self, method: str, stage: int, options: argparse.Namespace, device: torch.device) -> None:
        self.method, self.stage = method, stage
        engine = DeepSpeed(Sharding(ranks=options.ranks, zero_stage=stage, precision=options.precision), device)
        examples = examples_of(options)
        objective = objective_of(method, network_of(options), examples, engine)
        self.trained = objective.trained_entries()
        self.beside = sum(_bytes_beside(module) for module in objective.modules())
        self.host_bytes = sum(t.numel() * t.element_size() for t in [*objective.parameters(), *objective.buffers()])
        order = batch_order(64, options.batch, 10_000, 0)
        self.spread = _Spread(engine, objective, Job([objective], examples, order, RECIPE, 1e-4, None, [0]), 0)
        self.engine, self.taken = engine, 0

    def step(self) -> float:
        """Seconds of one more step."""
        distributed.barrier()
        started = self.engine._now()
        self.spread.step(self.taken)
        self.taken += 1
        return self.engine._now() - started


def timed(options: argparse.Namespace, device: torch.device) -> list[dict[str, Any]]:
    """Seconds of each round's step of each case."""
    cases = [Case(method, options.stage, options, device) for method in METHODS_MEASURED]
    cases += [Case("fine_tuning", stage, options, device) for stage in range(4) if stage != options.stage]
    for case in cases:
        case.step()
    seconds: list[list[float]] = [[] for _ in cases]
    for _ in range(options.rounds):
        for case, taken in zip(cases, seconds, strict=True):
            taken.append(case.step())
    return [{"method": c.method, "stage": c.stage, "seconds": s} for c, s in zip(cases, seconds, strict=True)]


def held(method: str, stage: int, options: argparse.Namespace, device: torch.device) -> dict[str, Any]:
    """The peak of this rank's tensors over three steps, and what of it is the optimizer's."""
    if device.type == "cuda":
        case = Case(method, stage, options, device)
        gc.collect()
        torch.cuda.reset_peak_memory_stats(device)
        for _ in range(3):
            case.step()
        peak = torch.cuda.max_memory_allocated(device)
    else:
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as watched:
            case = Case(method, stage, options, device)
            gc.collect()
            with torch.profiler.record_function("the steps"):
                for _ in range(3):
                    case.step()
        peak = _peak(watched) - case.host_bytes
    return {
        "method": method,
        "stage": stage,
        "peak_bytes": peak,
        "optimizer_bytes": optimizer_bytes(case.spread.engine),
        "trained": case.trained,
        "beside_bytes": case.beside,
    }


def _peak(watched: Any) -> int:
    """The largest total of what was allocated and not freed, during the steps."""
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        watched.export_chrome_trace(file.name)
        events = json.loads(Path(file.name).read_text())["traceEvents"]
    begin = next(e["ts"] for e in events if e.get("name") == "the steps")
    return max(e["args"]["Total Allocated"] for e in events if e.get("name") == "[memory]" and e["ts"] >= begin)


def _rank(sending: Connection, rank: int, port: int, work: Callable[..., Any], options: argparse.Namespace) -> None:
    warnings.simplefilter("ignore")
    device = torch.device("cuda", rank) if torch.cuda.is_available() else torch.device("cpu")
    torch.set_num_threads(1)
    join(rank, options.ranks, ("127.0.0.1", port), device, 600)
    sending.send(work(options=options, device=device))
    os._exit(0)


def on_ranks(work: Callable[..., Any], options: argparse.Namespace) -> list[Any]:
    """What the work returns on every rank, in fresh processes."""
    context = multiprocessing.get_context("spawn")
    met = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    pipes = []
    for rank in range(options.ranks):
        receiving, sending = context.Pipe(duplex=False)
        context.Process(target=_rank, args=(sending, rank, met.port, work, options)).start()
        sending.close()
        pipes.append(receiving)
    return [pipe.recv() for pipe in pipes]


class Held:
    """`held` of one case, to be sent to a process."""

    def __init__(self, method: str, stage: int) -> None:
        self.method, self.stage = method, stage

    def __call__(self, options: argparse.Namespace, device: torch.device) -> dict[str, Any]:
        return held(self.method, self.stage, options, device)


def main() -> None:
    """Print the table, or with --json what it is made of."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (
        ("ranks", 2), ("stage", 3), ("width", 256), ("layers", 4), ("tokens", 64), ("batch", 8), ("rounds", 15),
    ):  # fmt: skip
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    times = on_ranks(timed, options)[0]
    base = next(one["seconds"] for one in times if (one["method"], one["stage"]) == ("fine_tuning", options.stage))
    lines = []
    for one in times:
        memory = max(on_ranks(Held(one["method"], one["stage"]), options), key=lambda found: found["peak_bytes"])
        ratios = [mine / other for mine, other in zip(one["seconds"], base, strict=True)]
        lines.append(
            memory | {"milliseconds": 1e3 * statistics.median(one["seconds"]), "time_ratio": statistics.median(ratios)}
        )
    peak = lines[0]["peak_bytes"]
    for line in lines:
        allowed = 1.15 * peak + line["beside_bytes"] / options.ranks
        line |= {"peak_ratio": line["peak_bytes"] / peak, "peak_allowed": allowed}
    if options.json:
        print(json.dumps({"options": vars(options), "cases": lines}, indent=1))
        return
    print("method        stage  ms/step  time   peak MB  peak   beside MB/rank  optimizer MB  trained")
    for line in lines:
        print(
            f"{line['method']:<13} {line['stage']:>5} {line['milliseconds']:>8.0f} {line['time_ratio']:>6.2f}"
            f" {line['peak_bytes'] / 1e6:>8.1f} {line['peak_ratio']:>6.2f}"
            f" {line['beside_bytes'] / options.ranks / 1e6:>15.1f} {line['optimizer_bytes'] / 1e6:>13.2f}"
            f" {line['trained']:>9,}"
        )


if __name__ == "__main__":
    main()
