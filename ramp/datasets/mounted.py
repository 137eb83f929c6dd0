"""A folder that is sampled where it lies, as a read-only table: numbers in memory, pictures decoded as they are drawn.

A Table finds the pixels of an item as bytes of a segment. Here a segment is an episode, and the place of a frame's
first byte is a code, row * cameras + camera, at which the picture is decoded.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ramp.datasets.dataset import Dataset, Reading
from ramp.datasets.index import Place
from ramp.errors import Corrupt, Invalid
from ramp.replay.entry import FramePlaces
from ramp.replay.info import Limits
from ramp.replay.table import Table, TableConfig
from ramp.replay.validate import check_follows, check_header, check_steps
from ramp.types import Episode


def mount(name: str, folder: Path, reading: Reading) -> Table:
    """Reads all numbers and no picture. Raises Invalid with the file, the field and the remedy."""
    dataset = Dataset(folder, reading)
    table = Table(name, TableConfig(), partial(_Pictures, dataset), files=False)
    for place in dataset.places:
        episode = dataset.episode(place, images=False)
        header = replace(episode.header, tables=(name,))
        _check(replace(episode, header=header))
        table.insert(header, episode.outcome, episode.steps, _codes(episode, place), (None, 0))
    return table


def _check(episode: Episode) -> None:
    """As an append is checked, but for the pictures. Raises Invalid."""
    header, none = episode.header, np.zeros(0, np.int32)
    images = {camera: np.zeros((0, *shape), np.uint8) for camera, shape in header.schema.cameras.items()}
    steps = replace(episode.steps, frame_row=none, images=images)
    check_header(header, Limits())
    check_steps(steps, header.schema, Limits(max_steps_per_batch=len(steps)))
    check_follows(steps, 0, -np.inf, header.max_steps)


def _codes(episode: Episode, place: Place) -> FramePlaces:
    rows, cameras = episode.steps.frame_row.astype(np.int64), sorted(episode.header.schema.cameras.items())
    codes = rows[:, None] * len(cameras) + np.arange(len(cameras))
    sizes = np.array([np.prod(shape) for _, shape in cameras], np.int32)
    return FramePlaces([str(place.index)] * len(rows), codes, np.broadcast_to(sizes, codes.shape))


class _Pictures:
    """One episode in place of a mapped segment: what is sliced is decoded."""

    def __init__(self, dataset: Dataset, segment: str) -> None:
        self._dataset, self._place = dataset, dataset.places[int(segment)]
        self._cameras = sorted(dataset.info.cameras)

    @property
    def data(self) -> _Pictures:
        return self

    def __getitem__(self, bytes_: slice) -> Any:
        row, camera = divmod(bytes_.start, len(self._cameras))
        try:
            return self._dataset.frames(self._place, self._cameras[camera], np.array([row])).reshape(-1).data
        except Invalid as error:
            raise Corrupt(f"{self._dataset.folder}: {error}") from error
