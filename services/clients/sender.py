"""The thread that brings a spool to the server, through as many connections as it takes.

    consumes      frames of the spool's parcels, in order
    produces      Append requests; at most FLIGHT_FRAMES and FLIGHT_BYTES of them unanswered
    waits for     frames, answers, and after a failure a pause that doubles
    unblocked by  Writer.append, the server's Appended, close()

Every connection begins each parcel anew with OPEN; the answer says which batch the server wants next. Batches that it
has and that this process has sent before are not sent again; all others are, because what lies there under the same id
may be another's: the server compares. It stores every step once.

Over its quota a producer waits for as long as the server says: with new episodes where it has too many open, with all
where it has sent too much. Nothing leaves the spool meanwhile.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import grpc
from rampwire.v1 import replay_pb2 as wire

from ramp.errors import Conflict, Corrupt, Denied, Invalid, OverQuota, RampError, Unavailable
from services.clients.channel import delays, pause_after
from services.clients.credentials import Metadata
from services.clients.spool import Parcel, Spool
from services.common import codec
from services.common.errors import from_call, from_wire, status_of
from services.common.metrics import SPOOL_REFUSED

logger = logging.getLogger(__name__)

FLIGHT_FRAMES = 64
FLIGHT_BYTES = 16 * 2**20
FINAL = (Invalid, Conflict, Corrupt, Denied)
"""Refusals of the episode itself: trying again cannot help."""


@dataclass(slots=True)
class _Way:
    """How far a parcel has come on the present connection."""

    sent: int = 0  # frames
    opened: bool = False  # OPEN was answered
    answered: int = 0  # frames
    held: int = 0  # frames that the server had when OPEN was answered, whoever sent them

    def free(self) -> bool:
        """Whether the next frame may go: one that is new to the server only once what it held has been compared."""
        return self.sent < self.held or self.answered >= self.held if self.opened else self.sent == 0


@dataclass(slots=True)
class Ledger:
    """What became of the parcels; guarded by the sender's condition."""

    acknowledged: dict[str, int] = field(default_factory=dict)  # frames, of parcels under way
    refused: dict[str, RampError] = field(default_factory=dict)
    trouble: RampError | None = None  # why the last connection ended; None while all is well


