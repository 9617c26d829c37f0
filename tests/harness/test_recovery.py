"""Who is to blame for a lost worker, and what runs again: decisions without processes."""

from __future__ import annotations

import dataclasses

from harness.plan import Pack
from harness.recovery import NODE_LOSSES, STRIKES, Job, Loss, Recovery
from methods import METHODS
from tasks import TASKS
from tests.harness.test_isolation import make_trial


def trials(count):
    task, method = TASKS["friedman1"](), METHODS["scratch"]()
    return tuple(make_trial(task, method, seed=seed) for seed in range(count))


def played(count, guilty, cause="died", named=True, last=False):
    """Run packs in a world where these trials bring down their worker; the restarts it takes, and what ended how."""
    recovery, ended, exhausted, done, restarts = Recovery(), {}, set(), set(), 0
    todo = [Job(Pack("trials", trials(count)), last)]
    while todo:
        job = todo.pop(0)
        bad = [trial for trial in job.pack.trials if trial.seed in guilty]
        if not bad:
            done |= {trial.seed for trial in job.pack.trials}
            continue
        restarts += 1
        loss = Loss(cause, "words", bad[0].key if named else "")
        decision = recovery.decide(job, loss, job.pack.trials)
        todo += [again for again, _ in decision.again]
        ended |= {trial.seed: (status, reason) for trial, status, reason in decision.ended}
        exhausted |= {trial.seed for trial in decision.exhausted}
    return restarts, ended, exhausted, done


def test_a_named_culprit_costs_three_restarts_and_the_others_one():
    """The trial that ran when the worker died is suspected; the others run again together."""
    restarts, ended, _, done = played(48, {7})
    assert restarts == STRIKES
    assert set(ended) == {7}
    assert ended[7][0] == "failed"
    assert "died while this trial ran, 3 times" in ended[7][1]
    assert done == set(range(48)) - {7}


def test_an_unknown_culprit_is_found_by_halving():
    """Restarts grow with the logarithm of the pack, not with its size."""
    restarts, ended, _, done = played(48, {7}, named=False)
    assert restarts <= 6 + STRIKES
    assert set(ended) == {7}
    assert done == set(range(48)) - {7}


def test_several_culprits_are_all_found():
    """Each of them ends, and nobody else."""
    _, ended, _, done = played(20, {0, 7, 19}, named=False)
    assert set(ended) == {0, 7, 19}
    assert done == set(range(20)) - set(ended)


def test_one_that_is_deaf_to_its_time_limit_ends_at_once():
    """There is no doubt who it was."""
    restarts, ended, _, done = played(10, {3}, cause="timeout")
    assert restarts == 1
    assert ended[3][0] == "timeout"
    assert len(done) == 9


def test_memory_has_one_more_chance():
    """First with more memory, then `oom` is the result."""
    restarts, ended, exhausted, done = played(10, {3}, cause="memory")
    assert (restarts, ended, exhausted, len(done)) == (1, {}, {3}, 9)
    _, ended, exhausted, _ = played(1, {0}, cause="memory", last=True)
    assert ended[0][0] == "oom"
    assert not exhausted


def test_a_lost_node_is_nobodys_fault_but_not_for_ever():
    """The whole pack runs again after waits that double; it is given up in the end."""
    recovery, job, waits = Recovery(), Job(Pack("trials", trials(4))), []
    for _ in range(NODE_LOSSES - 1):
        decision = recovery.decide(job, Loss("node", "node n was lost"), job.pack.trials)
        ((job, wait),) = decision.again
        waits.append(wait)
        assert len(job.pack.trials) == 4
    assert waits == sorted(waits)
    assert waits[1] == 2 * waits[0]
    decision = recovery.decide(job, Loss("node", "node n was lost"), job.pack.trials)
    assert not decision.again
    assert {status for _, status, _ in decision.ended} == {"failed"}


def test_what_is_committed_is_not_run_again():
    """A worker that died after its commit leaves nothing to do; one with a part done only the rest."""
    job = Job(Pack("trials", trials(4)))
    assert not Recovery().decide(job, Loss("died", "words"), []).again
    (again,) = Recovery().decide(job, Loss("node", "words"), job.pack.trials[2:]).again
    assert again[0].pack.trials == job.pack.trials[2:]
    assert dataclasses.replace(again[0], before="") == Job(Pack("trials", job.pack.trials[2:]))
