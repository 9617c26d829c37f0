"""The contract of methods: every check, in the order in which a report shows them."""

from __future__ import annotations

from harness.contract import method_draws as draws
from harness.contract import method_engines as engines
from harness.contract import method_form as form
from harness.contract import method_training as training
from harness.contract.check import Check, checks
from harness.contract.method_under_test import MethodUnderTest

METHOD_CHECKS: tuple[Check[MethodUnderTest], ...] = checks(
    form.class_facts,
    form.docstring,
    form.space,
    form.ranges,
    form.pickling,
    training.runs,
    training.training,
    training.frozen,
    training.counts,
    draws.determinism,
    draws.fresh_process,
    training.given_things,
    training.finish,
    training.anchors,
    draws.prepare_reads,
    draws.hyper_parameters,
    engines.lanes,
    engines.lane_isolation,
    engines.deepspeed,
    training.equation_test,
    hints=("equation_test",),
)
