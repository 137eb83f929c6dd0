"""A large buffer that was freed is used again, by whichever thread."""

from __future__ import annotations

import subprocess
import sys

import pytest

FAULTS = """
import resource, sys, threading
from services.common.memory import keep_freed

def use():
    for _ in range(20):
        bytearray(24 << 20).find(b"x")

if sys.argv[1] == "kept":
    keep_freed()
use()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
thread = threading.Thread(target=use)
thread.start()
thread.join()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def new_pages(how: str) -> int:
    return int(subprocess.run([sys.executable, "-c", FAULTS, how], capture_output=True, check=True, text=True).stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's allocator")
def test_freed_buffers_cost_no_new_pages() -> None:
    assert new_pages("kept") < new_pages("given back") / 4
