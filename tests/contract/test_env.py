"""What every environment promises, whoever implements it (ramp.interfaces.Env)."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest

from ramp.envs import EnvConfig, make_env
from ramp.errors import Invalid
from ramp.interfaces import Env

MAX_STEPS = 12


def config(suite: str, cameras: tuple[str, ...], *, depth: bool = False) -> EnvConfig:
    return EnvConfig(suite=suite, cameras=cameras, image_size=32, max_steps=MAX_STEPS, depth=depth)


MAKERS: dict[str, Callable[[], Env]] = {
    "metaworld": lambda: make_env("drawer-open-v3", config("metaworld", ("front", "side"))),
    "metaworld-push": lambda: make_env("push-v3", config("metaworld", ("topview", "corner2"), depth=True)),
    "counting": lambda: make_env("count-up", config("counting", ("front", "side"))),
    "counting-depth": lambda: make_env("count-up", config("counting", ("front", "side"), depth=True)),
    "gymnasium-depth": lambda: make_env("Reacher-v5", config("gymnasium", ("free",), depth=True)),
    "gymnasium": lambda: make_env("Reacher-v5", config("gymnasium", ("free",))),
}


@pytest.fixture(scope="module", params=sorted(MAKERS))
def maker(request: pytest.FixtureRequest) -> Callable[[], Env]:
    return MAKERS[request.param]


@pytest.fixture(scope="module")
def env(maker: Callable[[], Env]) -> Iterator[Env]:
    made = maker()
    yield made
    made.close()


def actions(env: Env, count: int, seed: int = 0) -> np.ndarray:
    low, high = np.float32(env.schema.action_low), np.float32(env.schema.action_high)
    return np.random.default_rng(seed).uniform(low, high, (count, env.schema.action_width)).astype(np.float32)


def trace(env: Env, seed: int, count: int = 6) -> np.ndarray:
    """Everything that the environment shows in an episode, as one array."""
    seen = [env.reset(seed).proprio, *(env.step(action).proprio for action in actions(env, count))]
    pictures = [picture.ravel().astype(np.float32) for picture in env.render().values()]
    return np.concatenate([*seen, *pictures])


@pytest.mark.parametrize("seed", [3, 1_000_003])
def test_the_seed_alone_determines_the_episode(maker: Callable[[], Env], env: Env, seed: int) -> None:
    first = trace(env, seed)
    trace(env, seed + 1)
    other = maker()

    assert (trace(env, seed) == first).all()
    assert (trace(other, seed) == first).all()
    other.close()


def test_another_seed_is_another_episode(env: Env) -> None:
    assert (trace(env, 1) != trace(env, 2)).any()


def test_proprioception_agrees_with_the_schema(env: Env) -> None:
    for step in (env.reset(0), env.step(actions(env, 1)[0])):
        assert step.proprio.dtype == np.float32
        assert step.proprio.shape == (env.schema.proprio_width,)
        assert np.isfinite(step.proprio).all()
        assert type(step.success) is bool
        assert type(step.truncated) is bool


def test_frames_agree_with_the_schema_and_are_the_callers_to_keep(env: Env) -> None:
    env.reset(0)
    first = env.render()
    kept = {name: picture.copy() for name, picture in first.items()}
    for action in actions(env, 8):
        env.step(action)
    second = env.render()

    assert list(first) == list(env.schema.cameras)
    for name, picture in first.items():
        assert picture.dtype == np.uint8
        assert picture.shape == env.schema.cameras[name]
        assert picture.flags.c_contiguous
        assert (picture == kept[name]).all()
    assert any((first[name] != second[name]).any() for name in first)


def test_rendering_changes_nothing(env: Env) -> None:
    env.reset(4)
    plain = [env.step(action).proprio for action in actions(env, 6)]
    env.reset(4)
    watched = []
    for action in actions(env, 6):
        env.render()
        watched.append(env.step(action).proprio)

    assert (np.stack(plain) == np.stack(watched)).all()


def broken(env: Env, value: float) -> np.ndarray:
    action = np.zeros(env.schema.action_width, np.float32)
    action[-1] = value
    return action


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda env: broken(env, np.nan), ("nan", "send finite numbers")),
        (lambda env: broken(env, -np.inf), ("-inf", "send finite numbers")),
        (lambda env: broken(env, env.schema.action_high[-1] + 0.01), ("1.01", "stay within [-1, 1]")),
        (lambda env: broken(env, env.schema.action_low[-1] - 0.5), ("-1.5", "stay within [-1, 1]")),
        (lambda env: np.zeros(env.schema.action_width + 1, np.float32), ("shape", "send shape")),
        (lambda env: np.zeros((1, env.schema.action_width), np.float32), ("shape", "send shape")),
        (lambda env: np.array(["left"] * env.schema.action_width), ("dtype", "send float32")),
    ],
)
def test_a_wrong_action_is_refused_and_moves_nothing(
    env: Env, spoil: Callable[[Env], np.ndarray], words: tuple[str, ...]
) -> None:
    good = actions(env, 4)
    env.reset(5)
    expected = [env.step(action).proprio for action in good]
    env.reset(5)
    env.step(good[0])

    with pytest.raises(Invalid) as refused:
        env.step(spoil(env))

    assert refused.value.field.startswith("action")
    assert all(word in str(refused.value) for word in words)
    assert (np.stack([env.step(action).proprio for action in good[1:]]) == np.stack(expected[1:])).all()


def test_an_action_on_the_bounds_is_accepted(env: Env) -> None:
    env.reset(0)
    env.step(np.float32(env.schema.action_low))
    env.step(np.float32(env.schema.action_high))


def test_the_action_that_was_sent_is_left_alone(env: Env) -> None:
    env.reset(0)
    action = actions(env, 1)[0]
    before = action.copy()
    env.step(action)
    assert (action == before).all()


def test_an_episode_is_truncated_at_its_limit_and_not_before(env: Env) -> None:
    still = np.zeros(env.schema.action_width, np.float32)
    assert env.max_steps == MAX_STEPS
    assert not env.reset(0).truncated
    assert [env.step(still).truncated for _ in range(MAX_STEPS)] == [False] * (MAX_STEPS - 1) + [True]

    env.render()
    with pytest.raises(Invalid, match="call reset"):
        env.step(still)
    assert not env.reset(0).truncated


def test_nothing_can_be_done_before_the_first_reset(maker: Callable[[], Env]) -> None:
    fresh = maker()
    with pytest.raises(Invalid, match="call reset"):
        fresh.step(np.zeros(fresh.schema.action_width, np.float32))
    with pytest.raises(Invalid, match="call reset"):
        fresh.render()
    fresh.close()


@pytest.mark.parametrize("seed", [-1, 1.5, True, 2**63])
def test_a_seed_that_is_no_whole_number_is_refused(env: Env, seed: int) -> None:
    with pytest.raises(Invalid, match="seed"):
        env.reset(seed)


def test_it_says_what_it_is(env: Env) -> None:
    assert env.task
    assert env.instruction
    assert env.control_hz > 0
    assert len(env.schema.action_low) == len(env.schema.action_high) == env.schema.action_width
