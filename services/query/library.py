"""What can be asked of a run's replay directory, whatever the number of its shards. Each part is read when it is first
needed."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from ramp.advantage.config import AdvantageConfig
from ramp.replay.labelled import MEANS, Generation, means, read_labels
from ramp.replay.labels import Labels
from ramp.replay.shelf import Shelves
from ramp.replay.step_stream import StepStream
from ramp.replay.summary import summarise_all
from ramp.types import Episode


class Library:
    """Example: Library(Path("runs/latest/replay"), settings.advantage).episodes.num_rows"""

    def __init__(self, directory: Path, advantage: AdvantageConfig) -> None:
        """Raises NotFound where the directory holds no episodes."""
        self._shelves, self._advantage = Shelves(directory), advantage

    @cached_property
    def episodes(self) -> pa.Table:
        """A row of ramp.replay.summary.SUMMARY per ended episode."""
        return summarise_all(self._shelves)

    @cached_property
    def generations(self) -> list[Generation]:
        """The newest labels of every shard. Costs a reading of rewards and sources of every labelled episode."""
        return [read_labels(shelf, self.episodes, self._advantage) for shelf in self._shelves.each]

    @cached_property
    def generation(self) -> Generation:
        """The labels of all shards together; the version is the lowest of theirs."""
        labels = {name: each for generation in self.generations for name, each in generation.labels.items()}
        return Generation(min(each.version for each in self.generations), labels)

    @cached_property
    def means(self) -> pa.Table:
        """A row of ramp.replay.labelled.MEANS for every row of `episodes`."""
        names = self.episodes["episode_id"].to_pylist()
        found = [means(names, each) for each in self.generations]
        columns = [pc.coalesce(*(each[name] for each in found)) for name in MEANS.names]
        return pa.table(columns, schema=MEANS)

    @property
    def steps(self) -> StepStream:
        """A row of ramp.replay.step_stream.STEPS per step."""
        return StepStream(self._shelves, self.episodes["episode_id"].to_pylist(), lambda: self.generation)

    def episode(self, episode_id: str) -> tuple[Episode, Labels | None]:
        """One episode with its frames, and its labels if it has any. Raises NotFound, Corrupt."""
        return self._shelves.fetch(episode_id), self.generation.labels.get(episode_id)
