"""The program of `helm test`, at real servers with tokens and TLS."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
import yaml

from ramp.errors import Corrupt
from ramp.replay.run_tables import shard_tables
from ramp.replay.shard import Shard, ShardConfig
from services.clients import smoke
from services.replay.core import ReplayCore
from services.replay.server import ReplayServer
from tests.certificates import Authority
from tests.tokens import TOKEN, gate_knowing

TABLES = shard_tables(min_items=1, samples_per_insert=1.0, slack=100.0, human_priority=1.0)


class House:
    """Two shards behind TLS and tokens, and the settings file of a chart."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        ours, gate = Authority(folder / "tls", "ours"), gate_knowing(folder)
        self.shards = [Shard(folder / name, ShardConfig(tables=TABLES, tasks=("count-up",))) for name in ("a", "b")]
        addresses = []
        for number, shard in enumerate(self.shards):
            server = ReplayServer(ReplayCore(shard), gate)
            port = server.start("127.0.0.1", 0, ours.issue(f"shard-{number}"))
            addresses.append(f"shard-{number}=127.0.0.1:{port}")
            stack.callback(shard.close)
            stack.callback(server.stop, 0.1)
        (folder / "secrets").mkdir()
        self.secret = folder / "secrets" / "operator"
        self.secret.write_text(TOKEN)
        self.secret.chmod(0o440)
        self.settings = folder / "settings.yaml"
        replay = {"address": ",".join(addresses), "secrets": str(folder / "secrets"), "tls": {"ca": str(ours.path)}}
        self.settings.write_text(yaml.safe_dump({"recipe": "counting", "tasks": ["count-up"], "replay": replay}))

    def run(self) -> int:
        return smoke.main(["--settings", str(self.settings), "--patience", "10"])


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with ExitStack() as stack:
        yield House(tmp_path, stack)


def test_every_shard_takes_gives_and_forgets_an_episode(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    assert house.run() == 0

    said = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in said] == ["shard-0", "shard-1"]
    for shard in house.shards:
        assert shard.info().deleted_episodes == 1
        assert {table.name: table.episodes for table in shard.info().tables} == dict.fromkeys(TABLES, 0)


def test_a_wrong_token_fails_the_test(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    house.secret.chmod(0o600)
    house.secret.write_text("another")

    assert house.run() == 1
    assert "wrong or was revoked" in capsys.readouterr().err


def test_an_episode_that_comes_back_otherwise_is_found(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = smoke.ReplayClient.fetch

    def altered(self: smoke.ReplayClient, episode_id: str) -> object:
        found = honest(self, episode_id)
        np.copyto(found.steps.reward, 0.0)
        return found

    monkeypatch.setattr(smoke.ReplayClient, "fetch", altered)
    with pytest.raises(Corrupt, match="reward"):
        smoke.check(smoke.compose("", house.settings, []), 10.0)
    assert house.shards[0].info().deleted_episodes == 1
