"""pacbench from Python: plan and run suites, read rows as Arrow tables, and judge methods, in a notebook or a script.

    import pacbench

    campaign = pacbench.run("quick", "runs/quick")
    pacbench.compare(campaign, "pac", "fine_tuning")

Every function does what the command of its name does, with the same code. What they return are values: rows as
`pyarrow.Table`, everything else as frozen dataclasses that show themselves as text, and as tables in Jupyter. A mistake
of the caller's raises `UserError` with the message that the command would print.
"""

from __future__ import annotations

from harness.errors import PacbenchError, UserError
from harness.shadowed import refuse_shadowed_packages

refuse_shadowed_packages()  # before anything of theirs is imported in place of ours

from pacbench.campaigns import Campaign, status  # noqa: E402
from pacbench.claims import Board, Comparisons, compare, leaderboard  # noqa: E402
from pacbench.planning import Plan, plan  # noqa: E402
from pacbench.reports import Report, publish, report  # noqa: E402
from pacbench.rows import board, read  # noqa: E402
from pacbench.running import run  # noqa: E402
from pacbench.suites import Suite, suite  # noqa: E402

__all__ = [
    "Board",
    "Campaign",
    "Comparisons",
    "PacbenchError",
    "Plan",
    "Report",
    "Suite",
    "UserError",
    "board",
    "compare",
    "leaderboard",
    "plan",
    "publish",
    "read",
    "report",
    "run",
    "status",
    "suite",
]
