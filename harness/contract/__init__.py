"""The contract of methods and tasks, as checks that `pacbench check` runs and a test suite can.

In the test file of a package with a method:

    import pytest
    from harness.contract import METHOD_CHECKS, MethodUnderTest
    from my_package import MyMethod

    UNDER_TEST = MethodUnderTest(MyMethod())

    @pytest.mark.parametrize("check", METHOD_CHECKS, ids=str)
    def test_it_keeps_the_contract(check):
        check(UNDER_TEST)

With a task: TASK_CHECKS and TaskUnderTest. A check raises an AssertionError that says what is wrong and how to mend it.
"""

from harness.contract.check import Check, Fault, Finding, NotChecked
from harness.contract.method import METHOD_CHECKS
from harness.contract.method_under_test import MethodUnderTest
from harness.contract.problem import TinyProblem, tiny_problem, tiny_problems
from harness.contract.rehearsal import Rehearsal, rehearse
from harness.contract.task import TASK_CHECKS
from harness.contract.task_under_test import TaskUnderTest

__all__ = [
    "METHOD_CHECKS",
    "TASK_CHECKS",
    "Check",
    "Fault",
    "Finding",
    "MethodUnderTest",
    "NotChecked",
    "Rehearsal",
    "TaskUnderTest",
    "TinyProblem",
    "rehearse",
    "tiny_problem",
    "tiny_problems",
]
