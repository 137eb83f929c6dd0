"""A stream of batches with credit, read ahead by a thread, that outlives restarts of the server.

It goes through the Flight door where Info tells of one that answers, else through gRPC.

consumes      batches of either road
produces      batches with pixels, at most `ahead` of them waiting
waits for     the server (rate limiter, data) or the learner (a full queue)
unblocked by  the next message, the learner's next(), close()
"""

from __future__ import annotations

import logging
import queue
import threading
import time
import weakref
from collections.abc import Iterator
from typing import Any

import grpc
from pyarrow import flight
from rampwire.v1 import replay_pb2 as wire

from ramp.errors import Corrupt, Full, RampError, Timeout, Unavailable
from ramp.types import Batch, SampleSpec
from services.clients.channel import delays, pause_after
from services.clients.credentials import Credentials
from services.clients.decoding import Decoder
from services.clients.flight import Grants, Lanes, answers, open_flight
from services.clients.road import Road
from services.common import codec, metrics
from services.common.errors import from_call

logger = logging.getLogger(__name__)

CLOSING_S = 5.0  # longest for a batch that is being decoded when its stream is closed
INFO_S = 10.0  # for Info to say which roads there are


class SampleStream:
    """An endless iterator of batches.

    `next` raises Timeout where none came for `timeout` s (the stream goes on; ask again), and what the server refuses:
    NotFound, Invalid, Unauthenticated, Denied.
    """

    def __init__(
        self,
        channel: grpc.Channel,
        address: str,
        credentials: Credentials,
        spec: SampleSpec,
        decoder: Decoder,
        *,
        timeout: float,
        ahead: int = 2,
        road: Road = Road.MAPPED,
    ) -> None:
        self._reader = _Reader(channel, address, credentials, spec, decoder, ahead, road)
        self._timeout = timeout
        self._finish = weakref.finalize(self, self._reader.close)

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        return self._reader.take(self._timeout)

    def close(self) -> None:
        """Cancel the call; what was read ahead is dropped."""
        self._finish()


class _Reader:
    """Owns the thread. Does not know the stream that uses it, so that a dropped stream ends it."""

    def __init__(
        self,
        channel: grpc.Channel,
        address: str,
        credentials: Credentials,
        spec: SampleSpec,
        decoder: Decoder,
        ahead: int,
        road: Road,
    ) -> None:
        self._info, self._road = info_method(channel), road
        self._sample = channel.stream_stream(
            "/ramp.v1.Replay/Sample",
            request_serializer=wire.SampleRequest.SerializeToString,
            response_deserializer=None,
        )
        self._address, self._credentials, self._spec = address, credentials, spec
        self._decoder, self._ahead = decoder, ahead
        self._metadata = credentials.metadata()
        self._ready: queue.Queue[Batch | RampError] = queue.Queue()
        self._trouble: RampError | None = None
        self._grants: Grants = queue.Queue()
        self._call: grpc.Call | None = None
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name=f"sample-{spec.table}", daemon=True)
        self._thread.start()

    # ---------------------------------------------------------------------------------- the learner's side

    def take(self, timeout: float) -> Batch:
        try:
            found = self._ready.get(timeout=timeout)
        except queue.Empty:
            why = f" ({self._trouble})" if self._trouble else ""
            raise Timeout(f"no batch of table {self._spec.table} within {timeout:g} s{why}") from self._trouble
        if isinstance(found, RampError):
            self._ready.put(found)  # it stays true for every later call
            raise found
        self._grants.put(1)
        return found

    def close(self) -> None:
        self._stopped.set()
        with self._lock:
            self._grants.put(None)
            if self._call is not None:
                self._call.cancel()
        self._ready.put(Unavailable("the stream was closed"))
        if threading.current_thread() is not self._thread:  # a dropped stream is closed wherever it is found
            self._thread.join(CLOSING_S)

    # ------------------------------------------------------------------------------------------ the thread

    def _run(self) -> None:
        pauses = delays()
        while not self._stopped.is_set():
            began = time.monotonic()
            try:
                self._read()
                refusal: RampError = Unavailable("the server ended the stream")
            except grpc.RpcError as error:
                refusal = from_call(error)
            except RampError as error:
                refusal = error
            if self._stopped.is_set():
                return
            if not isinstance(refusal, Unavailable | Full | Timeout):
                self._ready.put(refusal)
                return
            self._note(refusal)
            pauses = delays() if time.monotonic() - began > 5.0 else pauses
            self._stopped.wait(pause_after(refusal, next(pauses)))

    def _note(self, refusal: RampError) -> None:
        """Count every attempt, but tell the same trouble once only."""
        metrics.LEARNER_STREAM_RETRIES.inc()
        if str(refusal) != str(self._trouble):
            logger.warning("table %s: %s; asking again", self._spec.table, refusal)
        self._trouble = refusal

    def _read(self) -> None:
        """One connection, until it breaks."""
        bulk = self._info(wire.InfoRequest(), timeout=INFO_S, metadata=self._metadata).bulk
        if not bulk.flight_port or self._road is Road.GRPC:
            return self._read_grpc()
        if self._road is not Road.MAPPED:
            bulk.nonce = ""  # whatever files it would find
        with open_flight(self._address, bulk, self._credentials) as client:
            if answers(client, self._metadata):
                return self._read_flight(client, bulk)
        return self._read_grpc()

    def _read_flight(self, client: flight.FlightClient, bulk: wire.Bulk) -> None:
        grants, credit = self._renewed()
        for _ in range(credit):
            grants.put(1)
        Lanes(client, self._metadata, self._spec, bulk).pump(grants, self._deliver, self._stopped)

    def _read_grpc(self) -> None:
        grants, credit = self._renewed()
        with self._lock:
            if self._stopped.is_set():
                return
            call = self._sample(_requests(self._spec, credit, grants), metadata=self._metadata)
            self._call = call
        try:
            for data in call:
                self._deliver(codec.sampled_from_bytes(data)[0])
        finally:
            call.cancel()
            grants.put(None)

    def _renewed(self) -> tuple[Grants, int]:
        """The grants of a new connection, and for how many batches there is room at its beginning."""
        grants: Grants = queue.Queue()
        with self._lock:
            old, self._grants = self._grants, grants
            old.put(None)  # the old connection's request thread leaves
            if self._stopped.is_set():
                grants.put(None)
            return grants, max(self._ahead - self._ready.qsize(), 0)

    def _deliver(self, batch: Batch) -> None:
        """A batch with a picture that cannot be decoded is left out, and another one asked for: the picture stays where
        it is, and a learner that ended with it would end again."""
        try:
            self._ready.put(self._decoder.batch(batch))
            self._trouble = None
        except Corrupt as error:
            logger.error("table %s: a batch is left out: %s", self._spec.table, error)
            metrics.LEARNER_SPOILT.inc()
            self._trouble = error
            self._grants.put(1)


def info_method(channel: grpc.Channel) -> Any:
    """The method Info, which tells of the Flight door."""
    return channel.unary_unary(
        "/ramp.v1.Replay/Info",
        request_serializer=wire.InfoRequest.SerializeToString,
        response_deserializer=wire.InfoResponse.FromString,
    )


def _requests(spec: SampleSpec, credit: int, grants: Grants) -> Iterator[wire.SampleRequest]:
    yield wire.SampleRequest(spec=codec.spec_to_wire(spec), credit=credit)
    while (grant := grants.get()) is not None:
        yield wire.SampleRequest(credit=grant)
