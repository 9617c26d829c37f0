"""The contract of methods: what every method promises, tried on tiny problems."""

from __future__ import annotations

import copy
import dataclasses
import os
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch

from harness import seeds, settings
from harness.contract import fresh
from harness.contract.check import Check, Fault, NotChecked, checks, said, values_of
from harness.contract.engines import deepspeed_engine
from harness.contract.problem import SOURCE_STEPS, STEPS, TinyProblem, tiny_problems, with_recipe
from harness.contract.reach import alias, held_elsewhere
from harness.contract.rehearsal import Rehearsal, digest, prepared, prepares, rehearse, same, state
from harness.contract.watch import foreign, reset
from harness.errors import Declined, UserError
from harness.method import Method
from harness.objective import Objective
from harness.settings import Choice, Distribution
from harness.together import Together

SECTIONS = ("Equation:", "Source:", "Deviations and open points:")

DRAW = "draw from torch's, numpy's or random's global generators, which the trial has seeded, and seed none yourself"


class MethodUnderTest:
    """A method, and what it does on each problem, worked out once.

    problems: tiny ones where none are given; a method that needs another kind of network brings its own.
    """

    def __init__(self, method: Method, problems: Sequence[TinyProblem] = ()) -> None:
        self.method = method
        self.problems = tuple(problems) or tiny_problems()
        self._outcomes: dict[str, Rehearsal | BaseException] = {}
        self._laned: dict[str, Rehearsal] = {}

    def outcome(self, problem: TinyProblem) -> Rehearsal | BaseException:
        """What the method did on a problem, or what it raised."""
        if problem.name not in self._outcomes:
            try:
                self._outcomes[problem.name] = rehearse(self.method, problem, watched=True)
            except (Exception, SystemExit) as error:  # noqa: BLE001 - a method is anybody's code
                self._outcomes[problem.name] = error
        return self._outcomes[problem.name]

    def each(self) -> Iterator[Rehearsal]:
        """What the method did wherever it ran. Raises: NotChecked where it ran nowhere."""
        ran = [found for problem in self.problems if isinstance(found := self.outcome(problem), Rehearsal)]
        if not ran:
            raise NotChecked("it runs on no problem; see `runs`")
        yield from ran

    def laned(self, problem: TinyProblem) -> Rehearsal:
        """What the method does on a problem as the only lane of a computation."""
        if problem.name not in self._laned:
            (self._laned[problem.name],) = side_by_side([(self.method, problem)])
        return self._laned[problem.name]

    def variants(self, names: Sequence[str] | None = None) -> Iterator[tuple[str, list[Method]]]:
        """For each hyper-parameter the same method with other legal values of it; none where none is known."""
        rng = np.random.default_rng(0)
        for field in dataclasses.fields(self.method):
            if names is None or field.name in names:
                values = _others(self.method, field, rng)
                made = [with_value(self.method, field.name, value) for value in values]
                yield field.name, [method for method in made if method is not None][:4]


def with_value(method: Method, name: str, value: object) -> Method | None:
    """The method with another value of one hyper-parameter; None if that is not legal."""
    given = {field.name: getattr(method, field.name) for field in dataclasses.fields(method)} | {name: value}
    try:
        made: Method = settings.build(type(method), given, "here")
    except UserError:
        return None
    return made


def _others(method: Method, field: Any, rng: np.random.Generator) -> list[Any]:
    """Values of a hyper-parameter other than its own: from the space, else from its range."""
    now = getattr(method, field.name)
    space = method.space.get(field.name)
    if space is not None:
        tried = [*space.options] if isinstance(space, Choice) else [space.low, space.high]
        tried += [space.sample(rng) for _ in range(8)]
    elif field.metadata.get("options"):
        tried = list(field.metadata["options"])
    elif isinstance(now, bool):
        tried = [not now]
    elif isinstance(now, int | float):
        kind = type(now)
        tried = [kind(now * 2 + 1), kind(now / 2), field.metadata.get("low"), field.metadata.get("high")]
    else:
        tried = []
    return [value for value in dict.fromkeys(tried) if value is not None and value != now]


