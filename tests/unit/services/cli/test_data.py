"""`ramp data`: from a run's directory to rows and recordings."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import services.query
from ramp.replay.local import LocalReplay
from ramp.replay.shard import Shard, ShardConfig
from ramp.types import Outcome
from services.cli import main
from services.common.settings import compose, save
from tests.experience import store_episode

pytest.importorskip("duckdb", reason="duckdb is not installed: make setup")


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Path]:
    """A run whose replay server has its directory open, with two episodes."""
    save(compose("counting", None, [f"dir={tmp_path}"]), tmp_path / "settings.yaml")
    shard = Shard(tmp_path / "replay", ShardConfig())
    store_episode(LocalReplay(shard), "good")
    store_episode(LocalReplay(shard), "bad", outcome=Outcome.FAILURE)
    yield tmp_path
    shard.close()


def ramp(*words: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main.main([str(word) for word in words])
    return int(ended.value.code or 0)


def test_a_condition_is_answered_in_every_form(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    question = ("data", "query", "outcome = 'failure'", "--dir", run)

    assert ramp(*question) == 0
    assert "bad" in (shown := capsys.readouterr().out)
    assert "good" not in shown
    assert ramp(*question, "--json") == 0
    assert [row["episode_id"] for row in json.loads(capsys.readouterr().out)] == ["bad"]
    assert ramp(*question, "--csv") == 0
    assert [row["episode_id"] for row in csv.DictReader(capsys.readouterr().out.splitlines())] == ["bad"]
    assert ramp(*question, "--out", run / "rows.parquet") == 0
    assert pq.read_table(run / "rows.parquet")["episode_id"].to_pylist() == ["bad"]


def test_a_mistake_is_one_line_with_the_columns(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ramp("data", "query", "outcom = 'failure'", "--dir", run) == 2
    errors = capsys.readouterr().err.strip().splitlines()
    assert len(errors) == 1
    assert "character 1 (outcom)" in errors[0]
    assert "intervention_rate" in errors[0]


def test_a_run_whose_episodes_lie_elsewhere_says_where(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(compose("counting", None, [f"dir={tmp_path}", "replay.address=shelf:7000"]), tmp_path / "settings.yaml")

    assert ramp("data", "query", "true", "--dir", tmp_path) == 2
    assert "shelf:7000" in capsys.readouterr().err


def test_an_episode_is_written_for_rerun(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("rerun", reason="rerun-sdk is not installed: make setup")

    assert ramp("data", "show", "good", "--dir", run, "--out", run / "good.rrd") == 0
    assert capsys.readouterr().out.strip() == str(run / "good.rrd")
    assert (run / "good.rrd").stat().st_size > 1000
    assert ramp("data", "show", "none", "--dir", run, "--out", run / "none.rrd") == 2
    assert not (run / "none.rrd").exists()


def test_without_rerun_the_command_that_installs_it_is_named(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "rerun", None)
    monkeypatch.delitem(sys.modules, "services.query.viewer", raising=False)
    monkeypatch.delattr(services.query, "viewer", raising=False)

    assert ramp("data", "show", "good", "--dir", run) == 1
    assert "pip install" in capsys.readouterr().err
