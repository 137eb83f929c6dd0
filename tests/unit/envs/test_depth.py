"""Depth pictures: known scenes have the known order of distances."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest

from ramp.envs import EnvConfig, make_env
from ramp.envs.depth import nearness
from ramp.envs.offscreen import Offscreen
from ramp.envs.rendering import DEPTH_RANGE, Cameras, pose
from ramp.envs.views import VIEWS
from ramp.errors import Invalid

# A camera at the origin that looks down: on the left a box whose top lies at 1 m, on the right one at 2 m, no ground.
SCENE = """
<mujoco>
  <statistic extent="2"/>
  <worldbody>
    <camera name="down" pos="0 0 0" fovy="90"/>
    <geom type="box" size="0.5 2 0.25" pos="-0.55 0 -1.25"/>
    <geom type="box" size="0.5 2 0.25" pos="0.9 0 -2.25"/>
  </worldbody>
</mujoco>
"""


def scene() -> tuple[mujoco.MjModel, mujoco.MjData]:
    model = mujoco.MjModel.from_xml_string(SCENE)
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    return model, data


def test_inverse_depth_falls_from_near_to_far() -> None:
    metres = np.array([0.1, 0.5, 1.0, 2.0, 50.0])
    # 255 (1 / 1 - 1 / 2) / (1 / 0.5 - 1 / 2) = 85
    assert nearness(metres, 0.5, 2.0).tolist() == [255, 255, 85, 0, 0]
    assert nearness(metres, 0.5, 2.0).dtype == np.uint8


def test_distances_are_metres_along_the_cameras_axis() -> None:
    model, data = scene()
    screen = Offscreen(model, 32)
    screen.update(data, pose(model, "down"))
    screen.draw()
    metres = screen.distances()
    screen.close()
    assert metres[16, 8] == pytest.approx(1.0, abs=1e-3)
    assert metres[16, 24] == pytest.approx(2.0, abs=1e-3)
    assert metres[4, 8] == pytest.approx(1.0, abs=1e-3)  # along the axis, not along the ray
    assert metres[16, 31] > 50.0  # past both boxes


def test_what_is_nearer_is_brighter_and_nothing_is_zero() -> None:
    model, data = scene()
    cameras = Cameras(model, ("down",), 32, depth=True)
    picture = cameras.frames(data)["down"]
    cameras.close()
    near, far = (bound * model.stat.extent for bound in DEPTH_RANGE)
    assert picture.shape == (32, 32, 4)
    assert picture[16, 8, 3] == nearness(np.array(1.0), near, far)
    assert picture[16, 24, 3] == nearness(np.array(2.0), near, far)
    assert picture[16, 8, 3] > picture[16, 24, 3] > picture[16, 31, 3] == 0


def test_depth_changes_nothing_of_the_colours_and_tells_hand_from_table() -> None:
    pictures = []
    for depth in (False, True):
        env = make_env("reach-v3", EnvConfig(depth=depth))
        env.reset(1)
        pictures.append(env.render())
        assert all(pictures[-1][name].shape == shape for name, shape in env.schema.cameras.items())
        env.close()
    for view in VIEWS:
        plain, deep = pictures[0][view], pictures[1][view]
        assert (deep[..., :3] == plain).all()
        assert len(np.unique(deep[..., 3])) > 50  # the range is that of the table, not of the world
        assert deep[:8, :, 3].mean() != deep[-8:, :, 3].mean()


def test_only_mujoco_draws_depth() -> None:
    with pytest.raises(Invalid, match=r"env\.depth"):
        make_env("Pendulum-v1", EnvConfig(suite="gymnasium", cameras=("free",), depth=True))


def test_the_counting_worlds_bar_stands_before_its_background() -> None:
    env = make_env("count-up", EnvConfig(suite="counting", depth=True, image_size=16))
    env.reset(3)
    picture = env.render()["front"]
    bar = (picture[4:, :, 0] == 255).nonzero()
    assert env.schema.cameras["front"] == picture.shape == (16, 16, 4)
    assert set(picture[4:, :, 3][bar]) == {192}
    assert (picture[:4, :, 3] == 64).all()
