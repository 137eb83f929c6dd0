"""Who chooses the action: expert with noise, policy alone, policy with a person."""

from __future__ import annotations

import numpy as np
import pytest

from ramp.envs import make_expert
from ramp.envs.counting import read_action_step
from ramp.recipes.recipe import DemosConfig, TakeoverConfig
from ramp.types import Source
from services.actor.camera import Camera, Stopwatch
from services.actor.drivers import Choice, Demonstrator, Driver, Pilot
from services.actor.intervention import Takeover
from tests.unit.services.actor.fakes import CONFIG, FakeAgent, counting_env

RULE = TakeoverConfig(patience=2, hold=8, max_takeovers=1)


def drive(driver: Driver, camera: Camera, env, steps: int) -> list[Choice]:
    now, chosen = env.reset(3), []
    for step in range(steps):
        chosen.append(driver.choose(step, now.proprio, camera))
        now = env.step(chosen[-1].action)
    return chosen


def demonstrate(noise: float, seed: int = 0, steps: int = 1) -> np.ndarray:
    env, watch = counting_env(), Stopwatch()
    driver = Demonstrator(env, make_expert(env), watch, config=DemosConfig(noise=noise, noise_steps=steps), seed=seed)
    chosen = drive(driver, Camera(env, watch), env, 5)
    assert {choice.source for choice in chosen} == {Source.DEMO}
    return np.stack([choice.action for choice in chosen])


def test_a_demonstration_without_noise_is_the_expert() -> None:
    assert [read_action_step(action, CONFIG.max_steps) for action in demonstrate(0.0)] == [0, 1, 2, 3, 4]


def test_noise_is_within_the_bounds_and_repeatable() -> None:
    noisy = demonstrate(3.0)

    assert np.abs(noisy).max() <= 1.0
    assert not np.array_equal(noisy, demonstrate(0.0))
    assert np.array_equal(noisy, demonstrate(3.0))
    assert not np.array_equal(noisy, demonstrate(3.0, seed=1))


def test_one_draw_of_noise_may_last_for_several_steps() -> None:
    noise = demonstrate(0.1, steps=3)[:, 1] - demonstrate(0.0)[:, 1]

    assert np.allclose(noise[1:3], noise[1], atol=1e-6)
    assert not np.allclose(noise[3], noise[2], atol=1e-4)


def test_the_policy_sees_a_frame_only_where_it_decides() -> None:
    env, watch, agent = counting_env(), Stopwatch(), FakeAgent(chunk=8)
    camera = Camera(env, watch)
    driver = Pilot(env, agent, watch, seed=0)

    chosen = drive(driver, camera, env, 20)

    assert camera.rendered == len(agent.seen) == 3
    assert [step for step, _ in driver.values] == [0, 8, 16]
    assert [int(seen.proprio[0]) for seen in agent.seen] == [0, 8, 16]
    assert {choice.source for choice in chosen} == {Source.POLICY}
    assert (driver.version, driver.takeovers) == (5, 0)


def test_a_policy_that_thinks_aloud_acts_as_it_does_in_silence() -> None:
    def play(aloud: bool) -> tuple[Pilot, np.ndarray]:
        env, watch = counting_env(), Stopwatch()
        driver = Pilot(env, FakeAgent(chunk=8), watch, seed=0, aloud=aloud)
        return driver, np.stack([choice.action for choice in drive(driver, Camera(env, watch), env, 20)])

    (loud, actions), (silent, same) = play(True), play(False)
    assert np.array_equal(actions, same)
    assert silent.thoughts == []
    assert [step for step, _ in loud.thoughts] == [0, 8, 16]
    assert [text for _, text in loud.thoughts][::2] == ["count on from 0", "count on from 16"]
    assert "these tokens are no text" in loud.thoughts[1][1]


def test_the_same_seed_gives_the_same_episode() -> None:
    def actions(seed: int) -> np.ndarray:
        env, watch = counting_env(), Stopwatch()
        driver = Pilot(env, FakeAgent(), watch, seed=seed)
        return np.stack([choice.action for choice in drive(driver, Camera(env, watch), env, 20)])

    assert np.array_equal(actions(1), actions(1))
    assert not np.array_equal(actions(1), actions(2))


def test_a_person_takes_over_holds_and_hands_back_to_a_fresh_chunk() -> None:
    env, watch, agent = counting_env(), Stopwatch(), FakeAgent(thrust=-0.1, chunk=4)
    driver = Pilot(env, agent, watch, seed=0, person=make_expert(env), rule=Takeover(RULE))

    chosen = drive(driver, Camera(env, watch), env, 24)

    assert [int(choice.source) for choice in chosen] == [0] * 8 + [1] * 8 + [0] * 8
    assert [choice.action[0] for choice in chosen[8:16]] == [1.0] * 8  # the expert pushes up
    assert [step for step, _ in driver.values] == [0, 4, 8, 16, 20]
    assert driver.takeovers == 1


def test_an_action_out_of_bounds_is_clipped_not_sent() -> None:
    env, watch = counting_env(), Stopwatch()

    chosen = drive(Pilot(env, FakeAgent(thrust=7.0), watch, seed=0), Camera(env, watch), env, 2)

    assert chosen[0].action[0] == pytest.approx(1.0)
