"""The command `new`: a package with one method or one task that runs, keeps the contract and can be installed."""

from __future__ import annotations

import keyword
import re
import shlex
from argparse import Namespace
from pathlib import Path

from harness.errors import UserError
from harness.known import known_methods, known_tasks, say_what_is_wrong
from harness.scaffold import package


def new_command(options: Namespace) -> int:
    """Write the package's folder and say what to do next. Raises: UserError, and nothing is written."""
    kind, name = options.kind, options.name
    _check_name(name)
    folder = Path(options.out or f"pacbench-{name.replace('_', '-')}").expanduser()
    if folder.exists() or folder.is_symlink():
        raise UserError(f"--out {folder}: is there already; choose another folder, nothing is overwritten")
    files = package(kind, name)
    try:
        folder.mkdir(parents=True)
        for file, text in files.items():
            (folder / file).write_text(text, encoding="utf-8")
    except (OSError, ValueError) as error:
        raise UserError(f"--out {folder}: cannot be written ({error})") from error
    print(f"{folder}: {', '.join(files)}")
    file = shlex.quote(f"{folder}/pacbench_{name}.py")
    print(f"  pacbench check {kind} {file}   # tries what it promises")
    print(f"  pip install -e {shlex.quote(str(folder))}                # then suites can name it: {name}")
    return 0


def _check_name(name: str) -> None:
    """Raises: UserError for what cannot name a method or task, or does already."""
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or keyword.iskeyword(name) or len(name) > 60:
        close = re.sub(r"\W+", "_", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)).lower().strip("_0123456789")
        usable = re.fullmatch(r"[a-z][a-z0-9_]*", close) and not keyword.iskeyword(close)
        nearest = f"; did you mean {close[:60]!r}?" if usable and close != name else ""
        raise UserError(f"{name!r} is no name: expected small letters, digits and underscores, a letter first{nearest}")
    say_what_is_wrong(known_methods(), known_tasks())
    for known in (known_methods(), known_tasks()):
        if (owner := known.owner(name)) is not None:
            raise UserError(f"{name!r} is taken: a {known.kind} of that name is {_whose(owner)}; choose another")


def _whose(owner: str) -> str:
    return owner if owner == "built-in" else f"in package {owner}"
