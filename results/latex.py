"""The same tables for LaTeX: booktabs, nothing in a name is a command, nothing beyond what pdfLaTeX can set."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from results import display
from results.listing import Listing

_COMMANDS: Final = {
    **{letter: f"\\{letter}" for letter in "&%$#_{}"},
    "\\": "\\textbackslash{}",
    "~": "\\textasciitilde{}",
    "^": "\\textasciicircum{}",
    "<": "\\textless{}",
    ">": "\\textgreater{}",
    "|": "\\textbar{}",
    '"': "\\textquotedbl{}",
    "[": "{[}",
    "]": "{]}",
    "--": "-{-}",
    "`": "\\textasciigrave{}",
    "'": "\\textquotesingle{}",
    display.MINUS: "$-$",
    display.DASH: "--",
    display.GLUE: "~",
    "…": "\\ldots{}",
    "·": "$\\cdot$",
    "±": "$\\pm$",
    "²": "$^2$",
    "→": "$\\to$",
    "←": "$\\gets$",
}
_SPECIAL: Final = re.compile("|".join(map(re.escape, _COMMANDS)) + r"|[^\x20-\x7e\xc0-\xff]")
"""What has a spelling of its own, and every letter that pdfLaTeX's usual fonts do not hold."""


def escape(text: object) -> str:
    """Any text as LaTeX text: special letters are spelled out, those that no usual font holds as their numbers."""
    return _SPECIAL.sub(lambda found: _COMMANDS.get(found[0]) or _number(found[0]), display.name(text, longest=2000))


def _number(letter: str) -> str:
    plain = unicodedata.normalize("NFKD", letter)
    return plain if plain.isascii() and plain.isalnum() else f"\\texttt{{U+{ord(letter):04X}}}"


def tabular(table: Listing) -> str:
    """The listing as a ``tabular``; nothing where it has no lines."""
    if not table.lines:
        return ""
    columns = "".join("r" if numeric else "l" for numeric in table.numeric)
    lines = [" & ".join(escape(item.text) for item in line) + r" \\" for line in table.lines]
    head = " & ".join(map(escape, table.columns)) + r" \\"
    return "\n".join(
        [f"\\begin{{tabular}}{{{columns}}}", r"\toprule", head, r"\midrule", *lines, r"\bottomrule", r"\end{tabular}"]
    )
