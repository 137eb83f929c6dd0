"""What strangers send to the two doors before anything else is asked: appends of gRPC and Flight, Flight's tickets."""

from __future__ import annotations

import pyarrow as pa
from google.protobuf.message import DecodeError
from rampwire.v1 import replay_pb2 as wire

from ramp.errors import Invalid
from ramp.types import Order, Outcome, SampleSpec
from services.common import bulk_codec, codec
from services.common.append_codec import Batch, batch_frame, request_from_bytes
from tests.experience import SCHEMA, make_header, make_steps
from tests.fuzz.target import Target


def requests() -> list[wire.AppendRequest]:
    """Every event of an append, but for batches."""
    return [
        codec.open_request(make_header("e0", thoughts=True)),
        codec.end_request("e0", Outcome.SUCCESS, 300),
        codec.abort_request("größe"),
        wire.AppendRequest(),
    ]


class Requests(Target):
    """AppendRequests as the gRPC door reads them by hand: the generated code must read the same, or refuse as well."""

    def seeds(self) -> list[bytes]:
        batches = [batch_frame("größe-7", number, make_steps(0, 4), SCHEMA) for number in (0, 1, 300)]
        return batches + [each.SerializeToString() for each in requests()]

    def feed(self, data: bytes) -> None:
        try:
            found = request_from_bytes(data)
        except DecodeError:
            found = None
        try:
            wanted = wire.AppendRequest.FromString(data)
        except DecodeError:
            assert found is None, "what is no message is taken for one"
            return
        if isinstance(found, Batch):
            assert (found.episode_id, found.number) == (wanted.episode_id, wanted.batch.number)
            assert bytes(found.arrow) == wanted.batch.arrow
        else:
            assert found is not None
            assert found.SerializeToString(deterministic=True) == wanted.SerializeToString(deterministic=True)


class Tickets(Target):
    """A Flight ticket: what is asked for comes back as it was."""

    def seeds(self) -> list[bytes]:
        specs = [
            SampleSpec(table="demos", batch_size=256, chunk=8, horizons=(12, 24, 36, 48), order=order, track_stride=2)
            for order in Order
        ]
        return [bulk_codec.ticket_to_bytes(spec, places) for spec in specs for places in ("", "nonce")]

    def feed(self, data: bytes) -> None:
        try:
            spec, places = bulk_codec.ticket_from_bytes(data)
        except Invalid:
            return
        assert bulk_codec.ticket_from_bytes(bulk_codec.ticket_to_bytes(spec, places)) == (spec, places)


class Parcels(Target):
    """The metadata of a DoPut's messages: a request behind its length, and a batch's bytes behind it."""

    def seeds(self) -> list[bytes]:
        batches = [bulk_codec.batch_to_buffer("größe-7", number, make_steps(0, 4), SCHEMA) for number in (0, 300)]
        return [each.to_pybytes() for each in (*batches, *map(bulk_codec.append_to_buffer, requests()))]

    def feed(self, data: bytes) -> None:
        try:
            found = bulk_codec.append_from_buffer(pa.py_buffer(data))
        except Invalid:
            return
        if isinstance(found, Batch):
            assert data.endswith(bytes(found.arrow))
            found = wire.AppendRequest(episode_id=found.episode_id, batch=wire.StepBatch(number=found.number))
        again = bulk_codec.append_from_buffer(bulk_codec.append_to_buffer(found))
        assert (again.episode_id, isinstance(again, Batch)) == (found.episode_id, found.WhichOneof("event") == "batch")
