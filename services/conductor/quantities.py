"""Numbers as a person reads them, the same on the terminal and in the report."""

from __future__ import annotations


def clock(seconds: float | None) -> str:
    """Minutes and seconds, with hours where there are any: 0:07, 12:31, 2:05:00; ? for None."""
    if seconds is None:
        return "?"
    minutes, rest = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def size(num_bytes: float) -> str:
    return f"{num_bytes / 2**30:.1f} GiB" if num_bytes >= 2**30 else f"{num_bytes / 2**20:.0f} MiB"
