"""The documentation as a site: built without a warning, whole, and readable from disk without a network."""

from __future__ import annotations

import dataclasses
import fcntl
import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
import yaml
from playwright.sync_api import sync_playwright

from methods import METHODS
from tasks import TASKS
from tests.docs.pages import ROOT
from tests.results.test_browser import CHROMIUM, QUIET

LOADS = {
    "script": "src",
    "link": "href",
    "img": "src",
    "iframe": "src",
    "source": "src",
    "video": "src",
    "object": "data",
}
STAYS = ("canonical", "next", "prev")
"""Relations of a link that load nothing."""


SHOWN = ("index", "tutorial", "tasks", "rows", "command_line", "reference/methods", "results/standard/findings")
"""One page of each kind, among them those with the widest tables."""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site, built as `make docs` builds it; once, however many processes share the tests."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "site"
    with (folder.parent / "site.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            _build(staged := folder.with_name("site.staged"))
            staged.rename(folder)
    return folder


def _build(folder: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    process = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr
    assert "WARNING" not in process.stderr


class Loaded(HTMLParser):
    """What a page loads by itself."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag in LOADS and given.get("rel") not in STAYS:
            self.addresses.append(given.get(LOADS[tag]) or "")


def pages(site: Path) -> list[Path]:
    return [page for page in sorted(site.rglob("*.html")) if page.name != "404.html"]


def test_nothing_is_loaded_from_elsewhere(site):
    """No script, style, font or picture of another host, in pages or in their styles."""
    for page in site.rglob("*.html"):
        for address in Loaded(page.read_text("utf-8")).addresses:
            assert not re.match(r"(\w+:)?//", address), f"{page}: {address}"
            if address and not address.startswith("data:"):
                assert (page.parent / address.partition("?")[0].partition("#")[0]).exists() or page.name == "404.html"
    for style in site.rglob("*.css"):
        assert not re.search(r"(url\(|@import)\s*['\"]?(\w+:)?//", style.read_text("utf-8")), style


def test_remarks_for_tests_are_not_on_the_site(site):
    for page in pages(site):
        assert not re.search(r"<!-- (setup|not run|with|output|read as|generated)\b", page.read_text("utf-8")), page


def test_every_page_is_in_the_navigation():
    """A page joins by one line in mkdocs.yml; here it is missed if that is forgotten."""
    text = (ROOT / "mkdocs.yml").read_text("utf-8")
    listed = set(re.findall(r": ([\w/]+\.md)$", text, re.MULTILINE))
    written = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").glob("*.md")}
    written |= {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs" / "reference").glob("*.md")}
    assert written <= listed
    assert yaml.safe_load(text)["use_directory_urls"] is False, "pages open from disk"


def test_the_gallery_has_every_method_and_task(site):
    """Each with its version and every hyper-parameter or parameter; nothing is written by hand."""
    for page, known in (("methods", METHODS), ("tasks", TASKS)):
        text = (site / f"{page}.html").read_text("utf-8")
        for name, cls in known.items():
            section = text.partition(f'<h2 id="{name}">')[2].partition("<h2 ")[0]
            assert f"Version {cls.version}." in section, name
            for field in dataclasses.fields(cls):
                assert f"<code>{field.name}</code>" in section, (name, field.name)
            assert ("<strong>Equation.</strong>" in section) or page == "tasks", name


def test_the_reference_has_what_plug_ins_need(site):
    for page, names in (
        ("methods", ("harness.method.Method.adapt", "harness.objective.Objective.forward", "harness.errors.Declined")),
        ("tasks", ("harness.task.Task.datasets", "harness.recipe.Recipe", "tasks.numerics.rk4")),
        ("results", ("results.table.read", "results.compare.compare", "results.statistics.holm")),
    ):
        text = (site / "reference" / f"{page}.html").read_text("utf-8")
        for name in names:
            assert f'id="{name}"' in text, name
    commands = (site / "command_line.html").read_text("utf-8")
    assert all(f'id="{name}"' in commands for name in ("run", "explore", "compare", "export"))


def test_in_a_browser_from_disk(site):
    """Pages of each kind open without a network, a complaint or, on a phone, overflow; the search finds."""
    found = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if found is None:
        words = "no Chromium on PATH: the site was not tried in a browser (Debian: apt-get install chromium)"
        pytest.fail(words) if os.environ.get("CI") else pytest.skip(words)
    wrong: list[str] = []
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=found, args=QUIET.split())
        page = browser.new_context(offline=True, viewport={"width": 360, "height": 740}).new_page()
        page.set_default_timeout(120_000)
        page.on("console", lambda message: wrong.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: wrong.append(f"error: {error}"))
        page.on("request", lambda r: wrong.extend([r.url] * (not r.url.startswith(("file:", "data:", "blob:")))))
        for name in SHOWN:
            path = site / f"{name}.html"
            page.goto(path.as_uri())
            wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            wrong += [f"{path.name} is {wide} pixels wider than the screen"] * (wide > 0)
        page.set_viewport_size({"width": 1280, "height": 900})
        page.goto((site / "index.html").as_uri())
        page.locator("input.md-search__input").click()
        page.keyboard.type("subtuning greedy")
        page.locator(".md-search-result__item").first.wait_for()
        browser.close()
    assert wrong == []
