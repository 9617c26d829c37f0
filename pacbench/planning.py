"""What a suite would run, and about how long."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from rich.console import Console

from pacbench import show
from pacbench.campaigns import Campaign
from pacbench.suites import Given, suite


@dataclass(frozen=True, repr=False)
class Plan:
    """What `pacbench plan --json` prints. Estimates hold for this machine; ``note`` says what they are not made of."""

    suite: str
    tasks: list[str]
    methods: list[str]
    target_sizes: list[int]
    trials: int
    tune_trials: int
    final_trials: int
    source_models: int
    packs: int
    can_decide: str
    estimated_seconds: float
    estimated_seconds_range: list[float]
    estimated_device_hours: float
    estimated_from: str
    engine: str | None = None
    note: str | None = None

    def __repr__(self) -> str:
        return show.text(self._draw)

    def _draw(self, console: Console) -> None:
        from harness.commands_plan import show_plan

        show_plan(console, {key: value for key, value in asdict(self).items() if value is not None})

    def _repr_html_(self) -> str:
        held = {key: value for key, value in asdict(self).items() if value is not None and key != "suite"}
        texts = {key: ", ".join(map(str, value)) if isinstance(value, list) else value for key, value in held.items()}
        return show.page(show.bold(f"plan of {self.suite}"), show.facts(texts.items()))


def plan(
    given: Given,
    settings: Mapping[str, object] | None = None,
    earlier: str | os.PathLike[str] | Campaign | None = None,
) -> Plan:
    """What a suite would run; runs nothing but, without ``earlier``, a few steps of each task's network, here.

    ``settings`` override the suite by dotted keys; ``earlier`` is a campaign whose rows the estimate is made of.
    Raises: UserError for a bad suite.
    """
    from harness.forecast import forecast  # torch

    where = earlier.folder if isinstance(earlier, Campaign) else None if earlier is None else os.fspath(earlier)
    document, note = forecast(suite(given, settings).parsed, where)
    return Plan(**document, note=note)
