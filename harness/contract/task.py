"""The contract of tasks: every check, in the order in which a report shows them."""

from __future__ import annotations

from harness.contract import task_data as data
from harness.contract import task_form as form
from harness.contract import task_functions as functions
from harness.contract.check import Check, checks
from harness.contract.task_under_test import TaskUnderTest

TASK_CHECKS: tuple[Check[TaskUnderTest], ...] = checks(
    form.class_facts,
    form.docstring,
    form.parameters,
    form.pickling,
    data.data,
    data.splits,
    data.disjoint,
    data.distribution,
    form.network,
    form.head_and_blocks,
    form.retarget,
    functions.loss,
    functions.test_split,
    functions.handles,
    functions.predicting,
    functions.scoring,
    functions.anchors,
    data.source_part,
    functions.training,
    data.fresh_process,
    data.equation_test,
    hints=("equation_test",),
)
