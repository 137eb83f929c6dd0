"""Projection by hand, and against the pictures that MuJoCo draws."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest

from ramp.envs.projection import pinhole
from ramp.envs.rendering import Cameras
from ramp.envs.views import VIEWS, View

BALL = """<mujoco>
  <statistic extent="2"/>
  <visual><headlight ambient="1 1 1"/></visual>
  <worldbody><body mocap="true"><geom type="sphere" size="0.015" rgba="1 1 1 1"/></body></worldbody>
</mujoco>"""
LEVEL = View(lookat=(0.0, 0.0, 0.0), distance=2.0, azimuth=0.0, elevation=0.0, fovy=90.0)
ABOVE = View(lookat=(0.0, 0.0, 0.0), distance=2.0, azimuth=90.0, elevation=-90.0, fovy=90.0)


@pytest.mark.parametrize(
    ("view", "point", "where", "depth"),
    [
        (LEVEL, (0.0, 0.0, 0.0), (0.0, 0.0), 2.0),  # what it looks at
        (LEVEL, (0.0, -2.0, 0.0), (1.0, 0.0), 2.0),  # looking along x, -y is to the right: at 90 degrees, the edge
        (LEVEL, (0.0, 0.0, 2.0), (0.0, -1.0), 2.0),  # up is the top
        (LEVEL, (2.0, -2.0, 1.0), (0.5, -0.25), 4.0),  # twice as far, half as large
        (ABOVE, (1.0, 0.0, 0.0), (0.5, 0.0), 2.0),  # from above with +y at the top, x is to the right
        (ABOVE, (0.0, 1.0, 0.0), (0.0, -0.5), 2.0),
        (ABOVE, (0.0, 0.0, 1.0), (0.0, 0.0), 1.0),
        (LEVEL, (-3.0, 1.0, 0.0), (0.0, 0.0), -1.0),  # behind the camera
        (LEVEL, (-2.0, 0.0, 0.0), (0.0, 0.0), 0.0),  # in it
    ],
)
def test_points_fall_where_geometry_says(view: View, point: tuple, where: tuple, depth: float) -> None:
    picture, found = pinhole(view).project(np.array(point))
    np.testing.assert_allclose(picture, where, atol=1e-12)
    assert float(found) == pytest.approx(depth)


def test_a_narrow_lens_enlarges_by_the_tangent() -> None:
    narrow = View(lookat=(0.0, 0.0, 0.0), distance=2.0, azimuth=0.0, elevation=0.0, fovy=60.0)
    point = np.array([0.0, -1.0, 0.0])
    assert pinhole(narrow).project(point)[0][0] == pytest.approx(0.5 * np.sqrt(3.0))


@pytest.mark.parametrize("name", sorted(VIEWS))
def test_axes_are_orthonormal_and_right_handed(name: str) -> None:
    camera = pinhole(VIEWS[name])
    axes = np.stack([camera.right, camera.down, camera.forward])
    np.testing.assert_allclose(axes @ axes.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(axes) == pytest.approx(1.0)
    np.testing.assert_allclose(camera.position + VIEWS[name].distance * camera.forward, VIEWS[name].lookat)


@pytest.mark.parametrize("name", sorted(VIEWS))
def test_a_ball_is_drawn_where_it_is_projected(name: str) -> None:
    """Over the working space of the arm, to within a pixel of 128."""
    size = 128
    model = mujoco.MjModel.from_xml_string(BALL)
    data, cameras = mujoco.MjData(model), Cameras(model, (name,), size)
    for place in ((0.0, 0.64, 0.12), (0.15, 0.6, 0.1), (-0.1, 0.75, 0.05), (0.05, 0.55, 0.25)):
        data.mocap_pos[0] = place
        mujoco.mj_forward(model, data)
        rows, columns = np.nonzero(cameras.frames(data)[name].max(axis=-1) > 100)
        drawn = np.array([columns.mean(), rows.mean()])
        picture, _ = pinhole(VIEWS[name]).project(np.array(place))
        np.testing.assert_allclose((picture + 1.0) * size / 2.0 - 0.5, drawn, atol=1.0)
    cameras.close()
