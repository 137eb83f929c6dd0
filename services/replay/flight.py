"""The Flight door: bulk data, without a copy between the mapped segments and the socket.

    DoGet   one ticket, one batch; a call waits for the rate limiter no longer than half a second, so nothing is held
            for a learner that does not ask, and no thread waits for one
    DoPut   appends, answered when they are durable

Arrow Flight bounds neither its calls nor their threads, so the door counts them; strangers are sent away before any
message of theirs is read. It has no deadline for stopping either: `stop` leaves behind who does not go.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import socket
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import flight
from rampwire.v1 import replay_pb2 as wire

from ramp.errors import Full, Invalid, RampError, Timeout, Unavailable
from services.common import bulk_codec, metrics
from services.common.access import Access, Client
from services.common.errors import status_of, to_flight
from services.common.expiry import expires_at
from services.common.gate import Gate
from services.common.tls import CertificateFiles
from services.replay.author import Author
from services.replay.bulk import announced
from services.replay.core import POLL_S, ReplayCore
from services.replay.uploads import Upload, receive

logger = logging.getLogger(__name__)

METHODS = {flight.FlightMethod.DO_GET: "/ramp.v1.Replay/Sample", flight.FlightMethod.DO_PUT: "/ramp.v1.Replay/Append"}
BEARER, ENTRANCE = "Bearer ", "entrance"
CALLS = 64  # of either kind, served at the same time
DOORS = {"FlightSample": "flight_sample", "FlightAppend": "flight_append"}


class FlightDoor:
    """A core served over Arrow Flight. Example: bulk = FlightDoor(core, Gate(), segments).start(host, 0)"""

    def __init__(self, core: ReplayCore, gate: Gate, segments: Path, calls: int = CALLS, advertised: str = "") -> None:
        """`segments` is the directory in which the core's shard keeps them; `advertised` the host by which others find
        this door, where that is not the one by which they call the server."""
        self._core, self._gate, self._segments, self._calls = core, gate, segments, calls
        self._advertised = advertised
        self._served: _Served | None = None

    def start(self, host: str, port: int, tls: CertificateFiles | None = None) -> wire.Bulk:
        """Serve; what Info shall tell of it. A renewed certificate is shown after the next start: Flight reads it once.

        Raises Unavailable where the port is taken."""
        _refuse_taken(host, port)
        try:
            self._served = _Served(self._core, self._gate, self._calls, location=(host, port), **_certificates(tls))
            bulk = announced(self._segments, self._served.port, self._advertised)
        except (pa.ArrowException, flight.FlightError, OSError) as error:
            raise Unavailable(f"cannot serve Flight at {host}:{port}: {error}") from error
        self._served.nonce = bulk.nonce
        return bulk

    def stop(self, grace_s: float = 2.0) -> bool:
        """No new calls, and those who wait are sent away. Flight waits for its calls without a bound: False where after
        `grace_s` there is one left, which only the end of the process ends."""
        if self._served is None:
            return True
        self._served.stopping.set()
        self._core.shard.interrupt()
        ending = threading.Thread(target=self._served.shutdown, name="flight-stop", daemon=True)
        ending.start()
        ending.join(grace_s)
        return not ending.is_alive()


def _refuse_taken(host: str, port: int) -> None:
    """Flight would share the port with whoever has it. Raises Unavailable."""
    if port:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError as error:
                raise Unavailable(f"cannot listen on {host}:{port}: {error}") from error


def _certificates(tls: CertificateFiles | None) -> dict[str, Any]:
    """As Flight wants them."""
    if tls is None:
        return {}
    tls.check()
    metrics.CERTIFICATE_EXPIRY.labels("flight").set(expires_at(tls.certificate))
    shown = {"tls_certificates": [(tls.certificate.read_bytes(), tls.key.read_bytes())]}
    asked = {"verify_client": True, "root_certificates": tls.client_ca.read_bytes()} if tls.client_ca else {}
    return shown | asked


class _Visit(flight.ServerMiddleware):
    """Who makes a call."""

    def __init__(self, access: Access, secret: str, method: str) -> None:
        """Raises Unauthenticated, Denied."""
        self.admit = partial(access.admit, secret, method)
        self.client = self.admit()


class _Entrance(flight.ServerMiddlewareFactory):
    """Asks at the beginning of every call, before a message is read."""

    def __init__(self, access: Access) -> None:
        self._access = access

    def start_call(self, info: flight.CallInfo, headers: dict[str, list[Any]]) -> _Visit:
        method = METHODS.get(info.method, info.method.name)
        given = str(next(iter(headers.get("authorization", [])), ""))
        try:
            return _Visit(self._access, given.removeprefix(BEARER) if given.startswith(BEARER) else "", method)
        except RampError as error:
            metrics.GRPC_CALLS.labels(f"Flight{method.rsplit('/', 1)[-1]}", status_of(error).name).inc()
            raise to_flight(error) from None


class _Served(flight.FlightServerBase):
    """The calls. Flight has a thread for each, and may call from any."""

    def __init__(self, core: ReplayCore, gate: Gate, calls: int, **place: Any) -> None:
        self._core, self._quotas = core, gate.quotas
        self._seats = {method: threading.BoundedSemaphore(calls) for method in DOORS}
        for door in DOORS.values():
            metrics.GRPC_LIMIT.labels(door).set(calls)
            metrics.GRPC_INFLIGHT.labels(door).set(0)
        self._generators: queue.SimpleQueue[np.random.Generator] = queue.SimpleQueue()
        self.nonce, self.stopping = "", threading.Event()
        super().__init__(middleware={ENTRANCE: _Entrance(gate.access)}, **place)

    def do_get(self, context: flight.ServerCallContext, ticket: flight.Ticket) -> flight.FlightDataStream:
        client = context.get_middleware(ENTRANCE).client
        with self._call("FlightSample", client) as seat:
            spec, places = bulk_codec.ticket_from_bytes(ticket.ticket)
            if places and places != self.nonce:
                raise Unavailable("the server was started again; ask Info for its nonce")
            self._await_quota(client)
            record = self._drawn(spec, bool(places))
            self._quotas.charge(client, record.nbytes)
            return flight.GeneratorStream(record.schema, _Once(record, seat.pop_all()))

    def _await_quota(self, client: Client) -> None:
        """Raises Timeout where it takes longer than POLL_S: the client is to ask again."""
        if (debt_s := self._quotas.debt_s(client)) > 0:
            self.stopping.wait(min(debt_s, POLL_S))
            if debt_s > POLL_S:
                raise Timeout(f"{client.name} has been sent more than its quota; ask again in {debt_s:.1f} s")

    def _drawn(self, spec: Any, places: bool) -> pa.RecordBatch:
        generator = self._generator()
        try:
            return self._core.drawn(spec, generator, places=places)
        finally:
            self._generators.put(generator)

    def _generator(self) -> np.random.Generator:
        """One that no other call uses now."""
        try:
            return self._generators.get_nowait()
        except queue.Empty:
            return self._core.shard.generator()

    def do_put(
        self,
        context: flight.ServerCallContext,
        descriptor: flight.FlightDescriptor,
        reader: flight.MetadataRecordBatchReader,
        writer: flight.FlightMetadataWriter,
    ) -> None:
        visit = context.get_middleware(ENTRANCE)
        with self._call("FlightAppend", visit.client):
            if descriptor.command != bulk_codec.APPEND:
                raise Invalid("descriptor", repr(descriptor.command)[:160], f"give the command {bulk_codec.APPEND!r}")
            upload = Upload(
                author=Author(self._core, self._quotas, visit.client),
                most=self._core.shard.config.limits.max_message_bytes,
                admit=visit.admit,
                alive=lambda: not (self.stopping.is_set() or context.is_cancelled()),
                wait=self.stopping.wait,
            )
            receive(upload, reader, writer)

    @contextlib.contextmanager
    def _call(self, method: str, client: Client) -> Iterator[contextlib.ExitStack]:
        """One call, counted and timed; errors become Flight's. Its seat is given back by the stack that it gets."""
        began, code = time.monotonic(), "OK"
        try:
            with self._seat(method) as seat:
                seat.enter_context(self._quotas.call(client))
                yield seat
        except RampError as error:
            code = status_of(error).name
            raise to_flight(error) from None
        except Exception as error:
            code = "INTERNAL"
            logger.exception("%s failed", method)
            raise flight.FlightInternalError(f"{method} failed; the server's log says why") from error
        finally:
            metrics.GRPC_SECONDS.labels(method).observe(time.monotonic() - began)
            metrics.GRPC_CALLS.labels(method, code).inc()

    def _seat(self, method: str) -> contextlib.ExitStack:
        """Producers cannot take the learners' seats: a stream of appends lasts as long as its producer likes."""
        if not self._seats[method].acquire(blocking=False):
            raise Full("as many calls are served as may be; try later")
        seat, inflight = contextlib.ExitStack(), metrics.GRPC_INFLIGHT.labels(DOORS[method])
        inflight.inc()
        seat.callback(inflight.dec)
        seat.callback(self._seats[method].release)
        return seat


class _Once:
    """An iterator over one record, which gives the call's seat back when Flight lets go of it: sent, or not wanted."""

    def __init__(self, record: pa.RecordBatch, seat: contextlib.ExitStack) -> None:
        self._record: pa.RecordBatch | None = record
        self._seat = seat

    def __iter__(self) -> _Once:
        return self

    def __next__(self) -> pa.RecordBatch:
        record, self._record = self._record, None
        if record is None:
            raise StopIteration
        return record

    def __del__(self) -> None:
        self._seat.close()
