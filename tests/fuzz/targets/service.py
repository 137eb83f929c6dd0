"""Requests through the real handlers of the replay service, over a real shard on disk."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
from google.protobuf.message import DecodeError
from rampwire.v1 import replay_pb2 as wire

from ramp.errors import RampError
from ramp.replay.info import Limits
from ramp.replay.local import LocalReplay
from ramp.replay.shard import Shard, ShardConfig
from ramp.replay.table import TableConfig
from ramp.replay.validate import check_follows, check_header, check_steps
from ramp.types import Outcome, SampleSpec
from services.common import codec
from services.common.access import ANYONE
from services.common.errors import to_wire
from services.common.gate import Gate
from services.replay import core
from services.replay.server import ReplayService
from tests.experience import SCHEMA, frame_steps, make_header, make_steps, store_episode
from tests.fuzz.target import Target

LIMITS = Limits(max_message_bytes=2**18, max_steps_per_batch=64, max_episode_steps=1000)
TABLES = {"demos": TableConfig(), "online": TableConfig(human_priority=4.0, max_times_sampled=2)}
LIFE = 200  # inputs to one shard
HUGE = 2**20  # bytes of a batch that is not asked for here: it is allowed, and takes long

METHODS: list[tuple[str, type, bool]] = [
    ("append", wire.AppendRequest, True),
    ("sample", wire.SampleRequest, True),
    ("annotate", wire.AnnotateRequest, True),
    ("update_priorities", wire.UpdatePrioritiesRequest, False),
    ("query", wire.QueryRequest, False),
    ("fetch", wire.FetchRequest, False),
    ("delete", wire.DeleteRequest, False),
    ("snapshot", wire.SnapshotRequest, False),
    ("list_snapshots", wire.ListSnapshotsRequest, False),
    ("drop_snapshot", wire.DropSnapshotRequest, False),
    ("info", wire.InfoRequest, False),
]
"""Handler, its request, and whether there may be several."""


class Service(Target):
    """The first byte says which method is called; then come its requests, each behind its length in two bytes.

    Every LIFE inputs the shard is closed and opened again: what was stored must still be there, and valid.
    """

    def __init__(self, scratch: Path) -> None:
        super().__init__(scratch)
        core.POLL_S = 0.0  # nothing here is worth waiting for
        self._open()

    def _open(self) -> None:
        self._fed = 0
        self._shard = Shard(self.scratch / "shard", ShardConfig(tables=TABLES, limits=LIMITS, segment_bytes=8192))
        self._service = ReplayService(core.ReplayCore(self._shard), Gate(), lambda _: ANYONE, None)
        replay = LocalReplay(self._shard)
        store_episode(replay, "ended", thoughts=True, tables=("demos", "online"))
        store_episode(replay, "other")
        replay.open(make_header("open")).append(make_steps(0, 8, mark=7))

    def seeds(self) -> list[bytes]:
        return list(scripts())

    def feed(self, data: bytes) -> None:
        self.call(*parsed(data))

    def call(self, name: str, messages: list[Any]) -> list[Any]:
        """The answers; a refusal of the whole call is one, as of an append."""
        if self._fed == LIFE:
            self.settle()
            shutil.rmtree(self.scratch / "shard")
            self._open()
        self._fed += 1
        context = Mock(is_active=Mock(return_value=False))
        streamed = next(several for each, _, several in METHODS if each == name)
        try:
            answer = getattr(self._service, name)(iter(messages) if streamed else messages[0], context)
            answers = list(answer) if isinstance(answer, Iterator) else [answer]
        except RampError as error:
            answers = [wire.Appended(error=to_wire(error))]
        for each in answers:
            _check_answer(each)
        return answers

    def settle(self) -> None:
        """What is stored before and after a restart is the same and valid."""
        before = contents(self._shard)
        self._shard.close()
        again = Shard(self.scratch / "shard", ShardConfig(tables=TABLES, limits=LIMITS, segment_bytes=8192))
        assert contents(again) == before
        assert again.info().quarantined_segments == 0
        again.close()


def contents(shard: Shard) -> dict[str, bytes]:
    """The steps of every ended episode, each checked as if it came anew."""
    found = {}
    for info in shard.query():
        episode = shard.fetch(info.episode_id)
        header, whole = episode.header, Limits(max_steps_per_batch=LIMITS.max_episode_steps)
        check_header(header, LIMITS)
        check_steps(episode.steps, header.schema, whole, thoughts=header.thoughts)
        check_follows(episode.steps, 0, -np.inf, header.max_steps)
        found[info.episode_id] = codec.steps_to_ipc(episode.steps, header.schema)
    return found


def _check_answer(answer: Any) -> None:
    """Answers can be sent, and batches are what a learner can use."""
    if isinstance(answer, bytes):
        batch, _ = codec.sampled_from_bytes(answer)
        assert (batch.probability > 0).all()
        assert (batch.probability <= 1).all()
        assert np.isfinite(batch.action).all()
        return
    answer.SerializeToString()
    if isinstance(answer, wire.Appended) and answer.HasField("error"):
        assert answer.error.code != "INTERNAL"


def parsed(data: bytes) -> tuple[str, list[Any]]:
    """Method and requests; a request that gRPC's decoder would refuse ends the list."""
    name, kind, _ = METHODS[data[0] % len(METHODS) if data else -1]
    messages: list[Any] = []
    place = 1
    while place + 2 <= len(data) and len(messages) < 16:
        length = int.from_bytes(data[place : place + 2], "little")
        try:
            messages.append(kind.FromString(data[place + 2 : place + 2 + length]))  # type: ignore[attr-defined]
        except DecodeError:
            break
        place += 2 + length
    if name == "sample" and messages:
        messages[0].credit %= 4
        spec = messages[0].spec
        messages = messages[:1] if spec.batch_size * (1000 + spec.chunk) * (1 + len(spec.horizons)) < HUGE else []
    return name, messages or ([] if name in ("append", "sample", "annotate") else [kind()])


