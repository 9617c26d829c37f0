"""The fenced blocks of a page, with the remarks before them that say how a test is to treat them.

A remark is an HTML comment on a line of its own, which no reader of the page sees:

    <!-- setup ... -->                 bash that runs here first: files and campaigns that the page takes for granted
    <!-- not run: REASON -->           the next block cannot run in a test; its syntax and options are still checked
    <!-- with: ARGUMENTS -->           the next block's `pacbench` commands get these as well, so that they are short
    <!-- exit status: N -->            the next block's last command ends so
    <!-- output -->                    the next block is what the one before printed, and the same again
    <!-- output: any numbers -->       the same but for numbers and the order of lines
    <!-- read as: NAME -->             the next block is `a mapping` or `part of a pyproject`, no suite

A block with a `title` is a file of that name, which the blocks after it find.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = tuple(
    path.relative_to(ROOT).as_posix()
    for path in (
        ROOT / "README.md",
        *sorted((ROOT / "docs").glob("*.md")),
        *sorted((ROOT / "docs").glob("reference/*.md")),
    )
)
REMARKS = ("setup", "not run", "with", "exit status", "output", "read as", "generated")

_REMARK = re.compile(r"<!-- (setup)\n(.*?)-->|<!-- (.*?) -->", re.DOTALL)
_FENCE = re.compile(r"```(\w*)([^\n]*)\n(.*?)\n?```(?=\n|$)", re.DOTALL)
_TITLE = re.compile(r'title="([^"]+)"')


@dataclass(frozen=True)
class Block:
    """A fenced block. remarks: what the comments since the last block say, by their first words."""

    page: str
    line: int
    language: str
    text: str
    title: str = ""
    remarks: dict[str, str] = field(default_factory=dict)

    @property
    def where(self) -> str:
        return f"{self.page}:{self.line}"


def blocks(page: str) -> list[Block]:
    """All blocks of a page, hidden ones (language `setup`) among them, in their order."""
    text = (ROOT / page).read_text(encoding="utf-8")
    found: list[Block] = []
    remarks: dict[str, str] = {}
    for item in re.finditer(f"(?m:^)(?:{_REMARK.pattern}|{_FENCE.pattern})", text, re.DOTALL):
        line = text.count("\n", 0, item.start()) + 1
        setup, hidden, remark, language, info, content = item.groups()
        if setup:
            found.append(Block(page, line, "setup", hidden))
        elif remark is not None:
            name, _, said = remark.partition(":")
            remarks[name] = said.strip()
        else:
            title = _TITLE.search(info)
            found.append(Block(page, line, language, content, title[1] if title else "", remarks))
            remarks = {}
    return found


def commands(block: Block) -> list[str]:
    """The `pacbench` commands of a block of bash, without what is around them; comments and continued lines joined."""
    text = re.sub(r"\\\n\s*", " ", block.text)
    found = []
    for line in text.split("\n"):
        if command := re.search(r"(?:^|[\s/])pacbench\s+(?P<rest>[a-z].*)$", re.sub(r"(^|\s)#.*$", "", line)):
            found.append(command["rest"].removesuffix("&").strip())
    return found
