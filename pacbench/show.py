"""How values show themselves: as text for a terminal, and as HTML that suits a notebook's light and dark page."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable

from markupsafe import Markup, escape
from rich.console import Console

from results import display
from results.listing import Listing, named, valued

WIDTH = 100
"""Columns of text."""


def text(draw: Callable[[Console], None]) -> str:
    """What `draw` prints on a console, as plain text."""
    stream = io.StringIO()
    # In a notebook rich would print beside the stream, not to it.
    draw(Console(file=stream, width=WIDTH, color_system=None, highlight=False, force_jupyter=False))
    return "\n".join(line.rstrip() for line in stream.getvalue().rstrip().splitlines())


def page(*parts: str) -> str:
    """Parts of HTML under each other."""
    return "\n".join(part for part in parts if part)


def bold(words: object) -> str:
    """A line that says the most important."""
    return Markup("<p><b>{}</b></p>").format(words)


def lines(sentences: Iterable[object]) -> str:
    """A paragraph of sentences; nothing where there are none."""
    said = Markup("<br>").join(escape(sentence) for sentence in sentences)
    return Markup("<p>{}</p>").format(said) if said else ""


def table(shown: Listing) -> str:
    """A listing as a table; numbers to the right; nothing where it has no lines."""
    if not shown.lines:
        return ""
    align = ["right" if numeric else "left" for numeric in shown.numeric]
    cell = Markup('<{0} style="text-align:{1}">{2}</{0}>')
    head = Markup("").join(cell.format("th", *pair) for pair in zip(align, shown.columns, strict=True))
    head = Markup("<thead><tr>{}</tr></thead>").format(head) if any(shown.columns) else Markup("")
    body = Markup("").join(
        Markup("<tr>{}</tr>\n").format(
            Markup("").join(cell.format("td", side, item.text) for side, item in zip(align, line, strict=True))
        )
        for line in shown.lines
    )
    return Markup("<table>{}<tbody>\n{}</tbody></table>").format(head, body)


def folded(words: str, inside: str) -> str:
    """Something that opens at a click; nothing where there is nothing inside."""
    return Markup("<details><summary>{}</summary>{}</details>").format(words, Markup(inside)) if inside else ""


def facts(pairs: Iterable[tuple[str, object]]) -> str:
    """Names and values as a table of two columns; numbers with separators."""
    made = []
    for word, value in pairs:
        whole = isinstance(value, int) and not isinstance(value, bool)
        made.append((named(word), valued(None, display.count(value)) if whole else valued(None, str(value))))
    return table(Listing("facts", ("", ""), (False, False), tuple(made)))
