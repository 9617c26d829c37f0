"""The command completion: a script for a shell, made from the command line's own parser."""

from __future__ import annotations

import argparse
from argparse import Namespace
from collections.abc import Iterable, Iterator
from typing import Any

from harness.arguments import parser
from harness.errors import UserError
from results.boards import boards

SHELLS = ("bash", "zsh", "fish")
FOLDERS = ("DIR", "DIR2", "FOLDER")
FILES = ("FILE", "TOML")


def completion_command(options: Namespace) -> int:
    """Print the script. Raises: UserError where the library that writes it is not installed."""
    try:
        import shtab
    except ImportError as error:
        raise UserError(f"completion needs shtab ({error}): pip install shtab") from error
    from harness.known import known_suites

    whole = parser()
    kinds: dict[str, Any] = {
        "SUITE": _names("suites", known_suites(), "*.toml"),
        "ROWS": _names("boards", boards(), "*"),
    }
    kinds |= dict.fromkeys(FOLDERS, shtab.DIRECTORY) | dict.fromkeys(FILES, shtab.FILE)
    for action in _actions(whole):
        kind = kinds.get(str(action.metavar))
        if action.dest == "folders":
            kind = shtab.FILE  # a campaign's folder, or a file of rows
        if kind is not None:
            vars(action)["complete"] = kind
    print(shtab.complete(whole, options.shell))
    return 0


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Every argument of every command."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from _actions(command)
        else:
            yield action


def _names(what: str, known: Iterable[str], files: str) -> dict[str, Any]:
    """What completes to a known name, or to a file, in each shell."""
    function, words = f"_pacbench_{what}", " ".join(known)
    bash = f"""
{function}() {{
  compgen -W "{words}" -- "$1"
  compgen -f -X '!{files}' -- "$1"
  compgen -d -- "$1"
}}
"""
    zsh = f"""
{function}() {{
  _alternative '{what}:{what}:({words})' 'files:file:_files -g "{files}"'
}}
"""
    suffix = files.removeprefix("*")
    fish = f"""
function {function}
  printf '%s\\n' {words}
  __fish_complete_suffix '{suffix}'
end
"""
    scripts = {"bash": bash, "zsh": zsh, "fish": fish}
    return {"bash": function, "zsh": function, "fish": f"({function})", "preamble": scripts}
