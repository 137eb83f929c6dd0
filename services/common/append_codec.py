"""Batches of steps on the wire, written and read by hand: the generated code would copy the pixels twice more each way.

What is written here is an AppendRequest like any other, and what is not in this form is left to the generated code.
"""

from __future__ import annotations

from dataclasses import dataclass

from rampwire.v1 import replay_pb2 as wire

from ramp.replay.columns import steps_to_arrow
from ramp.types import StepBatch, StepSchema
from services.common.arrow_bytes import record_parts
from services.common.varint import read_varint, varint

EPISODE_TAG, BATCH_TAG = 0x0A, 0x1A  # fields 1 and 3 of AppendRequest, length-delimited
NUMBER_TAG, ARROW_TAG = 0x08, 0x12  # fields 1 (a number) and 2 (length-delimited) of StepBatch


@dataclass(frozen=True, slots=True)
class Batch:
    """An AppendRequest with a batch of steps; `arrow` is a view of the message."""

    episode_id: str
    number: int
    arrow: memoryview


def batch_frame(episode_id: str, number: int, steps: StepBatch, schema: StepSchema) -> bytes:
    """A serialised AppendRequest; the pixels are copied once."""
    parts = record_parts(steps_to_arrow(steps, schema))
    size = sum(map(len, parts))
    numbered = (bytes([NUMBER_TAG]) + varint(number) if number else b"") + bytes([ARROW_TAG]) + varint(size)
    name = episode_id.encode()
    head = bytes([EPISODE_TAG]) + varint(len(name)) + name
    return b"".join([head, bytes([BATCH_TAG]), varint(len(numbered) + size), numbered, *parts])


def request_from_bytes(data: bytes) -> Batch | wire.AppendRequest:
    """Raises DecodeError for what is no AppendRequest."""
    try:
        found = _batch(data)
    except (IndexError, UnicodeDecodeError):
        found = None
    return wire.AppendRequest.FromString(data) if found is None else found


def _batch(data: bytes) -> Batch | None:
    """None where the message is no batch in the form of `batch_frame`. Raises IndexError, UnicodeDecodeError."""
    if data[0] != EPISODE_TAG:
        return None
    size, begin = read_varint(data, 1)
    name, begin = data[begin : begin + size], begin + size
    if data[begin] != BATCH_TAG:
        return None
    size, begin = read_varint(data, begin + 1)
    if begin + size != len(data):
        return None
    number = 0
    if data[begin] == NUMBER_TAG:
        number, begin = read_varint(data, begin + 1)
    if data[begin] != ARROW_TAG:
        return None
    size, begin = read_varint(data, begin + 1)
    if not size or begin + size != len(data) or number >= 2**32:
        return None
    return Batch(name.decode(), number, memoryview(data)[begin:])
