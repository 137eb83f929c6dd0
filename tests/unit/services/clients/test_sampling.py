"""A sampling stream whose server is away: every attempt is counted, each trouble is told once."""

from __future__ import annotations

import itertools
import logging
import threading

import grpc
import pytest

from ramp.errors import Timeout, Unavailable
from ramp.types import SampleSpec
from services.clients import sampling
from services.clients.channel import NOBODY
from services.clients.sampling import SampleStream


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
        stream = SampleStream(
            channel, "127.0.0.1:1", NOBODY, SampleSpec(table="demos", batch_size=1, chunk=1), timeout=0.0
        )
        assert done.wait(30.0)
        with pytest.raises(Timeout, match="still"):
            next(stream)
        stream.close()
    assert len(counted) == 5
    assert [record.getMessage() for record in caplog.records] == [
        "table demos: away; asking again",
        "table demos: still; asking again",
    ]
