"""How batches come to a learner."""

from __future__ import annotations

from enum import StrEnum


class Road(StrEnum):
    """From the slowest to the fastest. A client takes the fastest one that the server and its place offer, up to the
    one that it was given."""

    GRPC = "grpc"
    FLIGHT = "flight"  # through the door for bulk data
    MAPPED = "mapped"  # through that door without frames, which come from the segments' files; on the same host only
