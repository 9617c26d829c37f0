"""The command as a child of a program that must not fork, as a notebook's process: it ends where that program ends.

`python -P -m harness.attached PID ARGUMENT...`, or this file by its path. PID is the program's process. It waits for
the command in the thread that started it; should it be killed, the command gets SIGTERM, as from a person, and ends
its own processes (see harness/supervise.py). Where the system is not Linux this promise is not made.
"""

from __future__ import annotations

import os
import signal
import sys
from importlib.util import find_spec
from pathlib import Path


def main() -> int:
    """The command's exit status."""
    parent, arguments = int(sys.argv[1]), sys.argv[2:]
    from harness.cli import main as command
    from harness.supervise import end_with_parent

    if end_with_parent(signal.SIGTERM) and os.getppid() != parent:  # gone before the request was made
        return 130
    return command(arguments)


def _find_ourselves() -> None:
    """Make our packages importable where the program had found them in a way that a child does not know."""
    home = Path(__file__).resolve().parent.parent
    spec = find_spec("harness")
    if spec is None or spec.origin is None or Path(spec.origin).resolve().parent.parent != home:
        sys.path.insert(0, str(home))
        inherited = os.environ.get("PYTHONPATH")
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(home), inherited)))  # for Ray's workers


if __name__ == "__main__":
    _find_ourselves()
    sys.exit(main())
