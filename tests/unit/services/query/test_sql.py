"""Questions in SQL: right answers, mistakes shown where they are, and nothing but the two tables within reach."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from ramp.advantage.config import AdvantageConfig
from ramp.errors import Invalid, Timeout
from ramp.replay import labelled
from ramp.replay.local import LocalReplay
from ramp.replay.shard import Shard, ShardConfig
from ramp.types import Outcome
from tests.experience import frame_steps, store_episode

pytest.importorskip("duckdb", reason="duckdb is not installed: make setup")
from services.query.library import Library
from services.query.sql import ask


@pytest.fixture
def library(tmp_path: Path) -> Library:
    """Three successes at one task and two failures at another; the first one has labels."""
    shard = Shard(tmp_path, ShardConfig())
    for seed in range(5):
        task, outcome = ("up", Outcome.SUCCESS) if seed < 3 else ("down", Outcome.FAILURE)
        store_episode(LocalReplay(shard), f"e{seed}", seed=seed, task=task, outcome=outcome, length=16 + seed)
    shard.annotate(2, {"e0": (frame_steps(16), np.linspace(0.8, 0.2, 4, dtype=np.float32))}, extends=False)
    shard.close()
    return Library(tmp_path, AdvantageConfig())


def rows(library: Library, text: str) -> list[tuple[object, ...]]:
    return [tuple(row.values()) for row in ask(library, text, 60).to_pylist()]


def test_a_condition_gives_whole_episodes_in_their_order(library: Library) -> None:
    found = ask(library, "task = 'up' and steps > 16 -- all but the first", 60)

    assert found["episode_id"].to_pylist() == ["e1", "e2"]
    assert set(library.episodes.column_names) < set(found.column_names)


def test_a_select_groups_and_joins(library: Library) -> None:
    grouped = "select task, avg(success), sum(steps) from episodes group by task order by task"
    joined = "with late as (select * from steps where step >= 16) select e.task, count(*) from late join episodes e "
    joined += "using (episode_id) group by all order by 1"

    assert rows(library, grouped) == [("down", 0.0, 39), ("up", 1.0, 51)]
    assert rows(library, joined) == [("down", 7), ("up", 3)]


def test_the_steps_can_be_read_twice_in_one_query(library: Library) -> None:
    assert rows(library, "select count(*) from steps a join steps b using (episode_id, step)") == [(90,)]


def test_columns_of_one_name_are_told_apart(library: Library) -> None:
    found = ask(library, "select a.steps, b.steps, 1 as steps from episodes a join episodes b using (number)", 60)

    assert found.column_names == ["steps", "steps_1", "steps_2"]


def test_labels_are_means_of_the_episode_and_null_without(library: Library) -> None:
    found = rows(library, "select episode_id, annotation_version, mean_value from episodes order by number limit 2")

    assert found == [("e0", 2, pytest.approx(-0.5)), ("e1", None, None)]
    assert rows(library, "mean_advantage is null and positive_share is null") == rows(library, "number > 0")


def test_labels_are_derived_only_where_they_are_asked_for(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("labels were read")

    monkeypatch.setattr(labelled, "derive", refuse)
    assert rows(library, "select count(*) from episodes where success") == [(3,)]
    with pytest.raises(Exception, match="labels were read"):
        ask(library, "mean_value > 0", 60)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("tsk = 'up'", r'"tsk" not found.* at character 1 \(tsk\); .*episode_id, task'),
        ("task = 'up' and and", r"syntax error.* at character 17 \(and\); episodes has number"),
        ("select task,\n  sum(stps) from episodes", r'"stps" not found.* at line 2, character 7 \(stps\)'),
        ("select advantag from steps", r"steps has episode_id, step"),
        ("select * frm episodes", r"syntax error"),
        ("'öäü' = nothing", r"at character 9 \(nothing\)"),
        ("success and", r"syntax error.* at its end"),
        ("select error('')", "query: ; episodes has"),
        ("select error('[5]')", r"\[5\]; episodes has"),
        ("true; drop view episodes", r"syntax error"),
        ("create table x as select 1", "CREATE statement; give one SELECT"),
        ("select 1; select 2", "SELECT and SELECT statement"),
        ("set memory_limit = '9GB'", "SET statement"),
        ("  ", "give a condition"),
    ],
)
def test_a_mistake_is_shown_where_it_is(library: Library, text: str, said: str) -> None:
    with pytest.raises(Invalid, match=said):
        ask(library, text, 60)


@pytest.mark.parametrize(
    "text",
    [
        "select * from read_csv('{}')",
        "select * from read_text('{}')",
        "select * from read_blob('{}')",
        "select * from glob('{}')",
        "select * from '{}'",
        "select * from parquet_scan('{}')",
        "select * from sniff_csv('{}')",
        "copy (select 1) to '{}'",
        "attach '{}'",
        "install httpfs",
        "load httpfs",
        "pragma database_list",
        "select getenv('HOME')",
        "select * from library",  # a Python variable
    ],
)
def test_nothing_but_the_tables_is_within_reach(library: Library, tmp_path: Path, text: str) -> None:
    place = tmp_path / "secret.csv"
    place.write_text("a,b\n1,2\n")

    with pytest.raises(Invalid):
        ask(library, text.format(place), 60)
    assert place.read_text() == "a,b\n1,2\n"


def test_a_query_that_takes_too_long_is_stopped(library: Library) -> None:
    began = time.monotonic()

    with pytest.raises(Timeout, match=r"longer than 0\.5 s"):
        ask(library, "select count(*) from range(3000000) a, range(3000000) b where a.range + b.range = -1", 0.5)
    assert time.monotonic() - began < 30


def test_a_query_that_takes_too_much_memory_is_refused(library: Library) -> None:
    with pytest.raises(Invalid, match="of memory"):
        ask(library, "select list(range) from range(300000000)", 60)
