"""Pictures on disk as tensors. The one place that imports Pillow, lazily."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from harness.errors import UserError

SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"})


def data_folder(given: str, expected: str, field: str = "folder") -> Path:
    """The folder a user named in `field`. `expected` says in words what has to lie in it.

    Raises: UserError if none is given, it is not absolute (workers run elsewhere), or it is no folder.
    """
    if not given:
        raise UserError(f"{field} is not given; expected the path of {expected}")
    path = Path(given).expanduser()
    if not path.is_absolute():
        raise UserError(f"{field} = {given!r} is not absolute; expected the whole path of {expected}")
    if not path.is_dir():
        raise UserError(f"{field} = {given!r} is not a folder; expected {expected}")
    return path


def read_images(paths: Iterable[Path], size: int) -> Tensor:
    """Every picture's largest square in its middle, scaled to `size` pixels, red, green and blue.

    Shapes: (pictures, 3, size, size), uint8. Raises: UserError naming the first file that is no picture.
    """
    pictures = [_square(path, size) for path in paths]
    return torch.from_numpy(np.stack(pictures)) if pictures else torch.empty(0, 3, size, size, dtype=torch.uint8)


def _square(path: Path, size: int) -> np.ndarray:
    from PIL import Image

    try:
        with Image.open(path) as opened:
            picture = opened.convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise UserError(f"{path}: not a picture that can be read ({error})") from error
    width, height = picture.size
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    box = (left, top, left + side, top + side)
    return np.asarray(picture.resize((size, size), Image.Resampling.BILINEAR, box=box)).transpose(2, 0, 1).copy()
