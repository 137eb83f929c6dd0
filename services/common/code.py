"""Which code this is."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def code() -> str:
    """Version of the installed package."""
    try:
        return f"ramp-fleet {version('ramp-fleet')}"
    except PackageNotFoundError:
        return "ramp-fleet, from source"