def script(name: str, *messages: Any) -> bytes:
    """The inverse of `parsed`."""
    number = next(number for number, (each, _, _) in enumerate(METHODS) if each == name)
    packed = [message.SerializeToString() for message in messages]
    return bytes([number]) + b"".join(len(each).to_bytes(2, "little") + each for each in packed)


def scripts() -> Iterator[bytes]:
    """A true call of every method, as things are right after the shard was opened."""
    steps: Callable[..., Any] = lambda number, begin, end: codec.batch_request(  # noqa: E731
        "e", number, make_steps(begin, end), SCHEMA
    )
    end = codec.end_request("e", Outcome.SUCCESS, 1)
    yield script("append", codec.open_request(make_header("e")), steps(0, 0, 8), end)
    yield script("append", codec.open_request(make_header("e", thoughts=True)), codec.abort_request("e"))
    yield script("append", codec.batch_request("open", 1, make_steps(8, 12, mark=7), SCHEMA))
    yield script("append", codec.end_request("open", Outcome.FAILURE, 1))
    for order in codec.ORDERS:
        spec = SampleSpec(table="online", batch_size=3, chunk=2, horizons=(4,), order=order, track_stride=2)
        yield script("sample", wire.SampleRequest(spec=codec.spec_to_wire(spec), credit=2))
    values = codec.values_to_wire("ended", frame_steps(24), np.linspace(1, 0, 6, dtype=np.float32))
    for extends in (False, True):
        yield script("annotate", codec.begin_request(1, extends=extends), values, codec.commit_request())
    yield script("update_priorities", codec.priorities_request("online", ["ended"] * 2, [0, 4], [0.5, 2.0]))
    yield script("query", wire.QueryRequest(table="demos", unlabelled_by=1, limit=5))
    yield script("fetch", wire.FetchRequest(episode_id="ended"))
    yield script("delete", wire.DeleteRequest(episode_id=["other", "ended"], reason="out of focus"))
    for name, request in (
        ("snapshot", wire.SnapshotRequest(name="one")),
        ("list_snapshots", wire.ListSnapshotsRequest()),
        ("drop_snapshot", wire.DropSnapshotRequest(name="one")),
        ("info", wire.InfoRequest()),
    ):
        yield script(name, request)
