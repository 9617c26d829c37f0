"""What a worker asks of the libraries below torch: keep freed memory, and round alike wherever numbers lie."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Numbers of glibc's mallopt(3)."""


def keep_freed_memory() -> bool:
    """Tell the C library's allocator not to return memory to the system; False where it cannot be told.

    Lanes allocate megabytes for each operation. glibc maps such blocks anew every time, and the kernel clears them
    page by page: on the digits network that was a third to a half of a step.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(_MMAP_THRESHOLD, 2**30) and mallopt(_TRIM_THRESHOLD, 2**31 - 1))


def round_alike() -> None:
    """Tell Intel's MKL to round a product alike wherever its numbers lie in memory, by the environment variable that it
    reads when torch is loaded. Otherwise a lane's bits depend on the alignment of its slice of the stack.
    """
    try:
        flags = set(Path("/proc/cpuinfo").read_text().split())
    except OSError:
        return
    branch = "AVX512" if "avx512f" in flags else "AVX2" if "avx2" in flags else None
    if branch:
        os.environ.setdefault("MKL_CBWR", f"{branch},STRICT")
