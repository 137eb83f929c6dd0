"""The replay service from outside: what robots, actors and learners hold in their hands.

client = ReplayClient("127.0.0.1:7001", name="actor-0", spool=Path("spool/actor-0"))
writer = client.open(header); writer.append(steps); writer.end(Outcome.SUCCESS); writer.wait(30)
for batch in client.sample(SampleSpec(table="online", batch_size=96, chunk=8), timeout=60): ...
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rampwire.v1 import replay_pb2 as wire

from ramp.errors import Conflict, Denied, Full, Invalid, Timeout, Unauthenticated
from ramp.replay.columns import frame_bytes, join_steps, slice_steps
from ramp.replay.info import AnnotateResult, EpisodeInfo, Limits, ReplayInfo
from ramp.replay.snapshot import Snapshot
from ramp.replay.validate import check_follows, check_header, check_steps
from ramp.replay.views import ViewInfo
from ramp.types import Episode, EpisodeHeader, Outcome, SampleSpec, StepBatch
from services.clients.channel import NOBODY, await_ready, call, open_channel
from services.clients.credentials import Credentials
from services.clients.decoding import THREADS, Decoder
from services.clients.road import Road
from services.clients.sampling import SampleStream
from services.clients.sender import Ledger, Sender
from services.clients.spool import Parcel, Spool
from services.common import codec, keeping_codec
from services.common.append_codec import batch_frame

__all__ = ["AnnotateResult", "EpisodeInfo", "ReplayClient", "ReplayInfo", "Writer"]

CALL_TIMEOUT_S = 30.0
ANNOTATE_S = 120.0
SPOOL_BYTES = 2**30
MEMORY_BYTES = 64 * 2**20
BATCH_BYTES = 4 * 2**20  # a longer append is sent in pieces, which keeps any step within the server's bound
LOCKED_OUT = (Unauthenticated, Denied)
ROOM_PATIENCE_S = 10.0  # how long an append waits for room in a full spool


class Writer:
    """One open episode. Not thread-safe: an episode has one producer."""

    def __init__(
        self,
        header: EpisodeHeader,
        parcel: Parcel,
        spool: Spool,
        sender: Sender,
        *,
        durable: bool,
        patience_s: float,
    ) -> None:
        self._header, self._parcel, self._spool, self._sender = header, parcel, spool, sender
        self._durable = durable  # the spool is on disk: spooled is safe
        self._patience_s = patience_s
        self._batches = self._steps = self._frames = 0
        self._last_timestamp = -np.inf
        self._limits = Limits()

    def append(self, steps: StepBatch) -> None:
        """Hand over the next steps. With a spool on disk it returns when they are there, else when the server has them.

        Raises Invalid (at once, for what can be seen here; from the server's answer, on a later call), Conflict, Full
        (the spool has reached its bound), Unauthenticated, Denied, Timeout (without a spool). After Full and
        Timeout the same steps may be appended again.
        """
        self._raise_refusal()
        self._refuse_ended()
        check_steps(steps, self._header.schema, self._limits, thoughts=self._header.thoughts)
        check_follows(steps, self._steps, self._last_timestamp, self._header.max_steps)
        frames = [
            batch_frame(self._header.episode_id, number, piece, self._header.schema)
            for number, piece in enumerate(pieces(steps), start=self._batches)
        ]
        self._put(*frames)
        self._batches += len(frames)
        self._steps += len(steps)
        self._frames += len(steps.frame_row)
        self._last_timestamp = float(steps.timestamp[-1])

    def end(self, outcome: Outcome) -> None:
        """Make the episode visible to samplers. Returns and raises as `append`; `wait` waits for the server."""
        self._raise_refusal()
        self._refuse_ended()
        if not self._frames:
            raise Invalid("end", f"{self._steps} steps, no frame", "append at least one step with frames, or abort")
        self._put(codec.end_request(self._header.episode_id, outcome, self._batches).SerializeToString(), last=True)

    def abort(self) -> None:
        """Withdraw the episode: nothing of it will be sampled."""
        if self._sender.refusal(self._header.episode_id) is None and not self._parcel.closed:
            self._put(codec.abort_request(self._header.episode_id).SerializeToString(), last=True)

    def wait(self, timeout: float) -> None:
        """Until the server has acknowledged all that was handed over (after `end`: the episode is visible).

        Raises Timeout, and what the server refused.
        """
        self._await(len(self._parcel), timeout)

    def _put(self, *frames: bytes, last: bool = False) -> None:
        self._check_size(frames)
        if not last:
            self._await_room(sum(map(len, frames)))
        for frame in frames:
            self._parcel.add(frame, last=last)
        self._sender.notify()
        if not self._durable:
            self._await(len(self._parcel), CALL_TIMEOUT_S)

    def _check_size(self, frames: Sequence[bytes]) -> None:
        """gRPC refuses a message that is too large without saying whose it was; the episodes behind it would wait."""
        largest = max(map(len, frames))
        if largest > self._limits.max_message_bytes:
            remedy = f"stay below {self._limits.max_message_bytes} bytes a step: smaller images, or fewer cameras"
            raise Invalid("images", f"{largest} bytes in one message", remedy)

    def _refuse_ended(self) -> None:
        if self._parcel.closed:
            raise Invalid("episode_id", self._header.episode_id, "the episode has ended; open a new one")

    def _await_room(self, count: int) -> None:
        if self._spool.room_for(count):
            return
        longest = self._parcel.size + count
        if longest > self._spool.max_bytes:
            raise Full(f"the episode is longer ({longest} bytes) than the spool ({self._spool.max_bytes}); enlarge it")
        if not self._sender.wait(lambda _: self._spool.room_for(count), self._patience_s):
            raise Full(f"{self._spool.size} bytes wait for the replay service ({self._sender.trouble or 'it is slow'})")

    def _await(self, frames: int, timeout: float) -> None:
        name = self._header.episode_id

        def done(ledger: Ledger) -> bool:
            stuck = isinstance(ledger.trouble, LOCKED_OUT)
            finished = self._parcel not in self._spool.parcels
            return stuck or finished or name in ledger.refused or ledger.acknowledged.get(name, 0) >= frames

        arrived = self._sender.wait(done, timeout)
        self._raise_refusal()
        if not arrived:
            why = f": {self._sender.trouble}" if self._sender.trouble else ""
            raise Timeout(f"episode {name}: not acknowledged within {timeout:g} s{why}")

    def _raise_refusal(self) -> None:
        refusal = self._sender.refusal(self._header.episode_id)
        if refusal is None and isinstance(self._sender.trouble, LOCKED_OUT):
            refusal = self._sender.trouble
        if refusal is not None:
            raise refusal


class ReplayClient:
    """One producer or learner. Implements ramp.interfaces.Replay.

    With `spool`, appends survive this process and the server being away, up to `spool_bytes`; the directory belongs to
    one process at a time. An append that finds it full waits `patience_s` for room. Without it, appends return when the
    server has made them durable. An episode is kept here as a whole until its END is acknowledged, so it must fit into
    the spool, or without one into MEMORY_BYTES; it raises Full where it does not. Sampled and fetched pictures are
    decoded in `decode_threads`.
    """

    def __init__(
        self,
        address: str,
        *,
        name: str,
        credentials: Credentials = NOBODY,
        spool: Path | None = None,
        spool_bytes: int = SPOOL_BYTES,
        patience_s: float = ROOM_PATIENCE_S,
        decode_threads: int = THREADS,
        road: Road = Road.MAPPED,
    ) -> None:
        self._road = road
        self.address, self.name, self._credentials = address, name, credentials
        self._metadata = credentials.metadata()
        self._channel = open_channel(address, credentials)
        self._durable, self._patience_s = spool is not None, patience_s
        self._spool = Spool(spool, spool_bytes if spool else min(spool_bytes, MEMORY_BYTES))
        self._sender = Sender(self._channel, self._metadata, self._spool)
        self._decoder = Decoder(decode_threads)
        self._streams: weakref.WeakSet[SampleStream] = weakref.WeakSet()  # one that is dropped closes itself

    # ---------------------------------------------------------------------------------------- appending

    def open(self, header: EpisodeHeader) -> Writer:
        """Begin an episode. Raises Invalid for what can be seen here, and without a spool what the server refuses."""
        check_header(header, Limits())
        if any(parcel.episode_id == header.episode_id and not parcel.closed for parcel in self._spool.parcels):
            raise Conflict("episode_id", header.episode_id, "this client has that episode open; use a new id")
        parcel = self._spool.open(header.episode_id)
        patience_s = self._patience_s
        writer = Writer(header, parcel, self._spool, self._sender, durable=self._durable, patience_s=patience_s)
        writer._put(codec.open_request(header).SerializeToString())
        return writer

    def flush(self, timeout: float) -> bool:
        """Wait until everything handed over was acknowledged or refused; False where `timeout` s did not suffice."""
        return self._sender.wait(lambda _: not self._spool.parcels, timeout)

    @property
    def pending_bytes(self) -> int:
        """What waits in the spool."""
        return self._spool.size

    # ----------------------------------------------------------------------------------------- sampling

    def sample(self, spec: SampleSpec, *, timeout: float) -> SampleStream:
        """An endless stream of batches, two of them read ahead; it reconnects by itself. Frames come as pixels, however
        they are stored; a batch with one that cannot be decoded is left out, logged and counted.

        `next` raises Timeout where none came for `timeout` s, NotFound, Invalid, Unauthenticated.
        """
        stream = SampleStream(
            self._channel, self.address, self._credentials, spec, self._decoder, timeout=timeout, road=self._road
        )
        self._streams.add(stream)
        return stream

    def update_priorities(
        self, table: str, episode_ids: Sequence[str], steps: Sequence[int], priorities: Sequence[float] | np.ndarray
    ) -> int:
        """How many items got a new priority. Raises NotFound, Invalid."""
        request = codec.priorities_request(
            table, episode_ids, np.asarray(steps).tolist(), np.asarray(priorities).tolist()
        )
        return int(self._unary("UpdatePriorities", request, wire.UpdatePrioritiesResponse).updated)

    # ------------------------------------------------------------------------------------ labels, queries

    def annotate(
        self, world_version: int, values: Iterable[tuple[str, np.ndarray, np.ndarray]], *, extends: bool
    ) -> AnnotateResult:
        """Label episodes: (id, steps with frames int [F], remaining time float [F]) each.

        They become visible together, or not at all.

        Raises Invalid, NotFound (an episode that has not ended), Unavailable.
        """
        requests = [codec.begin_request(world_version, extends=extends)]
        requests += [codec.values_to_wire(*each) for each in values]
        requests.append(codec.commit_request())
        method = self._channel.stream_unary(
            "/ramp.v1.Replay/Annotate",
            request_serializer=wire.AnnotateRequest.SerializeToString,
            response_deserializer=wire.AnnotateResponse.FromString,
        )
        answer = call(lambda left: method(iter(requests), timeout=left, metadata=self._metadata), timeout=ANNOTATE_S)
        return codec.annotated_from_wire(answer)

    def query(
        self, table: str = "", unlabelled_by: int = 0, limit: int = 0, timeout: float = CALL_TIMEOUT_S
    ) -> list[EpisodeInfo]:
        """Ended episodes, oldest first; waits at most `timeout` seconds. Raises NotFound for an unknown table,
        Unavailable."""
        request = wire.QueryRequest(table=table, unlabelled_by=unlabelled_by, limit=limit)
        answer = self._unary("Query", request, wire.QueryResponse, timeout)
        return [codec.episode_info_from_wire(message) for message in answer.episodes]

    def fetch(self, episode_id: str, *, decode: bool = True) -> Episode:
        """A whole episode with pixels, however its frames are stored; or as they are stored, which the header says.

        Raises NotFound, and Corrupt also for a picture that cannot be decoded.
        """
        method = self._channel.unary_stream(
            "/ramp.v1.Replay/Fetch",
            request_serializer=wire.FetchRequest.SerializeToString,
            response_deserializer=wire.FetchedSteps.FromString,
        )
        request = wire.FetchRequest(episode_id=episode_id)
        messages = call(
            lambda left: list(method(request, timeout=left, metadata=self._metadata)), timeout=CALL_TIMEOUT_S
        )
        header = codec.header_from_wire(messages[0].header)
        parts = [
            codec.steps_from_ipc(message.arrow, header.schema, 2**31 - 1, thoughts=header.thoughts)
            for message in messages
        ]
        outcome = codec.outcome_from_wire(messages[0].outcome)
        steps = join_steps(parts)
        seen = self._decoder.steps(steps, header.schema, episode_id) if decode else steps
        return Episode(header=header, steps=seen, outcome=outcome)

    def delete(self, episode_ids: Sequence[str], reason: str) -> int:
        """Forget ended episodes for good; how many there were. No table draws from them any more when it returns, and
        their ids stay taken.

        Raises NotFound for an id that never was, Conflict for an open episode, Invalid; then none is deleted.
        """
        request = wire.DeleteRequest(episode_id=episode_ids, reason=reason)
        return int(self._unary("Delete", request, wire.DeleteResponse).deleted)

    def snapshot(self, name: str, timeout: float = 120.0) -> Snapshot:
        """Keep this moment of the shard under a name; nothing waits for it. Raises Invalid, Conflict, Full."""
        answer = self._unary("Snapshot", wire.SnapshotRequest(name=name), wire.SnapshotInfo, timeout)
        return keeping_codec.snapshot_from_wire(answer)

    def snapshots(self) -> list[Snapshot]:
        """Oldest first."""
        answer = self._unary("ListSnapshots", wire.ListSnapshotsRequest(), wire.ListSnapshotsResponse)
        return [keeping_codec.snapshot_from_wire(each) for each in answer.snapshots]

    def drop_snapshot(self, name: str) -> None:
        """Raises NotFound."""
        self._unary("DropSnapshot", wire.DropSnapshotRequest(name=name), wire.DropSnapshotResponse)

    def view(self, name: str, episode_ids: Sequence[str], query: str = "", timeout: float = 120.0) -> ViewInfo:
        """Make a table of these ended episodes, to be sampled under that name. `query`, for people, is what they were
        asked by. Raises Invalid, Conflict, NotFound, Full."""
        request = wire.CreateViewRequest(name=name, episode_id=episode_ids, query=query)
        return keeping_codec.view_from_wire(self._unary("CreateView", request, wire.ViewInfo, timeout))

    def views(self) -> list[ViewInfo]:
        """Oldest first."""
        answer = self._unary("ListViews", wire.ListViewsRequest(), wire.ListViewsResponse)
        return [keeping_codec.view_from_wire(each) for each in answer.views]

    def drop_view(self, name: str) -> None:
        """Raises NotFound."""
        self._unary("DropView", wire.DropViewRequest(name=name), wire.DropViewResponse)

    def info(self, timeout: float = CALL_TIMEOUT_S) -> ReplayInfo:
        """Tables, counters, limits; waits at most `timeout` seconds. Raises Unavailable."""
        return codec.info_from_wire(self._unary("Info", wire.InfoRequest(), wire.InfoResponse, timeout))

    def code(self, timeout: float = CALL_TIMEOUT_S) -> str:
        """Version of the server's code. Raises Unavailable."""
        answer: wire.InfoResponse = self._unary("Info", wire.InfoRequest(), wire.InfoResponse, timeout)
        return answer.code

    def bulk(self, timeout: float = CALL_TIMEOUT_S) -> wire.Bulk:
        """The server's door for bulk data; without a `flight_port` it has none. Raises Unavailable."""
        answer: wire.InfoResponse = self._unary("Info", wire.InfoRequest(), wire.InfoResponse, timeout)
        return answer.bulk

    def _unary(self, name: str, request: Any, answer: Any, timeout: float = CALL_TIMEOUT_S) -> Any:
        method = self._channel.unary_unary(
            f"/ramp.v1.Replay/{name}",
            request_serializer=type(request).SerializeToString,
            response_deserializer=answer.FromString,
        )
        return call(lambda left: method(request, timeout=left, metadata=self._metadata), timeout=timeout)

    # ------------------------------------------------------------------------------------------ life

    def wait_ready(self, timeout: float) -> None:
        """Raises Unavailable unless the server answers within `timeout` s."""
        await_ready(self._channel, self.address, timeout)

    def move(self, address: str) -> None:
        """The same server is found there now. What is spooled goes there; open streams end with Unavailable."""
        self.address = address
        self._channel = open_channel(address, self._credentials)  # calls under way keep the old one to their end
        self._sender.redirect(self._channel)
        for stream in list(self._streams):
            stream.close()

    def close(self) -> None:
        """Stop the threads. What was not acknowledged stays in the spool, for the next client of that directory."""
        for stream in list(self._streams):
            stream.close()
        self._decoder.close()
        self._sender.close()
        self._spool.close()
        self._channel.close()

    def __enter__(self) -> ReplayClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def pieces(steps: StepBatch) -> Iterator[StepBatch]:
    """The steps in batches of at most BATCH_BYTES, as far as single steps allow."""
    size = frame_bytes(steps) + steps.proprio.nbytes + steps.action.nbytes
    if size <= BATCH_BYTES or len(steps) == 1:
        yield steps
        return
    middle = len(steps) // 2
    yield from pieces(slice_steps(steps, 0, middle))
    yield from pieces(slice_steps(steps, middle, len(steps)))
