"""The report in a real browser: opened from disk without a network, by mouse, by keyboard and on a phone."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from results import schema
from results.report import write_report
from tests.results.campaigns import HOSTILE, Row, anchored, campaign

CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
QUIET = "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
QUIET += " --disable-component-update --disable-sync"
SIZES = {"desktop": (1280, 900), "phone": (360, 740)}
Open = Callable[..., Page]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    found = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if found is None:
        words = "no Chromium on PATH: the report's page was not tried in a browser (Debian: apt-get install chromium)"
        pytest.fail(words) if os.environ.get("CI") else pytest.skip(words)
    with sync_playwright() as play:
        started = play.chromium.launch(executable_path=found, args=QUIET.split())
        yield started
        started.close()


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = schema.table(campaign(change=anchored))
    return write_report(rows, tmp_path_factory.mktemp("plain"), campaigns=[{"name": "quick"}])["report.html"]


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    def spoil(row: Row) -> None:
        row |= {"suite": HOSTILE[0], "host": HOSTILE[2], "metric": HOSTILE[1], "versions": {HOSTILE[0]: HOSTILE[1]}}
        row |= {"status": "failed", "reason": HOSTILE[0] + HOSTILE[4]} if row["seed"] == 2 else {}

    gains = {"fine_tuning": 0.0} | {label: 0.01 * place for place, label in enumerate(HOSTILE)}
    rows = campaign(gains, {HOSTILE[0]: ("a", True), HOSTILE[2] + HOSTILE[3]: ("b", False)}, change=spoil)
    folder = tmp_path_factory.mktemp("hostile")
    paths = write_report(schema.table(rows), folder, title=HOSTILE[0], campaigns=[{HOSTILE[0]: "</pre><script>"}])
    return paths["report.html"]


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Open]:
    """open_page(path, place, **context): the page in a context of its own, without a network; any complaint fails."""
    contexts: list[BrowserContext] = []
    wrong: list[str] = []

    def start(path: Path, place: str = "", size: str = "desktop", **options: Any) -> Page:
        width, height = SIZES[size]
        context = browser.new_context(offline=True, viewport={"width": width, "height": height}, **options)
        context.set_default_timeout(120_000)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: wrong.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: wrong.append(f"error: {error}"))
        page.on("dialog", lambda dialog: wrong.append(f"dialog: {dialog.message}"))
        page.on("request", lambda request: wrong.extend([request.url] * (not request.url.startswith("file:"))))
        page.goto(path.as_uri() + place)
        return page

    yield start
    for context in contexts:
        context.close()
    assert wrong == []


def test_first_screen_has_the_answer(open_page: Open, plain: Path) -> None:
    """Without scrolling a reader sees the answer, its interval, and what the rows do not show; on a phone the first."""
    page = open_page(plain)
    for part in (".answer", ".lead", ".limits", "#verdicts"):
        box = page.locator(part).bounding_box()
        assert box is not None
        assert box["y"] + min(box["height"], 60) < 900, part
    assert re.search(r"[+−]\d.*\[.*\]", page.locator(".lead").inner_text())
    lead = open_page(plain, size="phone").locator(".lead").bounding_box()
    assert lead is not None
    assert lead["y"] + lead["height"] < 740


@pytest.mark.parametrize("size", SIZES)
def test_nothing_runs_out_of_the_page(open_page: Open, plain: Path, hostile: Path, size: str) -> None:
    """Tables scroll in their own frames; the page itself never does sideways, whatever names are in it."""
    for path in (plain, hostile):
        page = open_page(path, size=size)
        page.evaluate("document.querySelectorAll('details').forEach((part) => { part.open = true; })")
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0


@pytest.mark.parametrize("size", SIZES)
def test_nothing_runs_out_of_its_panel(open_page: Open, plain: Path, hostile: Path, size: str) -> None:
    """Names on figures are cut to their place, so that no letter of what is left lies outside."""
    for path in (plain, hostile):
        page = open_page(path, size=size)
        outside = page.locator(".drawing text").evaluate_all(
            """(all) => all.filter((one) => {
                const [text, panel] = [one, one.closest(".panel")].map((part) => part.getBoundingClientRect());
                return text.left < panel.left - 1 || text.right > panel.right + 1;
            }).map((one) => one.textContent)"""
        )
        assert outside == []


def test_the_difference_shows_on_a_phone(open_page: Open, plain: Path) -> None:
    """The first table wraps: method, verdict and difference with its interval need no scrolling."""
    page = open_page(plain, size="phone")
    cell = page.locator("#verdicts tbody td:nth-child(3)").first.bounding_box()
    assert cell is not None
    assert cell["x"] + cell["width"] <= SIZES["phone"][0]


def test_tables_sort(open_page: Open, plain: Path) -> None:
    """A click or the Enter key sorts by numbers, the other way round the second time, what is unknown last."""
    page = open_page(plain)
    head = page.locator("#costs thead th").filter(has_text="trained parameters")
    place = head.evaluate("(cell) => cell.cellIndex") + 1

    def column() -> list[str]:
        return page.locator(f"#costs tbody td:nth-child({place})").all_inner_texts()

    numbers = sorted(int(text.replace(",", "")) for text in column())
    head.get_by_role("button").click()
    assert [int(text.replace(",", "")) for text in column()] == numbers
    assert head.get_attribute("aria-sort") == "ascending"
    head.get_by_role("button").focus()
    page.keyboard.press("Enter")
    assert [int(text.replace(",", "")) for text in column()] == numbers[::-1]
    assert head.get_attribute("aria-sort") == "descending"


def test_differences_sort_by_sign_and_size(open_page: Open, plain: Path) -> None:
    """Numbers with a minus sign, an interval or a unit sort by what they mean."""
    page = open_page(plain)
    head = page.locator("#comparisons-population thead th").filter(has_text="difference")
    place = head.evaluate("(cell) => cell.cellIndex") + 1
    head.get_by_role("button").click()
    texts = page.locator(f"#comparisons-population tbody td:nth-child({place})").all_inner_texts()
    values = [float(text.split("[")[0].replace("−", "-")) for text in texts]
    assert values == sorted(values)
    assert values[0] < 0 < values[-1]


def test_tables_filter(open_page: Open, plain: Path) -> None:
    """Only lines with all words stay, their number is said, and an empty filter brings all back."""
    page = open_page(plain)
    box = page.get_by_label("Filter the table costs")
    count = page.locator("#cost-table .tools span")
    assert count.inner_text() == "12 lines"
    box.fill("DIGITS pac")
    assert count.inner_text() == "2 of 12 lines"
    shown = page.locator("#costs tbody tr:visible").all_inner_texts()
    assert len(shown) == 2
    assert all("digits" in line and "pac" in line for line in shown)
    box.fill("no such words")
    assert count.inner_text() == "0 of 12 lines"
    box.fill("")
    assert page.locator("#costs tbody tr:visible").count() == 12


def test_links_lead_to_places(open_page: Open, plain: Path) -> None:
    """A link from outside opens what is folded up, entries of the contents scroll, figures have links of their own."""
    page = open_page(plain, "#board-25")
    assert page.locator("#board-25").is_visible()
    expect(page.locator("#board-25")).to_be_in_viewport()
    page.locator("nav a[href='#power']").click()
    expect(page.locator("#power h2")).to_be_in_viewport()
    page.locator("#score-1 .link").click()
    assert page.url.endswith("#score-1")
    page.goto(plain.as_uri() + "#%E0%A4%A")
    assert page.locator(".answer").is_visible()


def test_theme(open_page: Open, plain: Path) -> None:
    """The page follows the system, the button turns it round, and the choice is there after a reload."""
    page = open_page(plain, color_scheme="dark")
    ground = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(ground)
    page.get_by_role("button", name="Light theme").click()
    light = page.evaluate(ground)
    assert _lightness(dark) < 0.1 < 0.8 < _lightness(light)
    page.reload()
    assert page.evaluate(ground) == light
    page.get_by_role("button", name="Dark theme").click()
    assert page.evaluate(ground) == dark


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast(open_page: Open, plain: Path, scheme: str) -> None:
    """Every colour of letters has a contrast of 4.5 with every ground it stands on, and every line one of 3 with its
    own."""
    page = open_page(plain, color_scheme=scheme)
    names = ["ground", "card", "soft", "ink", "muted", "accent", "warm", *(f"s{index}" for index in range(8))]
    values = page.evaluate(
        """(names) => names.map((name) => {
            const probe = document.createElement("i");
            probe.style.color = `var(--${name})`;
            document.body.append(probe);
            return getComputedStyle(probe).color;
        })""",
        names,
    )
    shade = {name: _lightness(value) for name, value in zip(names, values, strict=True)}
    for ground in ("ground", "card", "soft"):
        for letters in ("ink", "muted", "accent", "warm"):
            assert _contrast(shade[letters], shade[ground]) >= 4.5, (letters, ground)
    for line in names[7:]:
        assert _contrast(shade[line], shade["card"]) >= 3, line


def _lightness(colour: str) -> float:
    """Relative luminance as WCAG 2 defines it, of a colour as a browser computes it."""
    channels = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _contrast(one: float, other: float) -> float:
    return (max(one, other) + 0.05) / (min(one, other) + 0.05)


def test_figures_tell_their_values(open_page: Open, plain: Path) -> None:
    """Pointing near a value tells it; so do a finger and the arrow keys, and Escape hushes."""
    page = open_page(plain, has_touch=True)
    told = page.locator(".told")
    drawing = page.locator("#score-1 .drawing")
    drawing.scroll_into_view_if_needed()
    assert told.is_hidden()
    box = drawing.locator(".hits circle").first.bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x + 3, y - 3)
    first = told.inner_text()
    assert re.fullmatch(r"\w+, n = \d+: 0\.\d+ \[0\.\d+,\s0\.\d+\] \(3 seeds\)", first)
    page.mouse.move(5, 5)
    assert told.is_hidden()
    page.touchscreen.tap(x, y)
    assert told.inner_text() == first
    drawing.focus()
    page.keyboard.press("Escape")
    assert told.is_hidden()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert told.inner_text() not in ("", first)


def test_a_method_can_be_picked(open_page: Open, plain: Path) -> None:
    """A click on a method's key shows it alone in all figures, another click all of them again."""
    page = open_page(plain)
    faded = page.locator(".drawing g.dim")
    assert faded.count() == 0
    key = page.locator("#score-by-size .key").get_by_role("button", name="pac")
    key.click()
    assert faded.count() > 10
    assert key.get_attribute("aria-pressed") == "true"
    assert page.locator("#score-1 g.method-0.dim").count() > 0
    key.click()
    assert faded.count() == 0


