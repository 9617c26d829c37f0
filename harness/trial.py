"""One trial from task to row: prepare, adapt, fit, evaluate. The only place that catches everything."""

from __future__ import annotations

import copy
import time
import traceback
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pyarrow as pa
import torch
from torch import nn

from harness import cost, data, deployed, energy, packages, process, provenance, seeds
from harness.curves import CURVE
from harness.engines.plain import Plain
from harness.errors import Declined, Diverged, TrialTimeout, message
from harness.fit import Fit
from harness.objective import Objective
from harness.plan import PROTOCOL, Trial
from harness.predictions import PREDICTIONS, kept
from harness.recipe import Recipe
from harness.source import Model, Store, datasets, problem
from results import schema
from results.schema import SCHEMA_VERSION

Row = dict[str, Any]

RESERVED = frozenset(
    {"anchor_zero", "anchor_one", "checkpoint", "model_not_saved", "peak_memory_bytes_by_rank", "predictions"}
    | {"ran_again_after", "resumed_at_steps", "role", "saved_model", "source_data", "task_family", "tokens_per_second"}
)
"""Of a row's `extra`: what only the harness and the task may say."""


def run(trial: Trial, store: Store, exclusive_device: bool = False) -> Row:
    """The trial's row, whatever happens, with its curve under CURVE and predictions under PREDICTIONS. Raises: nothing.

    A worker is never interrupted from outside: a KeyboardInterrupt is the method's own, like all that its code raises.
    """
    row = describe(trial)
    measured: Row = {"started_at": datetime.now(UTC), "extra": _task_remarks(trial)}
    cost.reset_peak_memory(store.computes_on)
    own = trial.world_size == 1 or store.computes_on.type == "cuda"  # a processor's counters tell of other ranks too
    meter = energy.meter(store.computes_on) if exclusive_device and own and trial.engine != "lanes" else None
    note = store.together.note
    note.doing(trial.key)
    finished: nn.Module | None = None
    try:
        with process.kept(), seeds.seeded(trial.drawn_by.key, "trial"), cost.time_limit(trial.trial_seconds, note):
            finished = _measure(trial, store, measured)
        measured["status"] = "done"
    except Declined as declined:
        measured |= {"status": "declined", "reason": message(declined) or "no reason given"}
    except Diverged as diverged:
        measured |= {"status": "diverged", "reason": message(diverged)}
    except TrialTimeout:
        measured |= {"status": "timeout", "reason": f"not finished after {trial.trial_seconds:g} s"}
    except BaseException as error:  # noqa: BLE001 - the trial's boundary: what a method raises becomes a row
        measured |= {"status": "oom" if _out_of_memory(error) else "failed", "reason": _reason(error)}
    measured["energy_joules"] = meter.stop() if meter else None
    measured["finished_at"] = datetime.now(UTC)
    measured["peak_memory_bytes"] = cost.peak_memory_bytes(store.computes_on)
    measured["device"] = provenance.device_name(store.computes_on.type)
    measured["exclusive_device"] = exclusive_device and measured.get("lanes", 1) == 1
    if measured["status"] != "done":
        measured["score_test"] = None
    written = _writable(trial, row | measured)
    if finished is not None and written["status"] == "done" and trial.stage == "final" and store.models is not None:
        with process.kept():
            written["extra"] |= deployed.save(finished, trial.task, trial.key, store.models)
    note.doing("")
    return written


def describe(trial: Trial) -> Row:
    """The part of the row that is known before anything runs."""
    commit, dirty = provenance.source_commit()
    return {
        "schema_version": SCHEMA_VERSION,
        "key": trial.key,
        "pair_key": trial.pair_key,
        "suite": trial.suite,
        "protocol": PROTOCOL,
        "stage": trial.stage,
        "exploratory": trial.exploratory,
        "task": trial.task.id,
        "task_version": trial.task.version,
        "data_hash": trial.facts.data_hash,
        "source_key": trial.source_key,
        "target_size": trial.target_size,
        "method": trial.method.name,
        "label": trial.label,
        "method_version": trial.method.version,
        "config": seeds.canonical(trial.config),
        "seed": trial.seed,
        "budget_steps": trial.steps,
        "tuning_configs": trial.tuning_configs,
        "tuning_seeds": trial.tuning_seeds,
        "engine": trial.engine,
        "engine_reason": trial.engine_reason,
        "lanes": 1,
        "threads": torch.get_num_threads(),
        "world_size": trial.world_size,
        "precision": trial.precision,
        "attempt": trial.attempt,
        "metric": trial.task.metric,
        "higher_is_better": trial.task.higher_is_better,
        "host": provenance.host(),
        "commit": commit,
        "dirty": dirty,
        "versions": provenance.versions() | packages.versions_of(type(trial.method), type(trial.task)),
    }


