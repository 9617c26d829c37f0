"""What is published: a folder that stands alone, is replaced in one step, and never in place of anything else."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import re
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

import pacbench as pb
from harness.cli import main
from results import schema, table
from results.place import STAGED
from tests.results.campaigns import HOSTILE, anchored
from tests.results.campaigns import campaign as made_rows
from tests.results.test_browser import browser

__all__ = ["browser"]

FILES = {"index.html", "README.md", "report.html", "report.md", "report.tex", "leaderboard.csv", "leaderboard.parquet"}
FILES |= {"rows.parquet", "SHA256SUMS", "published.json"}


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """A file of rows that can be judged."""
    path = tmp_path_factory.mktemp("rows") / "rows.parquet"
    table.export(schema.table(made_rows(change=anchored)), path)
    return path


@pytest.fixture
def site(rows, tmp_path, capsys):
    """The folder that the command makes of them."""
    assert main(["publish", str(rows), "--to", str(tmp_path / "site"), "--license", "cc-by-4.0"]) == 0
    assert capsys.readouterr().out.split() == [str(tmp_path / "site" / name) for name in _in_order(tmp_path / "site")]
    return tmp_path / "site"


def _in_order(folder):
    first = ["index.html", "README.md", "report.html", "report.md", "report.tex", "leaderboard.csv"]
    return [*first, "leaderboard.parquet", "rows.parquet", "SHA256SUMS", "published.json"]


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_folder_has_board_report_rows_card_and_checksums(site, rows):
    assert set(os.listdir(site)) == FILES
    assert pq.read_table(site / "rows.parquet").num_rows == pq.read_table(rows).num_rows
    for line in (site / "SHA256SUMS").read_text().splitlines():
        digest, name = line.split("  ")
        assert hashlib.sha256((site / name).read_bytes()).hexdigest() == digest
    card = (site / "README.md").read_text()
    _, front, words = card.split("---\n", 2)
    keys = dict(line.split(": ", 1) for line in front.splitlines() if re.match(r"\w+: ", line))
    assert json.loads(keys["title"]) == json.loads(keys["pretty_name"])
    assert keys["license"] == "cc-by-4.0"
    assert keys["sdk"] == "static"
    files = set(re.findall(r"data_files: (\S+)", front)) | set(re.findall(r"\]\(([^)]+)\)", words))
    assert files <= FILES, "every link is relative and leads to a file of the folder"
    assert "fine_tuning" in words


def test_the_published_rows_are_a_board(site, rows, capsys):
    """`compare --board` reads the folder's rows; pairs with themselves."""
    asked = ["compare", str(rows), "--candidate", "pac", "--baseline", "fine_tuning", "--json"]
    assert main([*asked, "--board", str(site / "rows.parquet")]) == 0
    assert json.loads(capsys.readouterr().out)[0]["unpaired"] == {}


def test_what_was_published_is_replaced_and_nothing_else(site, rows, tmp_path, capsys):
    """The same bytes again; a folder of another's, a changed or an added file, and a file are refused untouched."""
    before = content(site)
    again = ["publish", str(rows), "--to", str(site)]
    assert main([*again, "--license", "cc-by-4.0"]) == 0
    assert content(site) == before
    assert main([*again, "--title", "Another: #title"]) == 0
    assert "Another: #title" in (site / "index.html").read_text()
    for spoil, said in (
        (lambda: (site / "notes.txt").write_text("mine"), "it holds notes.txt"),
        (lambda: (site / "README.md").write_text("mine"), "README.md was changed"),
        (lambda: (site / "published.json").write_text("{}"), "it holds no published.json"),
    ):
        spoil()
        before = content(site)
        assert main(again) == 2
        assert said in capsys.readouterr().err
        assert content(site) == before
        (site / "notes.txt").unlink(missing_ok=True)
    assert main(["publish", str(rows), "--to", str(rows)]) == 2
    assert "is a file" in capsys.readouterr().err
    assert [name for name in os.listdir(tmp_path) if name.startswith(STAGED)] == []


