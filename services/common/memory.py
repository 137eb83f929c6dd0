"""What the C library does with memory that is freed."""

from __future__ import annotations

import ctypes

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8  # glibc's names and numbers
LARGEST = 32 * 2**20  # bytes of a buffer that is taken from what was freed; glibc takes no more for an answer
KEPT = 256 * 2**20  # bytes that may lie free


def keep_freed() -> None:
    """Large buffers are used again, whichever thread needs one. Else each is given back to the kernel when it is freed,
    and the next message costs new pages, which are cleared one by one: more than it costs to receive it.

    For the whole process, and threads that have not allocated yet; right also where it was called before. Without glibc
    all stays as it is.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_ARENA_MAX, 1)  # the others give back what is free, however large the threshold is
        mallopt(M_MMAP_THRESHOLD, LARGEST)
        mallopt(M_TRIM_THRESHOLD, KEPT)
