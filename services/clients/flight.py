"""A learner's batches through the Flight door: each is asked for when there is room for it.

consumes      grants, one for each batch that there is room for
produces      decoded batches
waits for     a grant, or the server's answer, half a second at most while the rate limiter holds
unblocked by  the learner's next(), the answer, `None` as a grant
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
from pyarrow import flight
from rampwire.v1 import replay_pb2 as wire

from ramp.errors import Corrupt, RampError, Timeout
from ramp.replay.batches import batch_from_arrow
from ramp.replay.selection import WHOLE
from ramp.types import Batch, SampleSpec
from services.clients.credentials import Credentials, Metadata
from services.clients.mapped import SegmentMaps, same_files
from services.common import bulk_codec
from services.common.errors import from_flight
from services.common.memory import keep_freed

logger = logging.getLogger(__name__)

Grants = queue.Queue[int | None]
FAILURES = (flight.FlightError, pa.ArrowException, OSError, StopIteration)

OPTIONS = {  # who shared a connection would share the pauses after its failures too
    "grpc.use_local_subchannel_pool": 1,
    "grpc.initial_reconnect_backoff_ms": 100,
    "grpc.min_reconnect_backoff_ms": 100,
    "grpc.max_reconnect_backoff_ms": 2_000,
}
KNOCK_S = 5.0  # for the door to say anything
ASK_S = 120.0  # for one batch to come, however long the line
LANES = 2  # calls at the same time: one batch is drawn while another one is on its way


def open_flight(address: str, bulk: wire.Bulk, credentials: Credentials) -> flight.FlightClient:
    """To the Flight door of the server at `host:port`, by a connection of its own, and where that server says that it
    is; from now on this process keeps large buffers for the next message. Raises Invalid and NotFound for credentials
    that cannot be read."""
    keep_freed()
    host = (bulk.flight_host or address.rpartition(":")[0]).strip("[]")
    ca, key, chain = credentials.files() or (None, None, None)
    options = list(OPTIONS.items())
    return flight.FlightClient(
        (host, bulk.flight_port), tls_root_certs=ca, private_key=key, cert_chain=chain, generic_options=options
    )


def call_options(metadata: Metadata, timeout: float) -> flight.FlightCallOptions:
    return flight.FlightCallOptions(
        timeout=timeout, headers=[(key.encode(), value.encode()) for key, value in metadata]
    )


def answers(client: flight.FlightClient, metadata: Metadata) -> bool:
    """Whether the door can be reached at all; what it answers does not matter."""
    try:
        list(client.list_flights(options=call_options(metadata, KNOCK_S)))
    except (flight.FlightUnavailableError, flight.FlightTimedOutError):
        return False
    except FAILURES:
        return True  # it serves no lists
    return True


class Lanes:
    """One connection."""

    def __init__(self, client: flight.FlightClient, metadata: Metadata, spec: SampleSpec, bulk: wire.Bulk) -> None:
        self._client, self._spec, self._nonce = client, spec, bulk.nonce
        self._options = call_options(metadata, ASK_S)
        self._maps = SegmentMaps(Path(bulk.directory)) if same_files(bulk) else None
        self._failure: RampError | None = None

    def pump(self, grants: Grants, deliver: Callable[[Batch], None], stopped: threading.Event) -> None:
        """Until `None` is granted, or `stopped`. Raises what the server refuses, Unavailable where it is away."""
        count = 1 if self._spec.order in WHOLE else LANES  # two would deliver a queue out of order
        work = (grants, deliver, stopped)
        lanes = [threading.Thread(target=self._lane, args=work, daemon=True) for _ in range(count)]
        for lane in lanes:
            lane.start()
        for lane in lanes:
            lane.join()
        if self._failure is not None:
            raise self._failure

    def _lane(self, grants: Grants, deliver: Callable[[Batch], None], stopped: threading.Event) -> None:
        try:
            while grants.get() is not None:
                batch = None
                while batch is None:
                    if stopped.is_set() or self._failure is not None:
                        return
                    batch = self._batch()
                deliver(batch)
        except RampError as error:
            self._failure = self._failure or error
        finally:
            grants.put(None)  # the other lane leaves too

    def _batch(self) -> Batch | None:
        """None where another question may bring one. Raises what the server refuses, Unavailable, Timeout."""
        began, maps = time.monotonic(), self._maps
        try:
            record = self._ask(maps is not None)
            return batch_from_arrow(record) if maps is None else _taken(record, maps)
        except Corrupt as error:
            if maps is None:
                raise
            logger.warning("table %s: %s; its frames come over the wire from now on", self._spec.table, error)
            self._maps = None
        except Timeout:
            if time.monotonic() - began >= ASK_S:
                raise
        return None

    def _ask(self, places: bool) -> pa.RecordBatch:
        ticket = flight.Ticket(bulk_codec.ticket_to_bytes(self._spec, self._nonce if places else ""))
        try:
            reader = self._client.do_get(ticket, self._options)
            record = reader.read_chunk().data
            reader.read_all()  # nothing more: the call ends well
            return record
        except FAILURES as error:
            raise from_flight(error) from None


def _taken(record: pa.RecordBatch, maps: SegmentMaps) -> Batch:
    """With frames from the maps; a segment that has grown since it was mapped is mapped again. Raises Corrupt."""
    try:
        return batch_from_arrow(record, maps)
    except Corrupt:
        maps.renew()
        return batch_from_arrow(record, maps)
