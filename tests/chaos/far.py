"""A shard behind its gRPC door, with the methods of a shard: so the model can be held against the wire as well."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import grpc
import numpy as np
from rampwire.v1 import replay_pb2 as wire
from rampwire.v1.replay_pb2_grpc import ReplayStub

from ramp.replay.info import Progress
from ramp.replay.shard import Shard, ShardConfig
from ramp.types import Batch, EpisodeHeader, Outcome, SampleSpec, StepBatch
from services.clients.replay import ReplayClient
from services.common import codec
from services.common.errors import from_call, from_wire
from services.replay.core import ReplayCore
from services.replay.server import ReplayServer
from tests.chaos.model import SCHEMA


class Far:
    """What is not defined here is the client's own."""

    def __init__(self, directory: Path, config: ShardConfig) -> None:
        self._shard = Shard(directory, config)
        self._server = ReplayServer(ReplayCore(self._shard))
        address = f"127.0.0.1:{self._server.start('127.0.0.1', 0)}"
        self._client, self._channel = ReplayClient(address, name="model"), grpc.insecure_channel(address)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def close(self) -> None:
        self._client.close()
        self._channel.close()
        self._server.stop(0.2)
        self._shard.close()

    def keep(self) -> tuple[int, int]:
        return self._shard.keep()

    def begin(self, header: EpisodeHeader) -> Progress:
        return self._say(codec.open_request(header))

    def append(self, episode_id: str, number: int, steps: StepBatch) -> Progress:
        return self._say(codec.batch_request(episode_id, number, steps, SCHEMA))

    def end(self, episode_id: str, outcome: Outcome, batches: int, timeout: float) -> Progress:
        return self._say(codec.end_request(episode_id, outcome, batches))

    def abort(self, episode_id: str) -> Progress:
        return self._say(codec.abort_request(episode_id))

    def _say(self, request: wire.AppendRequest) -> Progress:
        (answer,) = ReplayStub(self._channel).Append(iter([request]), timeout=60)
        if answer.HasField("error"):
            raise from_wire(answer.error)
        return Progress(next_batch=answer.next_batch, ended=answer.ended)

    def sample(self, spec: SampleSpec, _: np.random.Generator, timeout: float) -> tuple[Batch, float]:
        request = wire.SampleRequest(spec=codec.spec_to_wire(spec), credit=1)
        try:
            (answer,) = ReplayStub(self._channel).Sample(iter([request]), timeout=60)
        except grpc.RpcError as error:
            raise from_call(error) from error
        return codec.sampled_from_bytes(answer.SerializeToString())

    def annotate(self, version: int, values: dict[str, tuple[np.ndarray, np.ndarray]], *, extends: bool) -> Any:
        return self._client.annotate(version, [(name, *pair) for name, pair in values.items()], extends=extends)