def class_facts(under_test: MethodUnderTest) -> None:
    """A method is a frozen dataclass with a name, a version and a paper, and equal settings make equal methods."""
    method = under_test.method
    cls = type(method)
    for fact in ("name", "version", "paper"):
        if not isinstance(getattr(cls, fact, None), str) or not getattr(cls, fact):
            raise Fault(f"class {cls.__name__} lacks the text {fact!r}", f'write {fact} = "..." in the class')
    if not cls.name.isidentifier():
        raise Fault(f"the name {cls.name!r} is no identifier", "use small letters, digits and underscores")
    try:
        equal = hash(method) == hash(copy.deepcopy(method)) and method == copy.deepcopy(method)
        seeds.canonical(dataclasses.asdict(method))
    except (TypeError, ValueError) as error:
        raise Fault(f"hyper-parameters that are no values ({error})", "use numbers, texts or tuples of them") from error
    if not equal:
        raise Fault("a copy of it is not equal to it", "leave __eq__ and __hash__ to the dataclass")


def docstring(under_test: MethodUnderTest) -> None:
    """The docstring says what the method is, its equation, its source, and where it departs from that."""
    text = type(under_test.method).__doc__ or ""
    missing = [section for section in SECTIONS if section not in text]
    if missing or not text.strip():
        raise Fault(f"the docstring lacks {values_of(missing)}", "write these sections; `methods/l2_sp.py` has them")


def space(under_test: MethodUnderTest) -> str | None:
    """Whatever the search space can draw is legal, and it holds the default configuration."""
    method = under_test.method
    cls, names = type(method), {field.name for field in dataclasses.fields(method)}
    if not all(isinstance(distribution, Distribution) for distribution in cls.space.values()):
        raise Fault(f"space = {cls.space!r}", "give each field a LogUniform, a Uniform or a Choice")
    if unknown := sorted(set(cls.space) - names):
        raise Fault(f"the space names {values_of(unknown)}, which is no field", "name fields of the dataclass")
    rng = np.random.default_rng(0)
    for name, distribution in cls.space.items():
        ends = distribution.options if isinstance(distribution, Choice) else (distribution.low, distribution.high)
        for value in (*ends, *(distribution.sample(rng) for _ in range(20))):
            try:
                settings.build(cls, {name: value}, "drawn from the space")
            except UserError as error:
                raise Fault(str(error), "narrow the space, or widen the field's low, high or options") from error
        default = next(field.default for field in dataclasses.fields(cls) if field.name == name)
        if not _holds(distribution, default):
            mend = "put the default inside: it is the first configuration that tuning tries"
            raise Fault(f"the default {name} = {default!r} lies outside its space {distribution}", mend)
    return None if cls.space else "nothing to tune: the suite's configurations all are the default"


def _holds(distribution: Distribution, value: Any) -> bool:
    if isinstance(distribution, Choice):
        return value in distribution.options
    return isinstance(value, int | float) and distribution.low <= value <= distribution.high


def ranges(under_test: MethodUnderTest) -> str | None:
    """Hyper-parameters have a legal range, and what a suite gives outside it is refused."""
    method, open_ends = under_test.method, []
    for field in dataclasses.fields(method):
        if field.metadata.get("place"):
            continue
        low, high, options = (field.metadata.get(name) for name in ("low", "high", "options"))
        if low is None and high is None and not options and not isinstance(field.default, bool | str):
            open_ends.append(field.name)
        given = {field.name: getattr(method, field.name)}
        try:
            settings.build(type(method), given, "the default")
        except UserError as error:
            raise Fault(str(error), "put the default inside its own range") from error
        wrong = [low - 1] if low is not None else [high + 1] if high is not None else ["no such option"] * bool(options)
        if wrong and with_value(method, field.name, wrong[0]) is not None:
            raise Fault(f"{field.name} = {wrong[0]!r} is accepted", "declare the field by `setting(...)`")
    return f"no range: {values_of(open_ends)}; `setting(default, low=..., high=...)` gives one" if open_ends else None


def pickling(under_test: MethodUnderTest) -> None:
    """A method can be sent to another process and is the same there."""
    method = under_test.method
    try:
        sent = fresh.sent(method)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - somebody else's __reduce__
        mend = "keep what cannot be pickled (functions, generators, open files, locks) out of the instance"
        raise Fault(f"it cannot be pickled ({said(error)})", mend) from error
    if sent != method or dataclasses.asdict(sent) != dataclasses.asdict(method):
        raise Fault("after pickling it is not equal to what it was", "keep all of its state in the dataclass's fields")


