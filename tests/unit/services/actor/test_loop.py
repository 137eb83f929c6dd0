"""One episode in the counting world, where every number on the road can be foretold."""

from __future__ import annotations

import numpy as np
import pytest

from ramp.data.images import decode_steps
from ramp.envs import make_expert
from ramp.envs.counting import read_seed, read_step
from ramp.errors import Invalid
from ramp.recipes.recipe import DemosConfig, TakeoverConfig
from ramp.replay.info import Limits
from ramp.replay.validate import check_steps
from ramp.types import Encoding, EpisodeSummary, Outcome, Source
from services.actor.assignment import Assignment
from services.actor.camera import Stopwatch
from services.actor.drivers import Demonstrator, Pilot
from services.actor.intervention import Takeover
from services.actor.loop import Road, collect, new_episode_id, seed_of
from tests.unit.services.actor.fakes import CONFIG, FakeAgent, FakeReplay, FakeWriter, assignment, counting_env


def demo(replay: FakeReplay, *, noise: float = 0.3, seed: int = 3, encoding: Encoding = Encoding.RAW) -> EpisodeSummary:
    env, watch = counting_env(), Stopwatch()
    driver = Demonstrator(env, make_expert(env), watch, config=DemosConfig(noise=noise), seed=seed)
    road = Road(replay=replay, robot="actor-0", frame_stride=CONFIG.frame_stride, batch_steps=5, encoding=encoding)
    return collect(env, driver, assignment("demo", seed), road, watch)


def rollout(replay: FakeReplay | None, agent: FakeAgent, purpose: str = "rollout") -> EpisodeSummary:
    env, watch = counting_env(), Stopwatch()
    person = make_expert(env) if purpose == "rollout" else None
    rule = Takeover(TakeoverConfig(patience=2, hold=6, max_takeovers=1))
    driver = Pilot(env, agent, watch, seed=0, person=person, rule=rule)
    road = Road(replay=replay, robot="actor-0", frame_stride=CONFIG.frame_stride, batch_steps=7)
    return collect(env, driver, assignment(purpose), road, watch)


def whole(writer: FakeWriter, column: str) -> np.ndarray:
    return np.concatenate([getattr(batch, column) for batch in writer.batches])


def test_every_step_arrives_with_what_it_was_about_and_where_the_hand_was() -> None:
    replay = FakeReplay()
    demo(replay)
    rollout(replay, FakeAgent())
    for writer in replay.writers:
        assert writer.header.thoughts
        assert all(text.endswith("to count up") for text in whole(writer, "subgoal"))
        np.testing.assert_allclose(whole(writer, "hand")[:, 0], whole(writer, "proprio")[:, 2])


def test_a_demonstration_arrives_whole_with_frames_at_every_stride() -> None:
    replay = FakeReplay()

    summary = demo(replay)

    (writer,) = replay.writers
    steps = whole(writer, "step")
    assert summary.outcome == writer.outcome == Outcome.SUCCESS
    assert steps.tolist() == list(range(summary.steps)) == whole(writer, "proprio")[:, 0].tolist()
    frames = np.concatenate([batch.step[batch.frame_row] for batch in writer.batches])
    pictures = np.concatenate([batch.images["wrist"] for batch in writer.batches])
    assert frames.tolist() == list(range(0, summary.steps, CONFIG.frame_stride))
    assert [read_step(picture) for picture in pictures] == frames.tolist()
    assert {read_seed(picture) for picture in pictures} == {3}
    assert set(whole(writer, "source").tolist()) == {Source.DEMO}
    assert whole(writer, "trainable").all()
    assert (summary.frames, summary.human_steps, summary.policy_version) == (len(frames), 0, 0)
    assert writer.header.tables == ("online",)
    assert writer.header.episode_id == summary.episode_id


