"""What can be asked of one replay directory, each part read when it is first needed."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import pyarrow as pa

from ramp.advantage.config import AdvantageConfig
from ramp.replay.labelled import Generation, means, read_labels
from ramp.replay.labels import Labels
from ramp.replay.shelf import Shelf
from ramp.replay.step_stream import StepStream
from ramp.replay.summary import summarise
from ramp.types import Episode


class Library:
    """Example: Library(Path("runs/latest/replay"), settings.advantage).episodes.num_rows"""

    def __init__(self, directory: Path, advantage: AdvantageConfig) -> None:
        """Raises NotFound where the directory holds no episodes."""
        self._shelf, self._advantage = Shelf(directory), advantage

    @cached_property
    def episodes(self) -> pa.Table:
        """A row of ramp.replay.summary.SUMMARY per ended episode."""
        return summarise(self._shelf)

    @cached_property
    def generation(self) -> Generation:
        """The newest labels. Costs a reading of rewards and sources of every labelled episode."""
        return read_labels(self._shelf, self.episodes, self._advantage)

    @cached_property
    def means(self) -> pa.Table:
        """A row of ramp.replay.labelled.MEANS for every row of `episodes`."""
        return means(self.episodes["episode_id"].to_pylist(), self.generation)

    @property
    def steps(self) -> StepStream:
        """A row of ramp.replay.step_stream.STEPS per step."""
        return StepStream(self._shelf, self.episodes["episode_id"].to_pylist(), lambda: self.generation)

    def episode(self, episode_id: str) -> tuple[Episode, Labels | None]:
        """One episode with its frames, and its labels if it has any. Raises NotFound, Corrupt."""
        return self._shelf.fetch(episode_id), self.generation.labels.get(episode_id)
