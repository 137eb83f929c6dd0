"""`ramp data`: out of a stopped run, into a running server, and what is said where that cannot be."""

from __future__ import annotations

import json
import os
from contextlib import closing
from pathlib import Path

import pytest

from ramp.replay.shard import Shard, ShardConfig
from services.common.settings import compose, save
from services.conductor.rundir import Lock, RunDir
from tests.replay_process import ReplayProcess
from tests.unit.datasets.made import make_episode
from tests.unit.services.cli.test_main import ramp


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A stopped run with two episodes, one of each table and task, the second one labelled."""
    folder = tmp_path / "run"
    folder.mkdir()
    save(compose("counting", None, [f"dir={folder}"]), folder / "settings.yaml")
    with closing(Shard(folder / "replay", ShardConfig())) as shard:
        for number in range(2):
            episode = make_episode(number)
            name = episode.header.episode_id
            shard.begin(episode.header)
            shard.append(name, 0, episode.steps)
            shard.end(name, episode.outcome, 1)
        steps = episode.steps.step[episode.steps.frame_row]
        shard.annotate(2, {name: (steps, (steps / 200).astype("float32"))}, extends=False)
    return folder


def test_export_writes_a_stopped_runs_episodes(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert ramp("data", "export", str(out), "--dir", str(run)) == 0
    assert capsys.readouterr().out.strip() == str(out)
    assert (out / "meta/advantages_v2.parquet").exists()

    assert ramp("data", "check", str(out), "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["version"], found["episodes"], found["steps"]) == ("v3.0", 2, 22)
    assert ramp("data", "check", str(out)) == 0
    assert "camera top: 32 x 48" in capsys.readouterr().out


@pytest.mark.parametrize("words", [["--table", "demos"], ["--task", "task-1"]])
def test_export_takes_what_is_chosen(
    run: Path, tmp_path: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert ramp("data", "export", str(tmp_path / "out"), "--dir", str(run), *words) == 0

    rows = json.loads((tmp_path / "out/meta/info.json").read_text())
    assert (rows["total_episodes"], rows["total_frames"]) == (1, 11)


def test_export_refuses_a_run_that_goes_on(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lock = Lock(RunDir(run))
    assert ramp("data", "export", str(tmp_path / "out"), "--dir", str(run)) == 1
    assert "stop it first" in capsys.readouterr().err
    lock.release()

    assert ramp("data", "export", str(tmp_path / "out"), "--dir", str(run), "--task", "fly") == 2
    assert "there are task-0, task-1" in capsys.readouterr().err
    assert os.listdir(tmp_path) == ["run"]


def test_what_was_exported_is_imported_into_another_server(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert ramp("data", "export", str(out), "--dir", str(run), "--lossless") == 0
    server = ReplayProcess(tmp_path / "other", "tasks=count-up,count-down")
    server.start()
    try:
        words = ("data", "import", str(out), "--dir", str(tmp_path / "other"))
        assert ramp(*words) == 2
        assert "task-0" in capsys.readouterr().err  # the server knows other tasks
        words += ("--task", "count-up", "--table", "demos")
        assert ramp(*words) == 0
        assert capsys.readouterr().out.splitlines()[-1] == "2 episodes imported, 0 were there"
        (tmp_path / "there.yaml").write_text(f"address: {server.address}\n")
        assert ramp(*words[:3], "--replay", str(tmp_path / "there.yaml")) == 0
        assert capsys.readouterr().out.splitlines()[-1] == "0 episodes imported, 2 were there"
    finally:
        server.close()
    with closing(Shard(server.directory, ShardConfig())) as shard:
        assert shard.fetch("made-1").steps.action.tobytes() == make_episode(1).steps.action.tobytes()
        assert shard.fetch("made-1").header.task == "count-up"


def test_a_wrong_claim_and_a_server_that_is_away_are_said(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ramp("data", "import", str(tmp_path), "--outcome", "splendid") == 2
    assert "choose success, failure, done" in capsys.readouterr().err
    assert ramp("data", "import", str(tmp_path), "--dir", str(run)) == 1
    assert "no replay server yet" in capsys.readouterr().err
    monkeypatch.setattr("services.clients.importing.READY_S", 0.1)
    assert ramp("data", "import", str(tmp_path), "--replay", "127.0.0.1:1") == 1
    assert "no server answers" in capsys.readouterr().err