class Sender:
    """Started at construction; `close` stops it, leaving in the spool what was not acknowledged."""

    def __init__(self, channel: grpc.Channel, metadata: Metadata, spool: Spool, keep_refused: int = 256) -> None:
        self._append = _append(channel)
        self._metadata, self._spool, self._keep_refused = metadata, spool, keep_refused
        self._changed = threading.Condition()
        self._ledger = Ledger()
        self._ways: dict[Parcel, _Way] = {}
        self._flight: deque[tuple[Parcel, int, int]] = deque()  # parcel, frame, bytes
        self._link = 0  # number of the present connection
        self._open_after = (
            0.0  # monotonic time before which no further episode is opened: the server has enough of ours
        )
        self._stopped = False
        self._call: grpc.Call | None = None
        for parcel in spool.parcels:
            self._finish_leftover(parcel)
        self._thread = threading.Thread(target=self._run, name="sender", daemon=True)
        self._thread.start()

    def _finish_leftover(self, parcel: Parcel) -> None:
        """A producer that died mid-episode will not go on with it."""
        last = wire.AppendRequest.FromString(parcel.frame(len(parcel) - 1)).WhichOneof("event")
        if last in ("end", "abort"):
            parcel.finish()
        else:
            parcel.add(codec.abort_request(parcel.episode_id).SerializeToString(), last=True)

    # ------------------------------------------------------------------------------- the producer's side

    def notify(self) -> None:
        """Frames were added."""
        with self._changed:
            self._changed.notify_all()

    def refusal(self, episode_id: str) -> RampError | None:
        """Why the server refused the episode, if it did."""
        with self._changed:
            return self._ledger.refused.get(episode_id)

    def wait(self, done: Callable[[Ledger], bool], timeout: float) -> bool:
        """Until `done`, looked at whenever an answer came."""
        with self._changed:
            return self._changed.wait_for(lambda: done(self._ledger) or self._stopped, timeout) and not self._stopped

    @property
    def trouble(self) -> RampError | None:
        return self._ledger.trouble

    def redirect(self, channel: grpc.Channel) -> None:
        """Go on over this channel: the server is found elsewhere now."""
        with self._changed:
            self._append = _append(channel)
            if self._call is not None:
                self._call.cancel()

    def close(self) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
            if self._call is not None:
                self._call.cancel()
        self._thread.join()

    # -------------------------------------------------------------------------------------- the thread

    def _run(self) -> None:
        pauses = delays()
        while self._await_work():
            began = time.monotonic()
            try:
                self._connect()
                trouble: RampError = Unavailable("the server ended the stream")
            except grpc.RpcError as error:
                trouble = from_call(error)
            except RampError as error:
                trouble = error
            self._note(trouble)
            if time.monotonic() - began > 5.0:
                pauses = delays()
            with self._changed:
                self._changed.wait_for(lambda: self._stopped, pause_after(trouble, next(pauses)))

    def _await_work(self) -> bool:
        with self._changed:
            self._changed.wait_for(lambda: self._stopped or bool(self._spool.parcels))
            return not self._stopped

    def _note(self, error: RampError) -> None:
        with self._changed:
            if not self._stopped and type(error) is not type(self._ledger.trouble):
                logger.warning("replay connection: %s", error)
            self._ledger.trouble = error
            self._changed.notify_all()

    def _connect(self) -> None:
        """One connection, until it breaks or the sender is stopped."""
        with self._changed:
            self._link += 1
            self._open_after = 0.0
            self._ways.clear()
            self._flight.clear()
            call = self._append(self._frames(self._link), metadata=self._metadata, wait_for_ready=False)
            self._call = call
        try:
            for answer in call:
                self._take(answer)
        finally:
            call.cancel()

    def _frames(self, link: int) -> Iterator[bytes]:
        """gRPC's own thread pulls from here; an old connection's thread finds another number and leaves."""
        while True:
            with self._changed:
                found = self._await_frame(link)
                if found is None:
                    return
                parcel, number = found
                data = parcel.frame(number)
                self._ways[parcel].sent = number + 1
                parcel.offered = max(parcel.offered, number + 1)
                self._flight.append((parcel, number, len(data)))
            yield data

    def _await_frame(self, link: int) -> tuple[Parcel, int] | None:
        """The next frame; None once this connection is over."""
        while not self._stopped and self._link == link:
            found = self._next()
            if found is not None:
                return found
            wait = self._open_after - time.monotonic()
            self._changed.wait(wait if wait > 0 else None)
        return None

    def _next(self) -> tuple[Parcel, int] | None:
        """The next frame that may be sent."""
        if len(self._flight) >= FLIGHT_FRAMES or sum(size for _, _, size in self._flight) >= FLIGHT_BYTES:
            return None
        may_open = time.monotonic() >= self._open_after
        for parcel in self._spool.parcels:
            way = self._ways.setdefault(parcel, _Way())
            if way.sent < len(parcel) and way.free() and (way.opened or may_open):
                return parcel, way.sent
        return None

    def _take(self, answer: wire.Appended) -> None:
        with self._changed:
            parcel, number, _ = self._flight.popleft()
            way = self._ways.get(parcel)
            if way is not None and parcel in self._spool.parcels:
                if answer.HasField("error"):
                    self._refused(parcel, way, number, from_wire(answer.error))
                else:
                    self._acknowledged(parcel, way, number, answer)
            self._changed.notify_all()

    def _acknowledged(self, parcel: Parcel, way: _Way, number: int, answer: wire.Appended) -> None:
        self._ledger.trouble = None
        way.answered = number + 1
        if number == 0:
            way.opened, way.held = True, 1 + answer.next_batch  # OPEN and the batches
            known = min(way.held, parcel.offered)  # of those, the ones from here
            way.sent = min(known, len(parcel) - 1) if parcel.closed else min(known, len(parcel))
            way.sent, way.answered = max(way.sent, 1), max(min(known, len(parcel)), 1)
        self._ledger.acknowledged[parcel.episode_id] = way.answered
        if parcel.closed and number == len(parcel) - 1:
            self._ledger.acknowledged.pop(parcel.episode_id, None)
            self._ways.pop(parcel)
            self._spool.remove(parcel, Parcel.discard)
            self._open_after = 0.0  # there is room for one more

    def _refused(self, parcel: Parcel, way: _Way, number: int, error: RampError) -> None:
        """Raises what another connection may mend; remembers what nothing can mend, for the producer's next call."""
        if isinstance(error, OverQuota) and number == 0:
            way.sent, self._open_after = 0, time.monotonic() + error.retry_after_s
            self._ledger.trouble = error
            return
        if not isinstance(error, FINAL):
            raise error
        logger.error("episode %s was refused: %s", parcel.episode_id, error)
        SPOOL_REFUSED.labels(status_of(error).name).inc()
        refused = self._ledger.refused
        refused.setdefault(parcel.episode_id, error)
        while len(refused) > self._keep_refused:
            refused.pop(next(iter(refused)))
        self._ledger.acknowledged.pop(parcel.episode_id, None)
        opening = parcel.frame(0)
        self._ways.pop(parcel)
        self._spool.remove(parcel, Parcel.set_aside)
        if way.opened and type(error) is Invalid:  # after a Conflict, what lies there is another's
            self._withdraw(parcel.episode_id, opening)

    def _withdraw(self, episode_id: str, opening: bytes) -> None:
        """Abort at the server what it knows of a refused episode."""
        apology = self._spool.open(episode_id, kept=False)
        apology.add(opening)
        apology.add(codec.abort_request(episode_id).SerializeToString(), last=True)


def _append(channel: grpc.Channel) -> grpc.StreamStreamMultiCallable:
    return channel.stream_stream(
        "/ramp.v1.Replay/Append", request_serializer=None, response_deserializer=wire.Appended.FromString
    )