def runs(under_test: MethodUnderTest) -> str | None:
    """It prepares, adapts and trains on every tiny problem, or declines with a reason."""
    declined = []
    for problem in under_test.problems:
        found = under_test.outcome(problem)
        if isinstance(found, Declined):
            if not str(found).strip():
                raise Fault(f"{problem.name}: declined without a reason", 'raise Declined("why")')
            declined.append(f"{problem.name} ({found})")
        elif isinstance(found, BaseException):
            mend = "run it there: MethodUnderTest(method).outcome(problem) holds the error with its traceback"
            raise Fault(f"{problem.name}: {said(found)}", mend)
        elif found.fitted.diverged or not np.isfinite(found.losses).all():
            raise Fault(f"{problem.name}: the loss is not finite", "look at the penalty and the learning-rate factor")
    if len(declined) == len(under_test.problems):
        raise NotChecked(f"declined everywhere: {'; '.join(declined)}. Give MethodUnderTest problems that it takes")
    return f"declined: {'; '.join(declined)}" if declined else None


def training(under_test: MethodUnderTest) -> str | None:
    """Training on the target lowers the objective."""
    idle = []
    for run in under_test.each():
        if not run.trained():
            idle.append(run.problem.name)
        elif not run.losses[1] < run.losses[0]:
            seen = f"{run.problem.name}: {run.losses[0]:.4g} before {STEPS} steps, {run.losses[1]:.4g} after"
            raise Fault(seen, "see that what should train has requires_grad and that the penalty does not outweigh it")
    return f"nothing trains on {'; '.join(idle)}" if idle else None


def frozen(under_test: MethodUnderTest) -> None:
    """What is not declared to train stays bitwise what it was; what is declared moves; under every optimizer."""
    ways = ({}, {"optimizer": "adamw", "weight_decay": 0.1}, {"optimizer": "sgd", "learning_rate": 1e-2})
    for way in ways:
        for run in under_test.each():
            if way:
                run = rehearse(under_test.method, with_recipe(run.problem, **way))
            where = f"{run.problem.name}, {way.get('optimizer', 'adam')}"
            after = {**dict(run.objective.named_parameters()), **dict(run.objective.named_buffers())}
            trained = run.trained()
            for name, before in run.before.items():
                moved = name not in after or not torch.equal(after[name], before)
                if name not in trained and moved:
                    mend = "change no frozen weight and no buffer in place; let it train, or compute it anew"
                    raise Fault(f"{where}: {name!r} moves although it does not train", mend)
                if name in trained and not way and not moved:
                    mend = f"freeze it ({name}.requires_grad_(False)), or let the loss depend on it"
                    raise Fault(f"{where}: {name!r} is declared to train and never moves", mend)
            if run.moved() > run.objective.trained_entries():
                seen = f"{run.moved()} entries move, trained_entries() says {run.objective.trained_entries()}"
                raise Fault(f"{where}: {seen}", "hold frozen entries in a tensor of their own; weight decay moves all")


def counts(under_test: MethodUnderTest) -> None:
    """It says at most what it declares: trained entries, steps, remarks, and finite tensors to store."""
    from harness.trial import RESERVED  # it imports much that a method's test does not need

    method = under_test.method
    for run in under_test.each():
        objective, where = run.objective, run.problem.name
        declared = sum(p.numel() for p in objective.parameters() if p.requires_grad)
        if not 0 <= objective.trained_entries() <= declared or bool(declared) != bool(objective.trained_entries()):
            seen = f"{where}: trained_entries() is {objective.trained_entries()}, {declared} are declared to train"
            raise Fault(seen, "count the entries that can move")
        planned = method.planned_steps(STEPS, SOURCE_STEPS, len(run.problem.blocks))
        if run.steps > planned:
            seen = f"{where}: {run.steps} steps taken, planned_steps() says at most {planned}"
            raise Fault(seen, "count every `fit` in planned_steps; `pacbench plan` estimates with it")
        remarks = objective.report()
        if not all(isinstance(text, str) for item in remarks.items() for text in item) or RESERVED & set(remarks):
            mend = f"report texts only, under names other than {values_of(sorted(RESERVED))}"
            raise Fault(f"{where}: report() gives {remarks!r}", mend)
        artifact = objective.artifact()
        if not all(t.isfinite().all() for t in artifact.values()) or (declared and not artifact):
            raise Fault(f"{where}: artifact() is empty or not finite", "give what rebuilds the finished network")


