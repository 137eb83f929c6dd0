"""Phases of episodes whose phases are known, because they were put together from them."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ramp.data.subgoals import Phase, Subgoal, subgoals
from ramp.envs import EnvConfig, make_env, make_expert
from ramp.errors import Invalid

TASK = "put the block on the shelf"
FORWARD, UP, DOWN, STILL = (0.0, 0.01, 0.0), (0.0, 0.0, 0.01), (0.0, 0.0, -0.01), (0.0, 0.0, 0.0)


def episode(*parts: tuple[int, tuple[float, float, float], float]) -> tuple[np.ndarray, np.ndarray]:
    """Position and opening of an episode of (steps, move of every step, opening to end with), starting wide open."""
    moves, openings = [(0.0, 0.0, 0.0)], [1.0]
    for steps, move, opening in parts:
        moves += [move] * steps
        openings += np.linspace(openings[-1], opening, steps + 1)[1:].tolist()
    return np.cumsum(moves, axis=0), np.array(openings)


def phases(*parts: tuple[int, tuple[float, float, float], float]) -> list[tuple[Phase, int, int]]:
    return [(s.phase, s.start, s.stop) for s in subgoals(*episode(*parts), TASK)]


PICK = ((20, DOWN, 1.0), (10, STILL, 0.4), (20, UP, 0.4))
PLACE = (*PICK, (10, STILL, 1.0), (20, UP, 1.0))


def near(found: list[tuple[Phase, int, int]], expected: list[tuple[Phase, int]]) -> None:
    """The phases are those, and begin within two steps of where they should."""
    assert [phase for phase, *_ in found] == [phase for phase, _ in expected]
    for (_, start, _), (_, wanted) in zip(found, expected, strict=True):
        assert abs(start - wanted) <= 2


def test_picking_is_reach_grasp_move() -> None:
    near(phases(*PICK), [(Phase.REACH, 0), (Phase.GRASP, 20), (Phase.MOVE, 30)])


def test_what_is_put_down_is_released_and_the_hand_goes_on_reaching() -> None:
    near(
        phases(*PLACE), [(Phase.REACH, 0), (Phase.GRASP, 20), (Phase.MOVE, 30), (Phase.RELEASE, 50), (Phase.REACH, 60)]
    )


def test_two_objects_are_grasped_one_after_the_other() -> None:
    found = phases(*PLACE, *PICK)
    assert [phase for phase, *_ in found].count(Phase.GRASP) == 2
    assert found[-1][0] == Phase.MOVE


def test_the_gripper_wobbling_around_what_it_holds_releases_nothing() -> None:
    wobble = ((5, UP, 0.5), (5, UP, 0.4), (5, UP, 0.48))
    near(phases(*PICK, *wobble), [(Phase.REACH, 0), (Phase.GRASP, 20), (Phase.MOVE, 30)])


def test_a_fist_made_on_the_way_grasps_nothing() -> None:
    assert phases((10, FORWARD, 0.3), (30, FORWARD, 0.3)) == [(Phase.REACH, 0, 41)]


def test_opening_a_fist_that_holds_nothing_is_no_release() -> None:
    assert phases((10, FORWARD, 0.3), (20, FORWARD, 0.3), (10, FORWARD, 1.0)) == [(Phase.REACH, 0, 41)]


def test_a_hand_that_grasps_nothing_moves_things_after_its_last_turn() -> None:
    near(phases((20, UP, 1.0), (20, FORWARD, 1.0), (20, DOWN, 1.0)), [(Phase.REACH, 0), (Phase.MOVE, 40)])


def test_a_turn_while_nearly_standing_is_none() -> None:
    tremble = ((3, (0.0, -0.0002, 0.0), 1.0), (3, (0.0002, 0.0, 0.0), 1.0)) * 4
    assert phases((30, FORWARD, 1.0), *tremble) == [(Phase.REACH, 0, 55)]


def test_a_straight_way_is_all_reach() -> None:
    assert phases((40, FORWARD, 1.0)) == [(Phase.REACH, 0, 41)]
    assert phases() == [(Phase.REACH, 0, 1)]


def test_a_drifting_gripper_keeps_its_state() -> None:
    assert phases((20, FORWARD, 1.0), (10, STILL, 0.8), (20, FORWARD, 0.8)) == [(Phase.REACH, 0, 51)]


def test_a_release_right_after_a_grasp_leaves_the_grasp_standing() -> None:
    found = phases((20, DOWN, 1.0), (3, STILL, 0.4), (3, STILL, 1.0), (20, UP, 1.0))
    near(found, [(Phase.REACH, 0), (Phase.GRASP, 20), (Phase.RELEASE, 23), (Phase.REACH, 26)])


def test_texts_follow_the_grammar() -> None:
    found = subgoals(*episode(*PICK), TASK)
    assert [s.text for s in found] == [f"{phase} to {TASK}" for phase in ("reach", "grasp", "move")]


@pytest.mark.parametrize(
    ("task", "expected"),
    [
        ("reach-v3", ["reach"]),
        ("pick-place-v3", ["reach", "grasp", "move"]),
        ("hammer-v3", ["reach", "grasp", "move"]),
        ("drawer-open-v3", ["reach", "move"]),
        ("button-press-topdown-v3", ["reach", "move"]),  # it makes a fist on the way
    ],
)
def test_the_experts_demonstrations_are_read_as_a_person_would(task: str, expected: list[str]) -> None:
    env = make_env(task, EnvConfig(max_steps=150))
    step, expert, seen = env.reset(5), make_expert(env), []
    while not (step.success or step.truncated):
        seen.append(step.proprio)
        step = env.step(expert.act())
    env.close()
    proprio = np.array(seen, float)
    found = subgoals(proprio[:, :3], proprio[:, 3], env.instruction)
    assert [s.phase for s in found] == expected
    assert found[-1].text == f"{expected[-1]} to {env.instruction}"


def readings(steps: int) -> st.SearchStrategy[tuple[np.ndarray, np.ndarray]]:
    place, opening = st.floats(-1, 1, width=32), st.floats(0, 1, width=32)
    return st.tuples(arrays(np.float32, (steps, 3), elements=place), arrays(np.float32, steps, elements=opening))


@given(st.integers(1, 40).flatmap(readings))
def test_segments_are_the_whole_episode_each_unlike_its_neighbour(read: tuple[np.ndarray, np.ndarray]) -> None:
    found = subgoals(*read, TASK)
    assert found[0].start == 0
    assert found[-1].stop == len(read[1])
    for one, two in pairwise(found):
        assert one.stop == two.start
        assert one.phase != two.phase
    assert all(s.start < s.stop for s in found)
    _a_release_follows_a_grasp(found)


def _a_release_follows_a_grasp(found: list[Subgoal]) -> None:
    for index, subgoal in enumerate(found):
        if subgoal.phase == Phase.RELEASE:
            assert Phase.GRASP in [s.phase for s in found[:index]]


@pytest.mark.parametrize(
    ("position", "opening"),
    [
        (np.zeros((0, 3)), np.zeros(0)),
        (np.zeros((3, 2)), np.zeros(3)),
        (np.zeros((3, 3)), np.zeros(4)),
        (np.full((3, 3), np.nan), np.zeros(3)),
        (np.zeros((3, 3)), np.full(3, np.inf)),
    ],
)
def test_readings_that_are_none_are_refused(position: np.ndarray, opening: np.ndarray) -> None:
    with pytest.raises(Invalid, match="position"):
        subgoals(position, opening, TASK)