def _writable(trial: Trial, row: Row) -> Row:
    """The row, or one that says why it does not fit the schema: a method reports what is no text, for instance."""
    try:
        schema.table([{name: value for name, value in row.items() if name not in (CURVE, PREDICTIONS)}])
        return row
    except (TypeError, ValueError, ArithmeticError, pa.ArrowException) as error:
        return lost(trial, "failed", f"what it reports cannot be written: {_reason(error)}")


def lost(trial: Trial, status: str, reason: str) -> Row:
    """The row of a trial whose worker died with it."""
    moment = datetime.now(UTC)
    outcome = {"status": status, "reason": reason, "started_at": moment, "finished_at": moment}
    return describe(trial) | outcome | {"extra": _task_remarks(trial)}


def _measure(trial: Trial, store: Store, row: Row) -> nn.Module:
    """Fill in scores and costs as they become known. Returns: the network to be deployed."""
    start = _starting_point(trial, store, row)
    network = copy.deepcopy(start.network)
    with seeds.seeded(trial.pair_key, "new head"):
        head = trial.task.new_head()
    if head is not None:
        trial.task.retarget(network, head.to(store.device))
    objective = _adapt_and_fit(trial, store, network, head is not None, row)
    finished = objective.finish()
    row["total_parameters"] = sum(parameter.numel() for parameter in finished.parameters())
    row["trained_parameters"] = objective.trained_entries()
    row["artifact_bytes"] = sum(tensor.numel() * tensor.element_size() for tensor in objective.artifact().values())
    reported = objective.report()
    if reserved := sorted(RESERVED & set(reported)):
        raise ValueError(f"report() uses a name that is not the method's: {', '.join(reserved)}")
    row["extra"] = row["extra"] | reported
    row["evaluate_seconds"] = 0.0
    _score_target(trial, store, finished, row)
    if trial.method.pretrained:
        old_head = None if head is None else start.network.get_submodule(trial.task.head)
        _score_source(trial, store, finished, objective.recover(), old_head, row)
    return finished


def _starting_point(trial: Trial, store: Store, row: Row) -> Model:
    """The network the method starts from: prepared source model, source model, or an untrained one."""
    row["source_steps"] = 0
    if not trial.method.pretrained:
        return Model(store.untrained(trial.task, trial.pair_key), None, 0, 0.0)
    source = store.source(trial)
    row["score_source_before"] = source.score
    if not trial.prepares:
        return source
    if trial.facts.checkpoint is not None and trial.method.needs_source_data:
        row["extra"]["source_data"] = "none" if datasets(trial.task).source_train is None else "proxy"
    prepared = store.prepared(trial, source)
    row["score_source_prepared"] = prepared.score
    row["source_steps"] = prepared.steps
    row["prepare_seconds"] = prepared.seconds
    row["training_flops"] = prepared.flops
    return prepared


def _adapt_and_fit(trial: Trial, store: Store, network: nn.Module, new_head: bool, row: Row) -> Objective:
    task, method = trial.task, trial.method
    pool = datasets(task).target_pool
    train = data.copy(data.split(pool, trial.target_size, trial.draw_key)[0], store.device)
    tokens = task.tokens(train)
    view = problem(task, network, train, new_head=new_head, steps=trial.steps, predicted=store.predicted)
    deadline = time.monotonic() + trial.trial_seconds
    order_seed = seeds.derive(trial.pair_key, "target order")
    engine = store.engines[trial.engine]
    fit = Fit(engine, task.recipe, order_seed, trial.steps, method.learning_rate_factor, deadline, trial.key)
    started = cost.now(store.device)
    with seeds.seeded(trial.drawn_by.key, "adapt"):
        objective = method.adapt(network, view, fit)
        if not isinstance(objective, Objective):
            raise TypeError(f"{method.name}.adapt returned {type(objective).__name__}; expected an Objective")
        objective.to(store.device)
        row["search_steps"] = fit.steps_taken
        (result,) = fit([objective], train)
    if store.spread is not None and store.spread.resumed:
        row["extra"]["resumed_at_steps"] = ",".join(map(str, store.spread.resumed.values()))
    row["adapt_seconds"] = cost.now(store.device) - started - fit.untimed_seconds
    row["target_steps"] = result.steps
    row[CURVE] = result.curve
    row["engine"], row["lanes"] = result.engine, result.lanes
    row["engine_reason"] = "; ".join(filter(None, (trial.engine_reason, result.note)))
    prepared_flops = row.get("training_flops", 0.0)
    row["training_flops"] = None if None in (fit.flops, prepared_flops) else fit.flops + prepared_flops
    row["examples_per_second"] = fit.examples_seen / fit.train_seconds if fit.train_seconds else None
    if tokens is not None and row["examples_per_second"] is not None:
        row["extra"]["tokens_per_second"] = f"{row['examples_per_second'] * float(tokens.double().mean()):.1f}"
    if result.diverged:
        raise Diverged(f"the training loss or a weight became NaN or infinite within {result.steps} steps")
    return objective


