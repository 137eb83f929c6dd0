"""A sampling stream whose server is away: every attempt is counted, each trouble is told once."""

from __future__ import annotations

import itertools
import logging
import threading
from contextlib import ExitStack
from pathlib import Path

import grpc
import pytest

from ramp.errors import Corrupt, Timeout, Unavailable
from ramp.replay.shard import Shard, ShardConfig
from ramp.types import Encoding, Outcome, SampleSpec
from services.clients import sampling
from services.clients.channel import NOBODY
from services.clients.decoding import Decoder
from services.clients.replay import ReplayClient
from services.clients.sampling import SampleStream
from services.replay.core import ReplayCore
from services.replay.server import ReplayServer
from tests.experience import SCHEMA, make_header, make_steps, store_episode

SPEC = SampleSpec(table="demos", batch_size=1, chunk=1)


def test_a_server_that_is_away_is_told_and_counted(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    attempts, counted, done = iter(["away"] * 3 + ["still"] * 2), [], threading.Event()

    def read(reader: sampling._Reader) -> None:
        trouble = next(attempts, None)
        if trouble is None:
            done.set()
            reader._stopped.wait()
        raise Unavailable(trouble or "closed")

    monkeypatch.setattr(sampling, "delays", lambda: itertools.repeat(0.0))
    monkeypatch.setattr(sampling._Reader, "_read", read)
    monkeypatch.setattr(sampling.metrics.LEARNER_STREAM_RETRIES, "inc", lambda: counted.append(1))
    with caplog.at_level(logging.WARNING), grpc.insecure_channel("127.0.0.1:1") as channel:
        stream = SampleStream(channel, "127.0.0.1:1", NOBODY, SPEC, Decoder(), timeout=0.0)
        assert done.wait(30.0)
        with pytest.raises(Timeout, match="still"):
            next(stream)
        stream.close()
    assert len(counted) == 5
    assert [record.getMessage() for record in caplog.records] == [
        "table demos: away; asking again",
        "table demos: still; asking again",
    ]


def test_a_batch_with_a_spoilt_picture_is_left_out_told_and_counted(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    counted: list[int] = []
    monkeypatch.setattr(sampling.metrics.LEARNER_SPOILT, "inc", lambda: counted.append(1))
    schema = SCHEMA.encoded(Encoding.PNG)
    spoilt = make_steps(0, 4, schema=schema)
    whole = spoilt.images["top"][0]
    spoilt.images["top"][0] = whole[:50] + bytes(10) + whole[60:]  # its header is good, so the server takes it
    with ExitStack() as stack:
        shard = Shard(tmp_path, ShardConfig())
        stack.callback(shard.close)
        server = ReplayServer(ReplayCore(shard))
        stack.callback(server.stop, 0.2)
        client = stack.enter_context(ReplayClient(f"127.0.0.1:{server.start('127.0.0.1', 0)}", name="test"))
        writer = client.open(make_header("bad", schema=schema))
        writer.append(spoilt)
        writer.end(Outcome.FAILURE)
        with pytest.raises(Corrupt, match="episode bad, step 0, top: a png that cannot be decoded"):
            client.fetch("bad")
        with pytest.raises(Timeout, match="episode bad, step 0, top"):
            next(client.sample(SPEC, timeout=2.0))
        assert counted
        store_episode(client, "good", length=400, max_steps=400, schema=schema)
        batches = client.sample(SPEC, timeout=30.0)
        assert {next(batches).episode_id[0] for _ in range(20)} == {"good"}
    assert "a batch is left out: episode bad, step 0" in caplog.text
