"""What `pacbench doctor` finds: one fact with what it means and, where something lacks, how to get it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "note", "missing"]
"""note: works, but worth knowing. missing: what it belongs to does not work without it."""


@dataclass(frozen=True)
class Finding:
    """One fact. cure: what to do, where something can be done; a command as it is typed."""

    name: str
    state: State
    found: str
    cure: str | None = None


@dataclass(frozen=True)
class Feature:
    """Something that the program can do where its needs are met. without: what cannot be done while they are not."""

    name: str
    without: str
    findings: tuple[Finding, ...]

    @property
    def available(self) -> bool:
        return not any(finding.state == "missing" for finding in self.findings)


def looked_at(name: str, look: Callable[[], Iterable[Finding]]) -> tuple[Finding, ...]:
    """What `look` finds; where looking fails, that."""
    try:
        return tuple(look())
    except Exception as error:  # noqa: BLE001 - the machine may be broken in any way, and this is to say how
        return (Finding(name, "note", f"could not be looked at ({type(error).__name__}: {error})"),)
