"""The view that `ramp status` reads is the one that the conductor wrote."""

from __future__ import annotations

import io
import json
import math
from dataclasses import asdict, replace

from rich.console import Console

from ramp.replay.info import Limits, ReplayInfo
from services.conductor.forecast import left_s, progress
from services.conductor.journal import Learner, plain
from services.conductor.ledger import Ledger
from services.conductor.portrait import Scene, draw
from services.conductor.quantities import size
from services.conductor.schedule import Landmarks
from services.conductor.terminal import picture
from services.conductor.view import RunView, view_from
from tests.unit.services.conductor.test_schedule import AFTER, BEFORE, RECIPE, play, versions

SAID = Learner(
    stage="joint",
    update=30,
    total=100,
    losses={"policy.flow": math.nan, "predictor.value": 0.5},
    updates_per_s=7.0,
    wait_share=0.25,
    policy_version=1,
    world_version=1,
)


def scene(ledger: Ledger, marks: Landmarks, learner: Learner | None = None) -> Scene:
    return Scene(
        recipe_name="counting",
        run_dir="runs/x",
        recipe=RECIPE,
        ledger=ledger,
        marks=marks,
        seconds=1.0,
        learner=learner,
        learner_state="up",
        learner_restarts=0,
        members=[],
        children=[],
        replay=None,
        replay_up=False,
        shards={},
        redis_up=True,
        memory={"actor": 5},
        episodes_per_s=2.0,
        messages=("hello",),
    )


def written(view: RunView) -> RunView:
    return view_from(json.loads(json.dumps(plain(asdict(view)), allow_nan=False)))


def test_the_view_survives_json() -> None:
    ledger = Ledger(stage="joint")
    versions(ledger, 4)
    play(ledger, AFTER, 100)
    view = draw(scene(ledger, AFTER))
    assert written(view) == view
    assert view.tasks[0].stage2 is not None
    assert (view.tasks[0].stage2.successes, view.tasks[0].stage2.trials) == (2, 2)


def test_each_of_several_shards_is_seen_with_what_it_holds_or_that_it_is_away() -> None:
    info = ReplayInfo(
        tables=(),
        limits=Limits(),
        annotation_version=3,
        disk_bytes=2**20,
        open_episodes=0,
        quarantined_segments=0,
    )
    shards = {"shard-0": info, "shard-1": None}
    view = draw(replace(scene(Ledger(stage="joint"), AFTER), replay=info, replay_up=True, shards=shards))
    assert written(view) == view
    assert [(shard.name, shard.up, shard.annotation_version) for shard in view.shards] == [
        ("shard-0", True, 3),
        ("shard-1", False, 0),
    ]
    assert any("shard-1" in wait for wait in view.waits)
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(picture(view, width=120))
    text = console.export_text()
    assert f"shard-0  0 episodes  0 items  {size(2**20)}" in text
    assert "shard-1 does not answer" in text


def test_a_loss_that_is_not_a_number_survives_json_too() -> None:
    view = draw(scene(Ledger(stage="joint"), Landmarks(stage2=1), SAID))
    again = written(view)
    assert again.learner is not None
    assert math.isnan(again.learner.losses["policy.flow"])
    assert again.learner.losses["predictor.value"] == 0.5


def test_the_view_says_what_waits_for_what() -> None:
    waits = draw(scene(Ledger(stage="joint"), Landmarks(stage2=1), SAID)).waits
    assert "actors and learner wait for the replay service" in waits
    assert "the learner waits for data 25 % of its time" in waits


def test_progress_is_of_the_present_stage() -> None:
    ledger = Ledger()
    play(ledger, BEFORE, 3)
    assert progress(RECIPE, ledger, None) == 0.5
    assert progress(RECIPE, Ledger(stage="joint"), SAID) == 0.3
    assert progress(RECIPE, Ledger(stage="joint"), replace(SAID, stage="policy")) == 0.0
    assert progress(RECIPE, Ledger(stage="done"), SAID) == 1.0


def test_time_left_is_the_learner_s_rest_and_the_final_evaluation() -> None:
    ledger = Ledger(stage="joint")
    assert left_s(RECIPE, ledger, BEFORE, None, 2.0) is None
    assert left_s(RECIPE, ledger, Landmarks(stage2=1), SAID, 2.0) == 70 / 7 + 4 / 2
    versions(ledger, 4)
    assert left_s(RECIPE, ledger, AFTER, SAID, 2.0) == 8 / 2
    play(ledger, AFTER, 5)
    assert left_s(RECIPE, ledger, AFTER, SAID, 2.0) == 3 / 2