def test_figures_are_named(open_page: Open, plain: Path) -> None:
    """Every figure says what it is to those who do not see it, and every control has a name."""
    page = open_page(plain)
    names = page.locator(".drawing[role=img]").evaluate_all("(all) => all.map((one) => one.ariaLabel)")
    assert len(names) == len(set(names)) > 8
    buttons = page.locator("button, a, input").evaluate_all(
        "(all) => all.map((one) => one.ariaLabel || one.textContent || one.placeholder)"
    )
    assert all(text.strip() for text in buttons)


def test_hostile_names_are_shown(open_page: Open, hostile: Path) -> None:
    """Markup runs nothing, and a reader sees it as it is, with direction marks spelled out and long names cut."""
    page = open_page(hostile)
    shown = page.locator("body").inner_text()
    for words in (HOSTILE[0], HOSTILE[4], "⟨U+202E⟩gnp.evil⟨U+202C⟩", "x" * 59 + "…", "שלום"):
        assert words in shown, words
    assert page.locator("script").count() == 1
    assert page.locator("main i").count() == 0
    page.locator("#statuses thead button").first.click()
    assert HOSTILE[0] in page.locator("#statuses").inner_text()


def test_prints(open_page: Open, plain: Path) -> None:
    """On paper there is no control, no dark ground, and whole tables."""
    page = open_page(plain, color_scheme="dark")
    page.emulate_media(media="print", color_scheme="dark")
    assert page.locator("nav, .theme, .tools").evaluate_all(
        "(all) => all.every((one) => getComputedStyle(one).display === 'none')"
    )
    assert _lightness(page.evaluate("getComputedStyle(document.body).backgroundColor")) == 1
    assert _lightness(page.evaluate("getComputedStyle(document.body).color")) < 0.1
    assert page.locator("#costs").evaluate("(table) => getComputedStyle(table.parentElement).maxHeight") == "none"
    assert page.pdf().startswith(b"%PDF")
