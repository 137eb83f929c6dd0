"""What crosses the network: steps that producers send, batches and answers that servers send."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from google.protobuf.message import DecodeError
from rampwire.v1 import policy_pb2 as policy_wire
from rampwire.v1 import replay_pb2 as wire

from ramp.errors import Invalid
from ramp.replay.checksum import digest
from ramp.replay.columns import steps_from_arrow, steps_to_arrow
from ramp.replay.info import Limits
from ramp.replay.local import LocalReplay
from ramp.replay.shard import Shard, ShardConfig
from ramp.replay.validate import check_follows, check_steps
from ramp.types import Batch, Encoding, Observation, Outcome, SampleSpec
from services.common import codec, keeping_codec, policy_codec
from services.common.arrow_bytes import record_to_ipc
from services.common.errors import from_wire, to_wire
from services.replay.core import ReplayCore
from tests.experience import SCHEMA, make_header, make_steps, store_episode
from tests.fuzz.target import Target

LIMITS = Limits(max_message_bytes=2**18, max_steps_per_batch=64)


class Steps(Target):
    """`arrow` of a StepBatch. The first byte says whether the episode was opened with thoughts."""

    def seeds(self) -> list[bytes]:
        return [
            bytes([thoughts]) + codec.steps_to_ipc(make_steps(0, length, thoughts=bool(thoughts)), SCHEMA)
            for thoughts in (0, 1)
            for length in (1, 8)
        ]

    def feed(self, data: bytes) -> None:
        thoughts = data[:1] == b"\x01"
        try:
            steps = codec.steps_from_ipc(data[1:], SCHEMA, LIMITS.max_steps_per_batch, thoughts=thoughts)
            check_steps(steps, SCHEMA, LIMITS, thoughts=thoughts)
            check_follows(steps, 0, -np.inf, 200)
        except Invalid:
            return
        stored = steps_to_arrow(steps, SCHEMA)
        again = steps_to_arrow(steps_from_arrow(stored, SCHEMA), SCHEMA)
        assert digest(stored) == digest(again), "what is stored is not what was sent"


class Sampled(Target):
    """A SampledBatch as a learner reads it."""

    def seeds(self) -> list[bytes]:
        shard = Shard(self.scratch / "shard", ShardConfig())
        store_episode(LocalReplay(shard), "e0", thoughts=True)
        specs = [
            SampleSpec(table="demos", batch_size=2, chunk=3, horizons=(4,), track_stride=2),
            SampleSpec(table="demos", batch_size=1, chunk=1),
        ]
        core = ReplayCore(shard)
        records = [core.drawn(spec, np.random.default_rng(0), places=False) for spec in specs]
        shard.close()
        plain = wire.SampledBatch(arrow=record_to_ipc(records[1]).to_pybytes())
        return [*(codec.sampled_to_bytes(each, 0.0) for each in records), plain.SerializeToString()]

    def feed(self, data: bytes) -> None:
        try:
            batch, waited_s = codec.sampled_from_bytes(data)
        except Invalid:
            return
        assert isinstance(waited_s, float)
        _read_all(batch)


def _read_all(batch: Batch) -> None:
    """Touches every byte and asks whether the columns are of one batch."""
    count = len(batch.episode_id)
    columns = [getattr(batch, name) for name in batch.__dataclass_fields__ if name not in ("images", "future_images")]
    columns += [*batch.images.values(), *batch.future_images.values()]
    for column in columns:
        assert column is None or len(column) == count
        if isinstance(column, np.ndarray):
            column.tobytes()


ANSWERS: list[tuple[type, Callable[..., object]]] = [
    (wire.InfoResponse, codec.info_from_wire),
    (wire.QueryResponse, lambda message: [codec.episode_info_from_wire(each) for each in message.episodes]),
    (wire.AnnotateResponse, codec.annotated_from_wire),
    (wire.SnapshotInfo, keeping_codec.snapshot_from_wire),
    (wire.EpisodeHeader, codec.header_from_wire),
    (wire.SampleSpec, codec.spec_from_wire),
    (wire.Error, from_wire),
    (wire.FetchedSteps, lambda message: _fetched(message)),
    (policy_wire.PolicyInfo, policy_codec.served_from_wire),
    (policy_wire.InferResponse, policy_codec.answer_from_wire),
]


def _fetched(message: wire.FetchedSteps) -> None:
    header = codec.header_from_wire(message.header)
    codec.outcome_from_wire(message.outcome)
    if header.schema == SCHEMA:
        codec.steps_from_ipc(message.arrow, header.schema, 2**31 - 1, thoughts=header.thoughts)


class Answers(Target):
    """Small messages of a server, and nouns inside of larger ones. The first byte says which message it is."""

    def __init__(self, scratch: Path) -> None:
        super().__init__(scratch)
        shard = Shard(scratch / "shard", ShardConfig())
        store_episode(LocalReplay(shard), "e0")
        spec = SampleSpec(table="demos", batch_size=2, chunk=3, horizons=(4,))
        header = codec.header_to_wire(make_header())
        arrow = codec.steps_to_ipc(make_steps(0, 4), SCHEMA)
        fetched = wire.FetchedSteps(header=header, outcome=codec.outcome_to_wire(Outcome.SUCCESS), arrow=arrow)
        self._messages = [
            codec.info_to_wire(shard.info()),
            wire.QueryResponse(episodes=map(codec.episode_info_to_wire, shard.query())),
            wire.AnnotateResponse(episodes=1, items=2, positive=0.5),
            keeping_codec.snapshot_to_wire(shard.snapshot("one")),
            header,
            codec.spec_to_wire(spec),
            to_wire(Invalid("field", 1, "remedy")),
            fetched,
            policy_wire.PolicyInfo(version=1, loaded=[1], alias="stable", schema=header.schema, horizon=4),
            policy_wire.InferResponse(action=[0.5] * 8, horizon=4, version=1, remaining=0.5, batch=2),
        ]
        shard.close()

    def seeds(self) -> list[bytes]:
        return [bytes([number]) + each.SerializeToString() for number, each in enumerate(self._messages)]

    def feed(self, data: bytes) -> None:
        kind, decode = ANSWERS[data[0] % len(ANSWERS) if data else 0]
        try:
            message = kind.FromString(data[1:])  # type: ignore[attr-defined]
        except DecodeError:
            return  # gRPC's own refusal
        try:
            decode(message)
        except Invalid:
            return


class Observed(Target):
    """An InferRequest, as the policy server reads it."""

    def seeds(self) -> list[bytes]:
        images = {camera: np.zeros(shape, np.uint8) for camera, shape in SCHEMA.cameras.items()}
        seen = Observation(images=images, proprio=np.zeros(SCHEMA.proprio_width, np.float32), instruction="open it")
        requests = [
            policy_codec.request_to_wire(seen, session="arm", start=True, version=0, encoding=encoding)
            for encoding in Encoding
        ]
        return [each.SerializeToString() for each in requests]

    def feed(self, data: bytes) -> None:
        try:
            message = policy_wire.InferRequest.FromString(data)
        except DecodeError:
            return  # gRPC's own refusal
        try:
            seen = policy_codec.observation_from_wire(message, SCHEMA)
        except Invalid:
            return
        assert set(seen.images) == set(SCHEMA.cameras)
        assert all(frame.shape == SCHEMA.cameras[camera] for camera, frame in seen.images.items())
