"""Keep freed memory in the process: a step's large tensors then cost no page faults at the next step."""

from __future__ import annotations

import ctypes

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
