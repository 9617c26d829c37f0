"""The Bayesian comparison as a table beside the verdicts, with the sentence that says how to read it."""

from __future__ import annotations

from collections.abc import Sequence

from results.bayesian import Belief
from results.display import count, name, number, percent
from results.listing import Listing, listing, named, valued


def belief_listing(found: Sequence[Belief]) -> Listing:
    """How probably each method is better, equivalent or worse; none where nothing has a posterior."""
    lines = [
        [
            named(b.candidate),
            valued(b.posterior.better, percent(b.posterior.better)),
            *([valued(b.posterior.equivalent, percent(b.posterior.equivalent))] if b.rope else []),
            valued(b.posterior.worse, percent(b.posterior.worse)),
            valued(b.tasks, count(b.tasks)),
        ]
        for b in found
        if b.posterior is not None
    ]
    equivalent = {"equivalent": True} if any(b.rope for b in found) else {}
    return listing("beliefs", {"method": False, "better": True} | equivalent | {"worse": True, "tasks": True}, lines)


def belief_words(found: Sequence[Belief]) -> str:
    """How to read the table."""
    if not found:
        return ""
    rope, unit = found[0].rope, name(found[0].unit)
    between = f"better, equivalent (within ± {number(rope, 1)} {unit} score) and worse" if rope else "better and worse"
    none = "" if rope else f"; no difference in {unit} is taken for equivalent"
    return (
        f"Each line shares out 100 % between {between}: how probably each is the likeliest outcome against "
        f"{name(found[0].baseline)} on another task like these, by Bayesian signed ranks over tasks{none}. "
        "It stands beside the verdict and never in its place: few tasks make it bold."
    )