def determinism(under_test: MethodUnderTest) -> str | None:
    """One seed gives one result, whatever ran before and whatever the global random state; another gives another."""
    draws = False
    for run in under_test.each():
        where, method = run.problem.name, under_test.method
        if run.fitted.curve != () and run.trained():
            rehearse(method, run.problem.other(), key="somebody else's")
        with seeds.seeded(where, "another global random state"):
            again = rehearse(method, run.problem)
        if not same(run.finished(), again.finished()) or run.losses != again.losses:
            raise Fault(f"{where}: the same seed gives another result when it runs again", DRAW)
        other = rehearse(method, run.problem, key="another key", watched=True)
        draws = draws or not same(run.finished(), other.finished())
        for moment, states in run.random.items():
            if generator := reset(states, other.random[moment]):
                seen = f"{where}: {moment} the global generator of {generator} is the same under two seeds"
                raise Fault(f"{seen}: the method seeds it", DRAW)
        if foreign_seed := foreign(run.seeded, other.seeded):
            given = f"with {foreign_seed.seed}" if foreign_seed.seed else "without a seed"
            seen = f"{where}: {foreign_seed.what} {given} at {foreign_seed.place}, whatever the trial's seed"
            raise Fault(seen, DRAW)
        batches = rehearse(method, run.problem, order_seed=8)
        if run.trained() and same(run.finished(), batches.finished()):
            mend = "train by the `fit` that the method is handed, or leave training to the harness"
            raise Fault(f"{where}: other batches give the same result", mend)
    return "it draws" if draws else "it draws nothing of its own"


def fresh_process(under_test: MethodUnderTest) -> str | None:
    """A process that has run nothing else gives the same result."""
    runs_here = {run.problem.name: run for run in under_test.each()}
    if any(problem not in tiny_problems() for problem in under_test.problems):
        raise NotChecked("problems of one's own are not sent to another process")
    try:
        (there,) = fresh.results([under_test.method], "method")
    except fresh.NotThere as error:
        mend = "define the class at the top of an importable module; workers import it by that name"
        raise Fault(str(error), mend) from error
    for name, run in runs_here.items():
        mine = [digest(run.finished()), list(run.losses)]
        if not _equal(mine, there.get(name)):
            mend = "keep nothing in module globals or class attributes between trials, and iterate over no set"
            raise Fault(f"{name}: {_text(mine)} here, {_text(there.get(name))} in a process of its own", mend)
    return None


def _equal(mine: list[Any], there: Any) -> bool:
    """Bitwise where MKL rounds alike wherever numbers lie in memory, else about equal losses."""
    if "MKL_CBWR" in os.environ or there is None:
        return mine == there
    return bool(np.allclose(mine[1], there[1], rtol=1e-3))


def _text(result: Any) -> str:
    return "nothing" if result is None else f"loss {result[1][1]:.6g} (weights {result[0][:8]})"


def given_things(under_test: MethodUnderTest) -> None:
    """Training examples and the networks of other trials stay as they were."""
    before = {problem.name: state(problem.network) for problem in under_test.problems}
    for run in under_test.each():
        if run.touched:
            raise Fault(f"{run.problem.name}: examples are changed in place", "copy what you change (tensor.clone())")
    for problem in under_test.problems:
        if not same(before[problem.name], state(problem.network)):
            raise Fault(f"{problem.name}: the source network of others is changed", "change only what is handed over")


def finish(under_test: MethodUnderTest) -> None:
    """finish() gives a plain network of the source's structure that computes what was trained, in memory of its own."""
    for run in under_test.each():
        where, objective, reference = run.problem.name, run.objective, run.problem.network
        before = _objective_state(objective)
        finished = objective.finish()
        if _shapes(finished) != _shapes(reference) or _kinds(finished) != _kinds(reference):
            mend = "fold adapters and masks into the weights; `Objective.finish` folds parametrizations"
            raise Fault(f"{where}: the finished network has another structure than the one handed over", mend)
        if finished.training:
            raise Fault(f"{where}: the finished network is in training mode", "call .eval() on it")
        objective.eval()
        with torch.no_grad():
            inputs = run.problem.target["inputs"]
            if not torch.allclose(finished(inputs), objective.network(inputs), atol=1e-4, rtol=1e-4):
                raise Fault(f"{where}: it computes something else than what was trained", "fold every part of a weight")
            for parameter in finished.parameters():
                parameter.add_(1.0)
        if not same(before, _objective_state(objective)):
            raise Fault(f"{where}: it shares memory with the objective", "finish a copy (copy.deepcopy)")
        recovered = objective.recover()
        if recovered is not None and _shapes(recovered) != _shapes(reference):
            raise Fault(f"{where}: recover() gives another structure", "give back the source network, or None")


