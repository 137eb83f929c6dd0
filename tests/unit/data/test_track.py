"""Tracks under cameras that are simple enough to follow by hand."""

from __future__ import annotations

import numpy as np
import pytest

from ramp.data.track import POINTS, ahead, seen
from ramp.errors import Invalid


def flat(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A camera that shows x and y as they are, and z as depth."""
    return points[:, :2], points[:, 2]


def line(steps: int) -> np.ndarray:
    """A hand that moves by 0.01 along x, one metre before the camera."""
    return np.stack([0.01 * np.arange(steps), np.zeros(steps), np.ones(steps)], axis=1)


def tracks(position: np.ndarray, *, stride: int) -> tuple[np.ndarray, np.ndarray]:
    """Of every step of one episode."""
    steps = len(position)
    return ahead(seen(position, flat), np.arange(steps), np.full(steps, steps), stride=stride)


def test_points_lie_evenly_ahead_of_their_step() -> None:
    points, valid = tracks(line(100), stride=4)
    assert points.shape == (100, POINTS, 2)
    assert points.dtype == np.float32
    assert valid[:60].all()
    np.testing.assert_allclose(points[7, :, 0], 0.01 * (7 + 4 * np.arange(1, 11)), rtol=1e-6)


def test_nothing_is_known_beyond_the_end() -> None:
    points, valid = tracks(line(21), stride=2)
    assert valid.sum(axis=1).tolist() == [10] + [(20 - step) // 2 for step in range(1, 21)]
    assert not points[~valid].any()


def test_a_point_behind_the_camera_is_not_known() -> None:
    way = line(30)
    way[15, 2] = -0.5
    points, valid = tracks(way, stride=1)
    assert valid[10].tolist() == [True] * 4 + [False] + [True] * 5
    assert points[10, 4].tolist() == [0.0, 0.0]


def test_a_point_outside_the_picture_is_known() -> None:
    points, valid = tracks(line(300), stride=20)
    assert valid[0].all()
    assert points[0, -1, 0] == pytest.approx(2.0)


def test_episodes_that_lie_behind_each_other_do_not_see_each_other() -> None:
    hand = seen(np.concatenate([line(15), line(15) + np.array([1.0, 0.0, 0.0])]), flat)
    points, valid = ahead(hand, np.array([3, 16]), np.array([15, 30]), stride=2)
    assert valid.sum(axis=1).tolist() == [5, 6]
    np.testing.assert_allclose(points[1, :6, 0], 1.01 + 0.02 * np.arange(1, 7), rtol=1e-6)


def test_a_point_far_beside_the_picture_is_not_seen() -> None:
    way = line(3)
    way[1, 1] = 11.0
    assert np.isnan(seen(way, flat)).any(axis=1).tolist() == [False, True, False]


@pytest.mark.parametrize("position", [np.zeros((4, 2)), np.zeros(4), np.full((4, 3), np.nan)])
def test_what_is_no_way_is_refused(position: np.ndarray) -> None:
    with pytest.raises(Invalid):
        seen(position, flat)
