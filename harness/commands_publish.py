"""The command publish: a folder of board, report and rows that any web server or model hub can show."""

from __future__ import annotations

import argparse
from argparse import Namespace
from pathlib import Path
from typing import Any


def add_publish(commands: Any) -> None:
    """Its command-line arguments."""
    add: argparse.ArgumentParser = commands.add_parser("publish", help="a static folder of board, report and rows")
    add.add_argument(
        "folders", nargs="+", metavar="DIR", help="campaigns: folders, s3://bucket/prefix, or exported .parquet"
    )
    replaced = "folder to write; replaced as a whole if publish made it"
    add.add_argument("--to", required=True, metavar="FOLDER", help=replaced)
    add.add_argument("--baseline", default="fine_tuning", metavar="M", help="label every method is compared with")
    add.add_argument("--title", metavar="TEXT", help="of the pages and of the card for model hubs")
    add.add_argument("--license", metavar="ID", help="of the rows, for the card, as in cc-by-4.0")


def publish_command(options: Namespace) -> int:
    """Write the folder and print its files."""
    from harness.commands_results import read_source
    from harness.publishing import publish
    from harness.record import open_place, read_record

    sources = [read_source(address) for address in options.folders]
    records = {where: read_record(open_place(where)) for where in options.folders if not Path(where).is_file()}
    texts = {"title": options.title, "license": options.license}
    for path in publish(sources, options.to, options.baseline, records, **texts).values():
        print(path)
    return 0
