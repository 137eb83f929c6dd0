from __future__ import annotations

import subprocess
import sys

import pytest

from ramp.envs import EnvConfig, check_rendering, check_tasks, make_env, make_expert, task_names
from ramp.errors import Invalid
from tests.unit.sources import ROOT


@pytest.mark.parametrize(
    ("suite", "task", "near"),
    [
        ("metaworld", "drawer-opn-v3", "drawer-open-v3"),
        ("metaworld", "hammer", "hammer-v3"),
        ("counting", "countup", "count-up"),
        ("gymnasium", "Reacher-v55", "Reacher-v5"),
    ],
)
def test_an_unknown_task_is_refused_with_the_nearest_names(suite: str, task: str, near: str) -> None:
    with pytest.raises(Invalid, match=f"did you mean .*{near}") as refused:
        make_env(task, EnvConfig(suite=suite))
    assert (refused.value.field, refused.value.value) == ("task", task)


def test_a_name_that_is_near_nothing_is_answered_with_all_names() -> None:
    with pytest.raises(Invalid, match="choose one of count-down, count-up"):
        make_env("zzz", EnvConfig(suite="counting"))


def test_an_unknown_camera_is_refused_with_the_nearest_names() -> None:
    with pytest.raises(Invalid, match="did you mean topview"):
        make_env("reach-v3", EnvConfig(cameras=("top_view",)))


def test_an_environment_without_an_expert_says_so() -> None:
    env = make_env("Reacher-v5", EnvConfig(suite="gymnasium", cameras=("free",), image_size=32))
    with pytest.raises(Invalid, match="scripted expert"):
        make_expert(env)
    env.close()


def test_all_suites_list_their_tasks() -> None:
    assert len(task_names("metaworld")) == 50
    assert task_names("counting") == ("count-down", "count-up")
    assert "Reacher-v5" in task_names("gymnasium")


def test_a_run_can_be_checked_before_a_simulator_is_loaded() -> None:
    check_tasks(EnvConfig(), ("reach-v3", "drawer-open-v3"))
    for config, task, field in (
        (EnvConfig(), "reach-v33", "tasks"),
        (EnvConfig(cameras=("top_view",)), "reach-v3", "env.cameras"),
        (EnvConfig(suite="gymnasium"), "Reacher-v5", "env.suite"),
    ):
        with pytest.raises(Invalid) as refused:
            check_tasks(config, (task,))
        assert refused.value.field == field


def test_rendering_can_be_checked_beforehand() -> None:
    check_rendering()


@pytest.mark.parametrize(
    "setting",
    [
        {},  # MuJoCo falls back to a window, and there is no display
        {"MUJOCO_GL": "osmesa", "PYOPENGL_PLATFORM": "egl"},  # the two disagree: MuJoCo refuses to load
        {"MUJOCO_GL": "disabled"},
    ],
)
def test_missing_gl_is_answered_with_the_package_and_the_setting(setting: dict[str, str]) -> None:
    script = (
        "from ramp.envs import *\n"
        "try:\n    check_rendering()\n"
        "except ValueError as error:\n    print(type(error).__name__, error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], env={"PATH": "/usr/bin", **setting}, cwd=ROOT, capture_output=True, text=True
    )
    assert done.stdout.startswith("Invalid MUJOCO_GL")
    assert "libosmesa6" in done.stdout
    assert "MUJOCO_GL=osmesa" in done.stdout


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("suite", "metawrld"),
        ("cameras", ()),
        ("cameras", ("front", "front")),
        ("image_size", 8),
        ("image_size", 10_000),
        ("image_encoding", "gif"),
        ("frame_stride", 0),
        ("max_steps", 0),
    ],
)
def test_a_wrong_setting_is_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(Invalid, match=f"env.{field}"):
        EnvConfig(**{field: value})  # type: ignore[arg-type]


def test_depth_is_not_stored_as_jpeg() -> None:
    assert EnvConfig(depth=True, image_encoding="png").frame[2] == 4
    with pytest.raises(Invalid, match=r"env\.image_encoding: jpeg; use png or raw with env\.depth"):
        EnvConfig(depth=True, image_encoding="jpeg")
