"""The journal survives what a crash leaves behind."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from services.conductor import journal
from services.conductor.journal import Journal
from tests.unit.services.conductor.summaries import summary

EVENTS: list[journal.Event] = [
    journal.RunStarted(recipe="debug", settings={"seed": 1}, machine={"cores": 2}, commit="abc", resumed=True),
    journal.Stage(stage="joint"),
    journal.Episode(summary=summary("eval", "a", 7, success=False), actor="actor-1", label="final"),
    journal.Vanished(t=3.5, episode_id="b"),
    journal.Adopted(
        episode_id="x",
        task="a",
        seed=1,
        purpose="demo",
        outcome="success",
        steps=3,
        frames=1,
        human_steps=0,
        policy_version=0,
    ),
    journal.Version(kind="world", version=2, stage="joint", update=40, aliases=("latest",)),
    journal.Learner(
        stage="world",
        update=3,
        total=9,
        losses={"value": 0.5},
        updates_per_s=2.5,
        wait_share=0.1,
        policy_version=1,
        world_version=1,
    ),
    journal.Replay(
        tables={
            "demos": journal.Table(
                episodes=1,
                steps=2,
                items=3,
                inserted=4,
                sampled=5,
                insert_wait_s=0.5,
                sample_wait_s=0.25,
                labelled=1.0,
            )
        },
        disk_bytes=9,
        annotation_version=1,
    ),
    journal.Evaluation(
        label="interim",
        policy_version=3,
        env_steps=100,
        tasks={"a": journal.TaskResult(episodes=4, successes=2, mean_steps=10.0, mean_seconds=1.0)},
    ),
    journal.Process(name="replay", what="died", pid=7, detail="killed by SIGKILL"),
    journal.Usage(memory_bytes={"actor": 5}, total_bytes=5, peak_bytes=6),
    journal.RunFinished(reason="done", seconds=3.0, peak_bytes=6),
]


def test_every_event_comes_back_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    with Journal(path) as file:
        written = [file.write(event) for event in EVENTS]
    assert journal.read(path) == written
    assert {event.NAME for event in EVENTS} == set(journal.EVENTS)


def test_an_event_gets_the_time_of_its_writing(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal.jsonl") as file:
        first, second = (file.write(journal.Stage(stage="demos")) for _ in range(2))
    assert 0 < first.t <= second.t


@pytest.mark.parametrize("torn", [b'{"event":"stage","t":1.0,"sta', b"\x00\xff", b"{"])
def test_a_torn_last_line_is_skipped_by_readers_and_cut_off_by_the_next_writer(tmp_path: Path, torn: bytes) -> None:
    path = tmp_path / "journal.jsonl"
    with Journal(path) as file:
        first = file.write(journal.Stage(stage="demos"))
    with path.open("ab") as raw:
        raw.write(torn)
    assert journal.read(path) == [first]
    with Journal(path) as file:
        second = file.write(journal.Stage(stage="world"))
    assert journal.read(path) == [first, second]


@pytest.mark.parametrize("line", ["[]", "17", "null", '{"event":"unheard of"}', '{"event":"stage"}', "not json"])
def test_lines_that_mean_nothing_are_skipped(line: str) -> None:
    assert journal.decode(line) is None


def test_fields_of_a_newer_version_are_skipped() -> None:
    line = json.dumps({"event": "stage", "t": 1.0, "stage": "joint", "colour": "blue"})
    assert journal.decode(line) == journal.Stage(stage="joint", t=1.0)


def test_what_is_not_a_number_is_null_in_the_file_and_nan_again_for_readers() -> None:
    nothing = journal.TaskResult(episodes=4, successes=0, mean_steps=math.nan, mean_seconds=math.nan)
    line = journal.encode(journal.Evaluation(label="final", policy_version=1, env_steps=0, tasks={"a": nothing}))
    assert "NaN" not in line
    event = journal.decode(line)
    assert isinstance(event, journal.Evaluation)
    assert math.isnan(event.tasks["a"].mean_steps)


def test_no_file_is_no_event(tmp_path: Path) -> None:
    assert journal.read(tmp_path / "journal.jsonl") == []