def _objective_state(objective: Objective) -> dict[str, torch.Tensor]:
    named = (*objective.named_parameters(), *objective.named_buffers())
    return {name: tensor.detach().clone() for name, tensor in named}


def _shapes(network: torch.nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}


def _kinds(network: torch.nn.Module) -> list[type]:
    return [type(module) for module in network.modules()]


def anchors(under_test: MethodUnderTest) -> None:
    """What is remembered of a weight is a copy: nothing frozen shares memory with a weight that trains."""
    mend = "copy it: weight.detach().clone(), as a frozen nn.Parameter or a buffer"
    for run in under_test.each():
        if found := alias(run.objective):
            raise Fault(f"{run.problem.name}: {found[0]} shares memory with {found[1]!r}, which trains", mend)
        held = held_elsewhere(run.objective) if run.trained() else None
        if held is not None and (penalty := run.objective.penalty()) is not None and not penalty.detach().any():
            seen = f"{run.problem.name}: {held!r} itself is held beside the modules, and the penalty is 0 after training"
            raise Fault(seen, mend)


def prepare_reads(under_test: MethodUnderTest) -> str | None:
    """prepare() reads no hyper-parameter but those in prepare_fields, whose results others share."""
    method = under_test.method
    names = {field.name for field in dataclasses.fields(method)}
    if unknown := sorted(set(method.prepare_fields or ()) - names):
        raise Fault(f"prepare_fields names {values_of(unknown)}, which is no field", "name fields of the dataclass")
    if not prepares(method):
        return "nothing is prepared"
    if method.prepare_fields is None:
        return "prepare_fields is None: nothing prepared is shared between configurations; name what prepare reads"
    others = names - set(method.prepare_fields)
    for run in under_test.each():
        expected = prepared(method, run.problem)
        for name, variants in under_test.variants(sorted(others)):
            for variant in variants[:2]:
                if not same(expected, prepared(variant, run.problem)):
                    seen = f"{run.problem.name}: prepare gives another network with {name} = {getattr(variant, name)!r}"
                    raise Fault(seen, f"add {name!r} to prepare_fields, or do not read it there")
    return None


def hyper_parameters(under_test: MethodUnderTest) -> None:
    """Every hyper-parameter that is tuned changes the result."""
    ran = list(under_test.each())
    for name, variants in under_test.variants(list(under_test.method.space)):
        if variants and not any(_differs(variant, run) for run in ran for variant in variants):
            tried = values_of(repr(getattr(variant, name)) for variant in variants)
            mend = "use it, or take it out of the space: tuning spends its configurations on it"
            raise Fault(f"{name} changes nothing (tried {tried})", mend)


def _differs(variant: Method, run: Rehearsal) -> bool:
    try:
        return not same(run.finished(), rehearse(variant, run.problem).finished())
    except (Exception, SystemExit):  # noqa: BLE001 - declined or failing is different, too
        return True


def lanes(under_test: MethodUnderTest) -> str | None:
    """The engine `lanes` trains it like the plain one, or says why it must train alone."""
    notes = {}
    for run in under_test.each():
        laned = under_test.laned(run.problem)
        if not np.allclose(laned.losses, run.losses, rtol=2e-2, atol=1e-4):
            seen = f"{run.problem.name}: the loss ends at {laned.losses[1]:.6g} in lanes, {run.losses[1]:.6g} alone"
            raise Fault(seen, "keep the forward pure: it may read the objective's tensors and the batch, nothing else")
        if laned.fitted.note:
            notes[run.problem.name] = laned.fitted.note
    reasons = sorted(set(notes.values()))
    return f"trains alone: {'; '.join(reasons)} ({values_of(notes)}); this costs time, no number" if notes else None


