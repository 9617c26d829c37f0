"""Our folders are import packages of common names: another `tasks` or `methods` must not pass for ours."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from harness.errors import UserError

PACKAGES = ("methods", "tasks", "results", "suites")


def refuse_shadowed_packages() -> None:
    """Raises: UserError if the current folder or PYTHONPATH puts another `methods` or `tasks` before ours."""
    home = Path(__file__).resolve().parent.parent
    for name in PACKAGES:
        spec = find_spec(name)
        where = Path(spec.origin).resolve() if spec and spec.origin else None
        if where is None or where.parent.parent != home:
            raise UserError(f"package {name!r} is found at {where or 'nowhere'}, not in {home}; another one shadows it")
