"""A Reverb server, in its own environment: python -m benchmarks.peers.reverb_server CHECKPOINTS WINDOWS

Keeps the newest WINDOWS items of camera steps, and as many items as are put into `small`; prints its port.
"""

from __future__ import annotations

import sys
from typing import Any

import reverb


def table(name: str, selector: Any, most: int) -> reverb.Table:
    """Forgets the oldest item where it holds `most`; samples wait for nothing."""
    oldest, always = reverb.selectors.Fifo(), reverb.rate_limiters.MinSize(1)
    return reverb.Table(name, selector, oldest, max_size=most, rate_limiter=always)


def main() -> None:
    checkpoints, windows = sys.argv[1], int(sys.argv[2])
    keeper = reverb.platform.checkpointers_lib.DefaultCheckpointer(path=checkpoints)
    steps = table("steps", reverb.selectors.Uniform(), windows)
    small = table("small", reverb.selectors.Prioritized(1.0), 10**6)
    server = reverb.Server([steps, small], checkpointer=keeper)
    print(server.port, flush=True)
    server.wait()


if __name__ == "__main__":
    main()