def test_readers_see_the_old_folder_or_the_new_one(site, rows, monkeypatch):
    """While it is replaced again and again, index and card are always of one title."""
    stop, torn = threading.Event(), []

    def watch():
        while not stop.is_set():
            folder = os.open(site, os.O_RDONLY)  # one folder, whatever its name leads to next
            try:
                texts = []
                for name in ("index.html", "README.md"):
                    file = os.open(name, os.O_RDONLY, dir_fd=folder)
                    texts.append(os.read(file, 100_000).decode())
                    os.close(file)
                torn.extend([] if ("Title A" in texts[0]) == ("Title A" in texts[1]) else [texts])
            except FileNotFoundError:  # the old one is deleted while it is read, never while it has the name
                pass
            finally:
                os.close(folder)

    seen = threading.Thread(target=watch)
    seen.start()
    try:
        for title in ("Title A", "Title B", "Title A"):
            pb.publish(pq.read_table(rows), site, title=title)
    finally:
        stop.set()
        seen.join()
    assert torn == []


def test_what_cannot_be_published_is_refused(rows, tmp_path, capsys):
    """No final rows, a license or a title that is none, a place elsewhere; nothing is left behind."""
    asked = ["publish", str(rows), "--to", str(tmp_path / "site")]
    for more, said in (
        (["--license", "My License"], "apache-2.0"),
        (["--title", "two\nlines"], "expected a line of text"),
        (["--to", "s3://bucket/site"], "a folder of this machine"),
        (["--to", ""], "the folder you are in"),
        (["--to", "."], "the folder you are in"),
        (["--to", ".."], "the folder you are in"),
        (["--to", "~nobody-of-that-name/site"], "cannot be found"),
    ):
        assert main([*asked, *more]) == 2
        assert said in capsys.readouterr().err
    held = pb.read(rows)
    with pytest.raises(pb.UserError, match="no final trial"):
        pb.publish(held.filter(pc.equal(held["stage"], "tune")), tmp_path / "site")
    other, place = tmp_path / "other.parquet", held.column_names.index("protocol")
    table.export(held.set_column(place, "protocol", pa.array([2] * len(held), pa.int32())), other)
    assert main(["publish", str(rows), str(other), *asked[2:]]) == 2
    assert "not mixed: protocol" in capsys.readouterr().err
    assert os.listdir(tmp_path) == ["other.parquet"]


def test_the_campaigns_record_comes_along(made, tmp_path):
    files = pb.publish([made, made], tmp_path / "site")
    assert json.loads(Path(files["campaign.json"]).read_text())["suite"]["name"] == "small"


def test_a_browser_reaches_everything_from_the_first_page(browser, tmp_path):
    """Served from a folder inside a site: every link leads to a file of it, nothing is asked of elsewhere."""

    def spoil(row):
        row |= {"label": HOSTILE[0] if row["label"] == "pac" else row["label"]}

    folder = tmp_path / "www" / "boards" / "mine"
    pb.publish(schema.table(made_rows(change=spoil)), folder, title=HOSTILE[0][:60])
    handler = functools.partial(SimpleHTTPRequestHandler, directory=str(tmp_path / "www"))
    handler.log_message = lambda *_: None
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    home = f"http://127.0.0.1:{server.server_port}/boards/mine/"
    context, asked, wrong = browser.new_context(), [], []
    page = context.new_page()
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("dialog", lambda dialog: wrong.append(dialog.message))
    try:
        page.goto(home)
        assert page.locator("#standings tbody tr").count() == 2 + 1
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
        links = page.locator("a[href]:not([href^='#'])").evaluate_all("(all) => all.map((one) => one.href)")
        assert {link.removeprefix(home) for link in links} == FILES - {"index.html", "README.md", "published.json"}
        assert all(context.request.get(link).ok for link in links)
        page.get_by_role("link", name="The whole report").click()
        page.wait_for_url(f"{home}report.html")
        assert page.locator("#leaderboard").count() == 1
    finally:
        context.close()
        server.shutdown()
        server.server_close()
    assert wrong == []
    assert all(url.startswith(home) or url.endswith("/favicon.ico") for url in asked)