def lane_isolation(under_test: MethodUnderTest) -> None:
    """Trials that run side by side do not touch each other: each ends in company as it does alone."""
    for run in _first_and_last(under_test):
        problem, method = run.problem, under_test.method
        works = [(method, problem), (method, problem.other()), *((other, problem) for other in _elsewhere(run, method))]
        alone = [under_test.laned(problem), *(side_by_side([work])[0] for work in works[1:])]
        for (tried, _), one, other in zip(works, alone, side_by_side(works), strict=True):
            if not _alike(one, other):
                where = f"{problem.name}, {plan_text(tried)}"
                mend = (
                    "keep what a trial knows in its own objective, as buffers or frozen parameters, not in globals or "
                    "class attributes; name in `bookkeeping` only what the forward does not read"
                )
                raise Fault(f"{where}: ends at {other.losses[1]:.6g} beside others, {one.losses[1]:.6g} alone", mend)


def _first_and_last(under_test: MethodUnderTest) -> list[Rehearsal]:
    ran = [*under_test.each()]
    return ran if len(ran) < 2 else [ran[0], ran[-1]]


def _elsewhere(run: Rehearsal, method: Method) -> list[Method]:
    """The method with every hyper-parameter changed, or where that does not run with the tuned ones changed."""
    for names in (None, list(method.space)):
        changed: Method | None = method
        for name, variants in MethodUnderTest(method).variants(names):
            if variants:
                changed = with_value(changed, name, getattr(variants[-1], name)) or changed
        if changed != method and _runs(changed, run.problem):
            return [changed]
    return []


def plan_text(method: Method) -> str:
    """A method's hyper-parameters in words."""
    return ", ".join(f"{field.name} {getattr(method, field.name)!r}" for field in dataclasses.fields(method))


def side_by_side(works: Sequence[tuple[Method, TinyProblem]]) -> list[Rehearsal]:
    """What methods do on problems as lanes of shared computations."""
    engine = Together()
    return engine.run([partial(rehearse, method, problem, engine=engine) for method, problem in works])


def _runs(method: Method, problem: TinyProblem) -> bool:
    try:
        return bool(np.isfinite(rehearse(method, problem).losses).all())
    except (Exception, SystemExit):  # noqa: BLE001 - an extreme value may fail; `runs` speaks of the default
        return False


def _alike(one: Rehearsal, other: Rehearsal) -> bool:
    if "MKL_CBWR" in os.environ:
        return same(one.finished(), other.finished())
    return bool(np.allclose(one.losses, other.losses, rtol=1e-3, atol=1e-6))


def deepspeed(under_test: MethodUnderTest) -> str | None:
    """The engine `deepspeed` trains it like the plain one, where it is installed."""
    engine = deepspeed_engine()
    if engine is None:
        raise NotChecked("the engine is not installed here")
    for run in under_test.each():
        sharded = rehearse(under_test.method, run.problem, engine=engine)
        if not np.allclose(sharded.losses, run.losses, rtol=2e-2, atol=1e-4):
            seen = f"{run.problem.name}: the loss ends at {sharded.losses[1]:.6g} there, {run.losses[1]:.6g} alone"
            raise Fault(seen, "hold what is remembered in frozen parameters and buffers")
    return None


def equation_test(under_test: MethodUnderTest) -> str:
    """A test of the identity that defines the paper: the checks above cannot know it."""
    mend = "write a test of the docstring's equation that turns red when the line that makes it true is deleted"
    for run in under_test.each():
        plain = rehearse(_PlainFineTuning(under_test.method.learning_rate_factor), run.problem)
        if under_test.method.pretrained and not prepares(under_test.method) and same(run.finished(), plain.finished()):
            return f"{run.problem.name}: it ends exactly where fine-tuning does; is its own part there? Then {mend}"
    return mend


@dataclasses.dataclass(frozen=True)
class _PlainFineTuning(Method):
    """The loss over all weights, to compare with."""

    name = "_plain_fine_tuning"
    version = "1"
    paper = "none"

    def adapt(self, network: torch.nn.Module, target: Any, fit: Any) -> Objective:
        return Objective(network, target.loss)


METHOD_CHECKS: tuple[Check[MethodUnderTest], ...] = checks(
    class_facts,
    docstring,
    space,
    ranges,
    pickling,
    runs,
    training,
    frozen,
    counts,
    determinism,
    fresh_process,
    given_things,
    finish,
    anchors,
    prepare_reads,
    hyper_parameters,
    lanes,
    lane_isolation,
    deepspeed,
    equation_test,
    hints=("equation_test",),
)
