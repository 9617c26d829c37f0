"""The published boards that come with the program: each the rows of a campaign, under the campaign's name."""

from __future__ import annotations

from pathlib import Path
from typing import Final

ROWS: Final = "rows.parquet"
HERE: Final = Path(__file__).resolve().parent


def boards() -> dict[str, Path]:
    """The file of rows of each board by name: package data where this is installed, docs/results of a checkout."""
    installed = HERE / "published"
    home = installed if installed.is_dir() else HERE.parent / "docs" / "results"
    return {path.parent.name: path for path in sorted(home.glob(f"*/{ROWS}"))}
