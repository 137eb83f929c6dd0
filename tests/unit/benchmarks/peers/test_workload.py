"""The same steps for everybody, like a camera's."""

from __future__ import annotations

import numpy as np

from benchmarks.peers import workload


def test_an_episode_is_what_the_page_says() -> None:
    rows = workload.episode()

    assert {name: (column.dtype.name, column.shape) for name, column in rows.items()} == {
        "left": ("uint8", (50, 224, 224, 3)),
        "right": ("uint8", (50, 224, 224, 3)),
        "state": ("float32", (50, 14)),
        "action": ("float32", (50, 7)),
        "reward": ("float32", (50,)),
    }
    assert workload.moved(50)["bytes"] == rows["left"].nbytes + rows["right"].nbytes


def test_pictures_are_smooth_with_noise_and_move() -> None:
    left = workload.episode()["left"].astype(int)

    between_neighbours = np.abs(np.diff(left[0], axis=0)).mean()
    assert 0 < between_neighbours < 4 * workload.GRAIN
    assert np.abs(left[10] - left[0]).mean() > 2 * workload.GRAIN
