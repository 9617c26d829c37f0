"""The command `import`: results of other programs become a campaign that every other command reads."""

from __future__ import annotations

import hashlib
import json
import sys
import textwrap
import warnings
from argparse import Namespace
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any, Final

from harness.errors import UserError
from harness.import_mapping import mapping_of
from harness.lease import lease
from harness.ledger import Ledger
from harness.record import RECORD, open_place, read_record
from results import table
from results.errors import ResultsError
from results.foreign import Mapping, rows_of
from results.foreign_account import Account
from results.foreign_rows import NO_PROTOCOL
from results.place import Place, explain, make_folder, names, write_durably
from results.schema import SCHEMA

ORIGIN: Final = "imported"

COMMIT_ROWS: Final = 100_000
"""Rows of a commit."""

TOGETHER: Final = 100
"""JSON files of one import from which campaign.json has one entry for all of them."""

WIDTH: Final = 78

NO_METRIC: Final = (
    "pacbench: no metric is given, so tasks have no common unit and only wins are counted; if all scores are in one "
    "unit, import into a new folder with --set metric=NAME"
)


def import_command(options: Namespace) -> int:
    """Import files and say what became of their rows: 0 all, 1 some were dropped. Raises: UserError if none fits."""
    mapping = mapping_of(options)
    folder = open_place(options.out).resolve()
    new = _record(folder) is None
    account = Account()
    try:
        with lease(folder):
            record = _record(folder)
            _import(folder, record, options.files, mapping, account)
    finally:
        if new and isinstance(folder, Path) and not (folder / RECORD).exists() and folder.is_dir():
            _remove_if_empty(folder)
    document = {"out": str(options.out), **account.document()}
    print(json.dumps(document, indent=1) if options.json else "\n".join(_lines(account, options.out)))
    return 1 if account.dropped else 0


def _record(folder: Place) -> dict[str, Any] | None:
    """The record of what was imported into a folder; None if nothing was. Raises: UserError if it is something else."""
    try:
        there = (folder / RECORD).exists()
        others = [name for name in names(folder / "ledger") if not name.startswith(".")]
    except (OSError, ValueError) as error:
        raise UserError(f"--out {folder}: cannot be read ({explain(error)})") from error
    if not there:
        if others:
            raise UserError(f"--out {folder}: ledger/ is there but {RECORD} is missing; choose another folder")
        return None
    record = read_record(folder)
    if record.get("origin") != ORIGIN:
        raise UserError(f"--out {folder}: holds a campaign that was run; import into a folder of its own")
    files = record.get("files")
    if not isinstance(files, list) or not all(isinstance(f, dict) and {"sha256", "mapping"} <= f.keys() for f in files):
        raise UserError(f"{folder / RECORD}: damaged, it does not say which files were imported")
    return record


def _import(
    folder: Place, record: dict[str, Any] | None, files: list[Path], mapping: Mapping, account: Account
) -> None:
    """Commit what is new, and say in campaign.json which files it came from."""
    fingerprint = hashlib.sha256(mapping.described().encode()).hexdigest()[:12]
    entries = list(record["files"]) if record else []
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            held = table.read(folder) if record else SCHEMA.empty_table()
        same = [entry for entry in entries if entry["mapping"] == fingerprint and not mapping.name]
        before = {str(entry["sha256"]) for entry in same}  # where names count, the same content may be another run
        rows = rows_of(list(dict.fromkeys(files)), mapping, held, account, before)
        for warning in caught:
            print(f"pacbench: {warning.message}", file=sys.stderr)
    except ResultsError as error:
        raise UserError(str(error)) from error
    if not account.imported and not account.known and not account.skipped:
        for line in _dropped_lines(account):
            print(line, file=sys.stderr)
        raise UserError(f"none of {account.rows:,} rows can be imported; nothing is written")
    new = [
        {"name": file.name, "sha256": file.sha256, "rows": file.rows, "mapping": fingerprint} for file in account.files
    ]
    if len(new) > TOGETHER:
        together = hashlib.sha256("".join(sorted(str(entry["sha256"]) for entry in new)).encode()).hexdigest()
        count = sum(file.rows for file in account.files)
        new = [{"name": f"{len(new):,} files", "sha256": together, "rows": count, "mapping": fingerprint}]
    new = [entry for entry in new if entry not in entries and entry["sha256"] not in before]
    if rows["metric"].null_count:
        print("\n".join(textwrap.wrap(NO_METRIC, WIDTH)), file=sys.stderr)
    if not new and not account.imported:
        return
    record = record or _new_record(mapping)
    try:
        make_folder(folder)
        write_durably(folder / RECORD, _pretty(record))
        for start in range(0, len(rows), COMMIT_ROWS):
            Ledger(folder).commit(rows.slice(start, COMMIT_ROWS).combine_chunks())
        record["mappings"] = {**record["mappings"], fingerprint: json.loads(mapping.described())}
        write_durably(folder / RECORD, _pretty({**record, "files": [*entries, *new]}))
    except OSError as error:
        raise UserError(f"--out {folder}: cannot be written ({explain(error)})") from error


def _new_record(mapping: Mapping) -> dict[str, Any]:
    return {
        "origin": ORIGIN,
        "suite": {"name": mapping.constants.get("suite") or ORIGIN},
        "protocol": NO_PROTOCOL,
        "created_at": datetime.now(UTC).isoformat(),
        "program": f"pacbench {metadata.version('pacbench')}",
        "mappings": {},
        "files": [],
    }


def _pretty(value: object) -> bytes:
    return (json.dumps(value, indent=1, sort_keys=True) + "\n").encode()


def _remove_if_empty(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError:
        return  # somebody else's files are in it


def _lines(account: Account, out: str) -> list[str]:
    """The account for people, on stdout the result, on stderr what was dropped."""
    for line in _dropped_lines(account):
        print(line, file=sys.stderr)
    files = f"{len(account.files)} file{'s' * (len(account.files) != 1)}"
    said = [f"{account.imported:,} of {account.rows:,} rows of {files} imported into {out}"]
    if account.known:
        said.append(f"{account.known:,} rows were there before, or came twice")
    return said


def _dropped_lines(account: Account) -> list[str]:
    lines = []
    for name in account.skipped:
        lines.append(f"pacbench: {name}: imported before, nothing changes")
    if account.left_out:
        lines.append(f"pacbench: {account.left_out:,} rows left out by --where")
    for reason, count in account.dropped.most_common(20):
        lines.append(f"pacbench: dropped {count:,}: {reason}")
        more = ", ..." if count > len(account.places[reason]) else ""
        lines += _wrapped(", ".join(map(str, account.places[reason])) + more)
    if len(account.dropped) > 20:
        lines.append(f"pacbench: and {len(account.dropped) - 20} more reasons; --json has them all")
    if account.columns or account.given:
        same = [target for target, name in account.columns.items() if target == name]
        sources = [f"{target} = {name}" for target, name in account.columns.items() if target != name]
        sources += same if len(same) <= 12 else [f"{len(same)} under their own names"]
        sources += [f"{t} = {text or 'not known'} (given)" for t, text in account.given.items()]
        lines += ["pacbench: columns:", *_wrapped(", ".join(sources))]
    if account.unused:
        lines += ["pacbench: columns not used:", *_wrapped(", ".join(account.unused[:50]))]
    return lines


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent="  ", subsequent_indent="  ")
