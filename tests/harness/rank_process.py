"""Ranks without Ray: processes of this machine that form a group, each with the engine deepspeed, and do some work."""

from __future__ import annotations

import copy
import multiprocessing
import os
import warnings

import torch
from ray import cloudpickle
from torch import distributed

from harness import data, seeds
from harness.fit import Fit
from harness.ranks import join
from harness.source import problem


def on_ranks(sharding, work, checkpoints=None, seconds=200):
    """What `work(engine)` returns on each rank, in processes of their own. Raises: EOFError if one ends without."""
    os.environ["DS_ACCELERATOR"] = "cpu"
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.harness.rank_process", "deepspeed", "transformers", "torch._dynamo"])
    met = distributed.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    content = cloudpickle.dumps((sharding, work, checkpoints, met.port))
    pipes, children = [], []
    for rank in range(sharding.ranks):
        receiving, sending = context.Pipe(duplex=False)
        children.append(context.Process(target=_rank, args=(sending, rank, content), daemon=True))
        children[-1].start()
        sending.close()
        pipes.append(receiving)
    try:
        answers = []
        for pipe in pipes:
            assert pipe.poll(seconds), "a rank gave no answer"
            answers.append(cloudpickle.loads(pipe.recv_bytes()))
        return answers
    finally:
        for child in children:
            child.kill()


def _rank(sending, rank, content):
    warnings.simplefilter("ignore")
    sharding, work, checkpoints, port = cloudpickle.loads(content)
    torch.set_num_threads(1)
    join(rank, sharding.ranks, ("127.0.0.1", port), torch.device("cpu"), 60)
    from harness.engines.deepspeed import DeepSpeed

    answer = work(DeepSpeed(sharding, torch.device("cpu"), checkpoints))
    distributed.barrier()
    sending.send_bytes(cloudpickle.dumps(answer))
    os._exit(0)


def transferred(engine, method, task, sets, steps, allocate=4, n=40):
    """One method on one task, by any engine: the objective it trained, the result, and its frozen tensors before.

    Everything else is fixed: initial weights, examples (`sets`, the task's), head and batches.
    """
    train = data.split(sets.target_pool, n, "draw")[0]
    source = {name: tensor[:64] for name, tensor in sets.source_train.items()}

    def predicted(predict, network, examples):
        return engine.predict(predict, network, examples)[0]

    with seeds.seeded("tests", "network"):
        network = task.network()
    with seeds.seeded("tests", "prepare"):
        fit = Fit(engine, task.recipe, 1, allocate, name="prepare")
        view = problem(task, network, source, new_head=False, steps=allocate, predicted=predicted)
        network = method.prepare(network, view, fit)
    with seeds.seeded("tests", "head"):
        head = task.new_head()
    if head is not None:
        task.retarget(network, head)
    fit = Fit(engine, task.recipe, 2, steps, name="adapt")
    view = problem(task, network, train, new_head=head is not None, steps=steps, predicted=predicted)
    with seeds.seeded("tests", "adapt"):
        objective = method.adapt(network, view, fit)
        before = {name: copy.deepcopy(p.detach()) for name, p in objective.named_parameters() if not p.requires_grad}
        (result,) = fit([objective], train)
    return objective, result, before, fit