def _score_target(trial: Trial, store: Store, finished: nn.Module, row: Row) -> None:
    """Validation score and, in the final stage only, the one reading of the test split."""
    task, predict = trial.task, store.engines[trial.engine].predict
    pool = datasets(task).target_pool
    validation = data.copy(data.split(pool, trial.target_size, trial.draw_key)[1], store.device)
    predicted, seconds = predict(task.predict, finished, validation)
    row["score_validation"] = _finite(float(task.score(predicted, validation)), "validation")
    row["evaluate_seconds"] += seconds
    if trial.stage == "final":
        test = data.copy(datasets(task).target_test, store.device)
        predicted, seconds = predict(task.predict, finished, test)
        row["score_test"] = _finite(float(task.score(predicted, test)), "test")
        row["evaluate_seconds"] += seconds
        row[PREDICTIONS], why_not = kept(predicted)
        row["extra"] |= {PREDICTIONS: why_not} if why_not else {}
        row["inference_seconds"] = predict(task.predict, finished, test)[1]


def _score_source(
    trial: Trial, store: Store, finished: nn.Module, recovered: nn.Module | None, old_head: nn.Module | None, row: Row
) -> None:
    """What is left of the source ability; where the target's head is new, the old one is put back first."""
    for column, network in (("score_source_after", finished), ("score_source_recovered", recovered)):
        if network is not None:
            if old_head is not None:
                network = copy.deepcopy(network)
                network.set_submodule(trial.task.head, copy.deepcopy(old_head))
            row[column], seconds = store.source_score(trial, network)
            row["evaluate_seconds"] += seconds


def _finite(score: float, split: str) -> float:
    if not torch.isfinite(torch.tensor(score)):
        raise Diverged(f"the {split} score is {score}")
    return score


def _task_remarks(trial: Trial) -> dict[str, str]:
    """What tables need to know of a task besides its name."""
    remarks = {"task_family": trial.task.name}
    anchors = trial.task.anchors()
    if anchors is not None:
        remarks |= {"anchor_zero": repr(anchors[0]), "anchor_one": repr(anchors[1])}
    if trial.task.negative_control:
        remarks["role"] = "negative_control"
    if trial.facts.checkpoint is not None:
        remarks["checkpoint"] = trial.facts.checkpoint
    return remarks


def _out_of_memory(error: BaseException) -> bool:
    """True for Python's, CUDA's and torch's CPU allocator's ways of saying so."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or any(
        words in message(error) for words in ("can't allocate memory", "bad_alloc")
    )


def _reason(error: BaseException) -> str:
    """The error in one line, with the innermost place it came from."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({frames[-1].filename.rpartition('/')[2]}:{frames[-1].lineno})" if frames else ""
    name = type(error).__name__
    said = message(error)
    return (f"{name}: {said}{place}" if said else f"raised {name}{place}")[:2000]


def warm_up(store: Store) -> None:
    """Train and score a small network once, so that no trial's timed section pays for a first call."""
    network = nn.Linear(2, 1).to(store.device)
    examples = {"inputs": torch.zeros(4, 2, device=store.device)}
    Fit(Plain(), Recipe(), 0, 2)(
        [Objective(network, lambda net, batch: net(batch["inputs"]).square().mean())], examples
    )


def run_pack(trials: Sequence[Trial], store: Store, exclusive_device: bool = False) -> list[Row]:
    """The rows of trials that share a worker: lanes side by side, the others one after the other.

    What lanes share is made first, all of it side by side: source models, then prepared networks.
    """
    store.forget_failures()
    if trials[0].engine != "lanes":
        return [run(trial, store, exclusive_device) for trial in trials]
    train_sources(trials, store)
    prepare_networks(trials, store)
    return store.together.run([partial(run, trial, store, exclusive_device) for trial in trials])


def train_sources(trials: Sequence[Trial], store: Store) -> None:
    """Train and cache the source models of trials ahead of them, those that can be lanes side by side."""
    needed = {trial.source_key: trial for trial in trials if trial.method.pretrained}
    store.together.run([partial(_ahead, trial, store, partial(store.source, trial)) for trial in needed.values()])


def prepare_networks(trials: Sequence[Trial], store: Store) -> None:
    """Prepare and cache the networks that trials start from ahead of them, those that can be lanes side by side."""
    needed = {trial.prepare_key: trial for trial in trials if trial.prepares}
    store.together.run([partial(_ahead, trial, store, partial(_prepare, trial, store)) for trial in needed.values()])


def _prepare(trial: Trial, store: Store) -> None:
    store.prepared(trial, store.source(trial))


def _ahead(trial: Trial, store: Store, work: Callable[[], object]) -> None:
    """Do the work, and leave what goes wrong to the trials that need it: each meets the same error in its own row."""
    note = store.together.note
    note.doing(trial.key)
    try:
        with process.kept(), seeds.seeded(trial.drawn_by.key, "ahead"), cost.time_limit(trial.trial_seconds, note):
            work()
    except BaseException:  # noqa: BLE001 - the trials that need it will say so
        return
    finally:
        note.doing("")
