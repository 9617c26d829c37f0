"""For the reference: every docstring becomes Markdown before it is shown."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import griffe

sys.path.insert(0, str(Path(__file__).parent))

import prose


class Docstrings(griffe.Extension):
    """Rewrites docstrings as they are found."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        if obj.docstring is not None:
            obj.docstring.value = prose.markdown(obj.docstring.value)
