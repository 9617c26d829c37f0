"""The commands that hand rows on: report, export. Neither torch nor Ray is imported."""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path

from harness import commands_wandb
from harness.errors import UserError
from harness.record import open_place, read_record
from harness.rows import judged_source, read_rows
from results import table as tables
from results.place import explain


def report_command(options: Namespace) -> int:
    """Write the report and print where it is: 1 if it refuses to mix the campaigns, and says why."""
    from harness.reporting import write  # with what draws figures, which the other commands do not need

    sources = [judged_source(address) for address in options.folders]
    campaigns = [address for address in options.folders if not Path(address).is_file()]
    records = [read_record(open_place(address)) for address in campaigns]
    if not options.out and options.folders[0] not in campaigns:
        raise UserError(f"{options.folders[0]} is a file of rows; say where the report goes with --out")
    folder = open_place(options.out) if options.out else open_place(options.folders[0]) / "report"
    if not options.out and isinstance(folder, Path) and folder.is_symlink():
        raise UserError(f"{folder} is a link to {folder.resolve()}; say --out {folder.resolve()} if you mean that")
    written = write(sources, folder, options.baseline, records)
    for path in written.files.values():
        print(path)
    if written.refusal is not None:
        print(f"pacbench: the report compares nothing: {written.refusal}", file=sys.stderr)
    elif written.found.obstacle:
        print(f"pacbench: {written.found.obstacle}", file=sys.stderr)
    return 0 if written.refusal is None else 1


def export_command(options: Namespace) -> int:
    """Write all rows to one file, or bring them to a project of wandb."""
    if (options.file is None) == (options.wandb is None):
        raise UserError("export: expected either FILE or --wandb PROJECT")
    rows = read_rows([options.folder])
    if options.wandb is not None:
        return commands_wandb.export_rows(options, rows)
    try:
        tables.export(rows, options.file)
    except ValueError as error:
        raise UserError(str(error)) from error
    except OSError as error:
        raise UserError(f"{options.file}: cannot be written ({explain(error)})") from error
    print(f"{len(rows)} rows in {options.file}")
    return 0
