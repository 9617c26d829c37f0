"""Tables beside the leaderboard: who beats whom, what the ranking owes to single tasks and methods, and power."""

from __future__ import annotations

from collections.abc import Sequence

from results import display
from results.design import Design
from results.display import count, name, number, percent
from results.listing import Item, Listing, listing, named, valued
from results.sensitivity import Drop, Sensitivity
from results.verdicts import sentences
from results.winning import Wins

MOST_PAIRS = 3


def wins_listing(found: Wins | None) -> Listing:
    """The win-rate matrix: a line for each method, a column for each rival, in the order of the board."""
    if found is None:
        return Listing("wins", (), (), ())
    lines = []
    for i, label in enumerate(found.labels):
        shares = (
            Item(display.DASH) if i == j else valued(share, percent(share), f"h{round(10 * share)}")
            for j, share in enumerate(found.shares[i])
        )
        lines.append((Item(name(label)), *shares))
    return Listing(
        "wins",
        ("beats →", *(name(label, 24) for label in found.labels)),
        (False, *(True for _ in found.labels)),
        tuple(lines),
    )


def steadiness_listing(found: Sensitivity | None) -> Listing:
    """How far each mean rank moves when a single task is left out."""
    columns = {"method": False, "mean rank": True, "lowest": True, "without task ": False}
    columns |= {"highest": True, "without task": False}
    lines = [
        [
            named(s.method),
            valued(s.mean_rank, number(s.mean_rank)),
            valued(s.lowest, number(s.lowest)),
            named(s.lowest_without),
            valued(s.highest, number(s.highest)),
            named(s.highest_without),
        ]
        for s in (found.methods if found else ())
        if s.lowest is not None
    ]
    return listing("steadiness", columns, lines)


def drop_listing(found: Sensitivity | None) -> Listing:
    """What changes on the board without each task and without each method; those that change nothing are left out."""
    columns = {"left out": False, "kind": False, "then first": False, "pairs that turn round": False}
    columns |= {"pairs newly told apart": False, "pairs no longer told apart": False}
    lines = [
        [
            named(drop.name),
            Item(drop.kind),
            Item(", ".join(map(name, drop.first)), kind="words"),
            *(_pairs(pairs) for pairs in (drop.turned, drop.apart, drop.merged)),
        ]
        for drop in (found.drops if found else ())
        if _changes(drop, found)
    ]
    return listing("drops", columns, lines)


def steadiness_words(found: Sensitivity | None) -> list[str]:
    """In how many drops the best method stays the best, and how many drops change nothing."""
    if found is None or not found.drops:
        return ["Nothing can be left out: that needs at least two tasks, or three methods."]
    first = " and ".join(map(name, found.first[:MOST_PAIRS]))
    said = [
        f"Without any single {kind}, {first} {'stays' if len(found.first) == 1 else 'stay'} first in "
        f"{found.first_kept[kind]:,} of {display.plural(found.first_of[kind], 'ranking')}."
        for kind in found.first_of
        if found.first_of[kind]
    ]
    quiet = sum(not _changes(drop, found) for drop in found.drops)
    if quiet:
        changes = "changes nothing and is" if quiet == 1 else "change nothing and are"
        said.append(f"{quiet:,} of {display.plural(len(found.drops), 'such ranking')} {changes} not listed.")
    return said


def power_listing(found: Sequence[Design]) -> Listing:
    """What this design could have seen of each method's difference, and what a stated difference would need."""
    wanted = next((design.difference for design in found if design.difference is not None), None)
    columns = {"method": False, "unit": False, "tasks": True, "seeds": True, "tasks to decide at all": True}
    columns |= {"spread over tasks [95 %]": True, "smallest detectable": True}
    if wanted is not None:
        columns |= {f"power for {wanted:g}": True, f"tasks for {wanted:g}": True, f"seeds for {wanted:g}": True}
    shared = shared_notes(found)
    lines = [
        [
            named(d.candidate),
            named(d.unit),
            *(valued(n, count(n)) for n in (d.tasks, d.seeds or None, d.fewest_tasks)),
            valued(d.deviation, display.spanned(d.deviation, d.deviation_low, d.deviation_high)),
            valued(d.smallest_detectable, number(d.smallest_detectable)),
            *(
                [
                    valued(d.power, percent(d.power)),
                    valued(d.tasks_needed, count(d.tasks_needed)),
                    valued(d.seeds_needed, count(d.seeds_needed)),
                ]
                if wanted is not None
                else []
            ),
            Item(" ".join(s for s in sentences(d.note) if s not in shared) or display.DASH, kind="words"),
        ]
        for d in found
    ]
    return listing("power-table", columns | {"note": False}, lines)


def shared_notes(found: Sequence[Design]) -> list[str]:
    """The sentences that stand in the note of every design."""
    notes = [sentences(design.note) for design in found]
    return [sentence for sentence in notes[0] if all(sentence in note for note in notes)] if notes else []


def _changes(drop: Drop, found: Sensitivity | None) -> bool:
    first_moves = found is not None and drop.name not in found.first and drop.first != found.first
    return first_moves or bool(drop.turned or drop.apart or drop.merged)


def _pairs(pairs: Sequence[tuple[str, str]]) -> Item:
    shown = "; ".join(f"{name(better)} > {name(worse)}" for better, worse in pairs[:MOST_PAIRS])
    more = f" and {len(pairs) - MOST_PAIRS:,} more" if len(pairs) > MOST_PAIRS else ""
    return Item(shown + more or display.DASH, kind="words")