@pytest.mark.parametrize("encoding", [Encoding.PNG, Encoding.JPEG])
def test_frames_are_handed_over_as_they_are_to_be_stored(encoding: Encoding) -> None:
    plain, other = FakeReplay(), FakeReplay()
    demo(plain)
    demo(other, encoding=encoding)
    (raw,), (writer,) = plain.writers, other.writers
    assert writer.header.schema == raw.header.schema.encoded(encoding)
    for sent, expected in zip(writer.batches, raw.batches, strict=True):
        check_steps(sent, writer.header.schema, Limits(), thoughts=True)
        seen = decode_steps(sent, writer.header.schema, "e0").images
        for camera, frames in expected.images.items():
            error = np.abs(seen[camera].astype(int) - frames)
            assert error.max() == 0 if encoding is Encoding.PNG else error.mean() < 20


def test_a_failed_demonstration_is_stored_as_well() -> None:
    replay = FakeReplay()

    summary = demo(replay, noise=10.0)

    assert summary.outcome == replay.writers[0].outcome == Outcome.FAILURE
    assert summary.steps == CONFIG.max_steps


def test_a_rollout_tells_who_acted_and_masks_the_boundaries_of_the_takeover() -> None:
    replay = FakeReplay()

    summary = rollout(replay, FakeAgent(thrust=-0.1, chunk=4))

    (writer,) = replay.writers
    source, trainable = whole(writer, "source"), whole(writer, "trainable")
    assert source[:15].tolist() == [0] * 8 + [1] * 6 + [0]
    assert (summary.human_steps, summary.interventions) == (6, 1)
    assert set(whole(writer, "policy_version").tolist()) == {5}
    assert not trainable.all()
    assert trainable[:4].all()
    assert [step for step, _ in summary.values[:4]] == [0, 4, 8, 14]


def test_an_evaluation_stores_nothing_and_renders_only_for_decisions() -> None:
    agent = FakeAgent(thrust=0.0, chunk=10)

    summary = rollout(None, agent, "eval")

    assert summary.frames == len(agent.seen) == CONFIG.max_steps // 10
    assert (summary.interventions, summary.human_steps, summary.outcome) == (0, 0, Outcome.FAILURE)


def test_an_episode_ends_at_success() -> None:
    summary = rollout(FakeReplay(), FakeAgent(thrust=1.0))

    assert summary.outcome == Outcome.SUCCESS
    assert summary.steps < CONFIG.max_steps / 2


def test_the_time_of_an_episode_is_accounted_for() -> None:
    summary = rollout(FakeReplay(), FakeAgent(thrust=-0.1))

    parts = summary.sim_seconds + summary.render_seconds + summary.inference_seconds + summary.replay_seconds
    assert 0 < parts + summary.extra["expert_seconds"] <= summary.seconds


def test_an_episode_that_replay_refuses_is_withdrawn() -> None:
    replay = FakeReplay(fail_at=1)

    with pytest.raises(ConnectionError):
        demo(replay)

    assert replay.writers[0].aborted
    assert replay.writers[0].outcome is None


def test_while_replay_is_away_the_episode_waits_in_the_spool_and_the_actor_goes_on() -> None:
    replay = FakeReplay(away=True)

    summary = demo(replay)

    assert summary.extra["acknowledged"] == 0.0
    assert not replay.writers[0].aborted
    assert demo(FakeReplay()).extra["acknowledged"] == 1.0


def test_a_retry_is_another_episode_from_the_same_start() -> None:
    one, two = assignment(), assignment()

    assert new_episode_id(one) != new_episode_id(two)
    assert seed_of(0, one) == seed_of(0, two) != seed_of(1, one)


@pytest.mark.parametrize(
    "wrong",
    [
        {"purpose": "dance"},
        {"tables": ()},
        {"purpose": "eval"},
        {"seed": -1},
        {"policy_version": -1},
    ],
)
def test_an_assignment_that_makes_no_sense_is_refused(wrong: dict[str, object]) -> None:
    good: dict[str, object] = {"purpose": "demo", "task": "count-up", "seed": 1, "tables": ("demos",)}

    with pytest.raises(Invalid):
        Assignment(**(good | wrong))  # type: ignore[arg-type]
