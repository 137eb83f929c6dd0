"""Forgetting and keeping, of a stopped run and beside a running server."""

from __future__ import annotations

import io
import json
from contextlib import ExitStack
from pathlib import Path

import pytest

from ramp.errors import Invalid, NotFound
from ramp.replay.local import LocalReplay
from ramp.replay.places import lay_out
from ramp.replay.shard import Shard, ShardConfig
from services.cli.main import main
from services.common.settings import compose, save
from services.replay.core import ReplayCore
from services.replay.server import ReplayServer
from tests.experience import store_episode


@pytest.fixture
def run(tmp_path: Path) -> Path:
    save(compose("counting", None, [f"dir={tmp_path}"]), tmp_path / "settings.yaml")
    shard = Shard(tmp_path / "replay", ShardConfig())
    for number in range(3):
        store_episode(LocalReplay(shard), f"e{number}")
    shard.close()
    return tmp_path


@pytest.fixture(params=["stopped", "running", "two shards"])
def any_run(request: pytest.FixtureRequest, run: Path) -> object:
    with ExitStack() as stack:
        if request.param == "two shards":
            lay_out(run / "replay", 2)
        if request.param == "running":
            shard = Shard(run / "replay", ShardConfig())
            stack.callback(shard.close)
            server = ReplayServer(ReplayCore(shard))
            stack.callback(server.stop, 0.2)
            port = server.start("127.0.0.1", 0)
            (run / "replay" / "address").write_text(f"127.0.0.1:{port}\n")
        yield run


def ramp(*words: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(list(words))
    assert ended.value.code == 0


def test_what_is_deleted_is_gone_from_every_query(any_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ramp("data", "delete", "e0", "e2", "--reason", "a test", "--yes", "--dir", str(any_run))
    ramp("data", "delete", "e0", "e1", "-r", "a test", "-y", "--dir", str(any_run))
    assert capsys.readouterr().out.splitlines() == ["2 deleted", "1 deleted, 1 had been deleted before"]


def test_an_answer_becomes_a_view(any_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ramp("data", "query", "episode_id <> 'e1'", "--as-view", "some", "--dir", str(any_run))
    assert capsys.readouterr().out.startswith("2 episodes in view some")
    ramp("data", "views", "--json", "--dir", str(any_run))
    (view,) = json.loads(capsys.readouterr().out)
    assert (view["name"], view["episodes"], view["query"]) == ("some", 2, "episode_id <> 'e1'")
    ramp("data", "views", "--drop", "some", "--dir", str(any_run))
    assert capsys.readouterr().out == "none\n"


def test_a_view_needs_ids(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Invalid, match="select episode_id"):
        main(["--debug", "data", "query", "select task from episodes", "--as-view", "some", "--dir", str(run)])


def test_snapshots_are_taken_listed_and_dropped(any_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ramp("data", "snapshot", "one", "--dir", str(any_run))
    taken = capsys.readouterr().out
    assert taken.startswith("3 episodes")
    assert Path(taken.split()[-1]).is_dir()
    ramp("data", "snapshots", "--json", "--dir", str(any_run))
    assert [each["name"] for each in json.loads(capsys.readouterr().out)] == ["one"]
    ramp("data", "snapshots", "--drop", "one", "--dir", str(any_run))
    assert capsys.readouterr().out == "none\n"


def test_nobody_is_deleted_without_a_yes(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    with pytest.raises(SystemExit) as ended:
        main(["data", "delete", "e0", "-r", "a test", "--dir", str(run)])
    assert ended.value.code == 1
    shard = Shard(run / "replay", ShardConfig())
    assert len(shard.query()) == 3
    shard.close()


def test_a_run_without_data_is_left_as_it_is(tmp_path: Path) -> None:
    save(compose("counting", None, [f"dir={tmp_path}"]), tmp_path / "settings.yaml")
    with pytest.raises(NotFound, match="nothing was stored"):
        main(["--debug", "data", "snapshots", "--dir", str(tmp_path)])
    assert not (tmp_path / "replay").exists()
