"""Docstrings as Markdown: their parts on lines of their own, and no character of theirs taken for markup."""

from __future__ import annotations

import re

PARTS = (
    *("Equation", "Source", "Deviations and open points", "Shapes", "Units", "Raises", "Returns", "Warns", "Anchors"),
    *("Data", "Splits", "Reference", "Class facts", "Two class facts", "Notes on single columns"),
)
_PART = re.compile(rf"^({'|'.join(PARTS)}): ?(?=.|$)", re.MULTILINE)
_CODE = re.compile(r"(``?)(.+?)\1", re.DOTALL)


def markdown(docstring: str) -> str:
    """The docstring as Markdown. Lines that begin with the name of a part begin a paragraph; code stays code."""
    pieces, end = [], 0
    text = _PART.sub(r"\n\1: ", docstring.strip())
    for code in _CODE.finditer(text):
        pieces += [_escaped(text[end : code.start()]), code[0]]
        end = code.end()
    whole = "".join([*pieces, _escaped(text[end:])])
    return _PART.sub(r"**\1.** ", whole)


def _escaped(text: str) -> str:
    text = re.sub(r"([\\*_\[\]<>|])", r"\\\1", text)
    return re.sub(r"\n\n(?: +)(?=\S)", "\n\n", text)


def first_sentence(docstring: str) -> str:
    """The docstring's first line, which is a sentence."""
    return docstring.strip().split("\n")[0]


def cell(value: object) -> str:
    """A value in a cell of a table, as code."""
    text = str(value).replace("|", "\\|").replace("\n", " ")
    return f"`{text}`" if text else ""
