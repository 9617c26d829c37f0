"""What the site's builder asks of us: pages of the project's root, links between both, parts made from the code."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

import generated
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]

PAGES = {
    "README.md": "index.md",
    "PROTOCOL.md": "protocol.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
}
"""Pages of the site that lie at the project's root."""

MOVED = {"docs/results/standard/report.md": "results/standard/report.html"}
"""Where the site has a better form of a file that is not in it."""

LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s#]*)(#[^)\s]*)?\)")
REMARK = re.compile(r"<!-- (?:setup|run|with|not run|read as|output|generated)\b.*?-->\n?", re.DOTALL)
"""Remarks for the tests of the pages, no part of what is read."""

FENCE = re.compile(r"^(```|~~~).*?^\1[ \t]*$", re.DOTALL | re.MULTILINE)


def on_files(files: Files, config: Any) -> Files:
    """Add the pages of the project's root."""
    for source, page in PAGES.items():
        files.append(File.generated(config, page, content=(ROOT / source).read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, page: Page, config: Any, files: Files) -> str:
    """The page with its generated parts, with links that lead somewhere on the site, and without remarks to tests."""
    source = next((s for s, p in PAGES.items() if p == page.file.src_uri), f"docs/{page.file.src_uri}")
    markdown = re.sub(r"<!-- generated: (\w+) -->", lambda found: generated.PARTS[found[1]](), markdown)
    parts, end = [], 0
    for fence in FENCE.finditer(markdown):
        parts += [_text(markdown[end : fence.start()], source), fence[0]]
        end = fence.end()
    return "".join([*parts, _text(markdown[end:], source)])


def _text(text: str, source: str) -> str:
    return LINK.sub(lambda link: _link(link, source), REMARK.sub("", text))


def _link(link: re.Match[str], source: str) -> str:
    """A link as the site has it; only its words where it leads to a file of the project that the site does not have."""
    picture, words, target, anchor = link[1], link[2], link[3], link[4] or ""
    if not target or "://" in target or target.startswith("mailto:"):
        return link[0]
    path = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
    here = PAGES.get(source, source.removeprefix("docs/"))
    if path in MOVED or path in PAGES:
        there = MOVED.get(path) or PAGES[path]
    elif path.startswith("docs/"):
        there = path.removeprefix("docs/")
    elif (ROOT / path).exists():
        return words
    else:
        return link[0]
    return f"{picture}[{words}]({posixpath.relpath(there, posixpath.dirname(here) or '.')}{anchor})"
