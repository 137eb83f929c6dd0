"""What crosses the Flight door: tickets, and appends whose Arrow bytes lie behind their request."""

from __future__ import annotations

import struct

import pyarrow as pa
from google.protobuf.message import DecodeError
from rampwire.v1 import replay_pb2 as wire

from ramp.errors import Invalid
from ramp.replay.columns import steps_to_arrow
from ramp.types import SampleSpec, StepBatch, StepSchema
from services.common import codec
from services.common.append_codec import Batch
from services.common.arrow_bytes import record_parts

APPEND = b"append"  # the descriptor's command of a DoPut
LENGTH = struct.Struct("<I")
MAX_REQUEST = 2**20  # bytes of a request without its Arrow bytes


def ticket_to_bytes(spec: SampleSpec, places: str) -> bytes:
    return wire.Ticket(spec=codec.spec_to_wire(spec), places=places).SerializeToString()


def ticket_from_bytes(data: bytes) -> tuple[SampleSpec, str]:
    """What is wanted, and the nonce by which places are asked for, or "". Raises Invalid."""
    try:
        ticket = wire.Ticket.FromString(data)
    except DecodeError as error:
        raise Invalid("ticket", f"{len(data)} bytes", "send a serialised Ticket") from error
    if not ticket.HasField("spec"):
        raise Invalid("spec", "missing", "say in the ticket what to sample")
    return codec.spec_from_wire(ticket.spec), ticket.places


def append_to_buffer(request: wire.AppendRequest) -> pa.Buffer:
    """Of a request that has no Arrow bytes."""
    return pa.py_buffer(_framed(request))


def _framed(request: wire.AppendRequest) -> bytes:
    data = request.SerializeToString()
    return LENGTH.pack(len(data)) + data


def batch_to_buffer(episode_id: str, number: int, steps: StepBatch, schema: StepSchema) -> pa.Buffer:
    """A BATCH; its steps are copied once."""
    request = wire.AppendRequest(episode_id=episode_id, batch=wire.StepBatch(number=number))
    return pa.py_buffer(b"".join([_framed(request), *record_parts(steps_to_arrow(steps, schema))]))


def append_from_buffer(data: pa.Buffer) -> Batch | wire.AppendRequest:
    """The request; a batch of steps with a view of the bytes behind it. Raises Invalid."""
    size = LENGTH.unpack(data.slice(0, LENGTH.size).to_pybytes())[0] if data.size >= LENGTH.size else MAX_REQUEST + 1
    if size > min(data.size - LENGTH.size, MAX_REQUEST):
        remedy = f"send the request's length in 4 bytes, and the request, of at most {MAX_REQUEST} bytes"
        raise Invalid("app_metadata", f"{data.size} bytes", remedy)
    try:
        request = wire.AppendRequest.FromString(data.slice(LENGTH.size, size).to_pybytes())
    except DecodeError as error:
        raise Invalid("app_metadata", f"{size} bytes", "send a serialised AppendRequest") from error
    if request.WhichOneof("event") != "batch":
        return request
    return Batch(request.episode_id, request.batch.number, memoryview(data.slice(LENGTH.size + size)).cast("B"))
