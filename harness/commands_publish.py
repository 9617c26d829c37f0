"""The command publish: a folder of board, report and rows that any web server or model hub can show."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path


def publish_command(options: Namespace) -> int:
    """Write the folder and print its files."""
    from harness.publishing import publish
    from harness.record import open_place, read_record
    from harness.rows import judged_source

    sources = [judged_source(address) for address in options.folders]
    records = {where: read_record(open_place(where)) for where in options.folders if not Path(where).is_file()}
    texts = {"title": options.title, "license": options.license}
    for path in publish(sources, options.to, options.baseline, records, **texts).values():
        print(path)
    return 0
