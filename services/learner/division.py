"""A finished run's experience in two parts: episodes that a value model learns from, and those it is tried on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ramp.data.images import decode_batch
from ramp.data.normalize import Normalizer
from ramp.data.transforms import observation_tensors, remaining_time, to_tensors
from ramp.errors import NotFound
from ramp.evaluation.holdout import held_out
from ramp.replay.shard import Shard
from ramp.replay.shards import Shards
from ramp.types import Batch, Episode, Outcome, SampleSpec
from services.learner.published import observations

TABLES = ("demos", "online")
AT_ONCE = 64  # frames of an episode that are looked at together

Tensors = dict[str, Tensor]


@dataclass(frozen=True, kw_only=True)
class Tried:
    """A whole episode as a value model sees it: parts of at most AT_ONCE frames, and what is true of all F."""

    episode_id: str
    task: str
    parts: list[Tensors]  # images, proprio and words of ramp/data/transforms.py
    remaining: np.ndarray  # float32 [F] in [0, 1]


class Division:
    """Both parts of what a run holds, which nobody else has open. The same for whoever asks for the same share."""

    def __init__(self, shards: Shards, normalizer: Normalizer, *, share: float, failure_penalty: float) -> None:
        """Raises NotFound where there are no episodes, Invalid where a task has only one."""
        self._shards, self._normalizer, self._penalty = shards, normalizer, failure_penalty
        task_of = {info.episode_id: info.task for info in shards.query() if info.frames}
        if not task_of:
            raise NotFound("there are no episodes: let the run finish first")
        self.tried_on = held_out(task_of, share)
        self.learnt_from = frozenset(task_of) - self.tried_on

    def batches(self, rows: int, horizons: tuple[int, ...], generator: np.random.Generator) -> Iterator[Tensors]:
        """Endless, `rows` items each, uniform over the items that are learnt from. Raises Corrupt.

        Which items come, and in which order, depends on the generator alone, not on the horizons: every model that is
        trained on so many rows sees the same ones.
        """
        waiting: list[Tensors] = []
        while True:
            while sum(map(_rows, waiting)) < rows:
                waiting += [self._learnt(batch) for batch in self._drawn(rows, horizons, generator)]
            joined = {name: torch.cat([each[name] for each in waiting]) for name in waiting[0]}
            yield {name: tensor[:rows] for name, tensor in joined.items()}
            waiting = [{name: tensor[rows:] for name, tensor in joined.items()}]

    def tried(self) -> Iterator[Tried]:
        """The held-out episodes, by id. Raises Corrupt."""
        return map(self._whole, sorted(self.tried_on))

    def learnt(self) -> Iterator[Tried]:
        """The others, likewise."""
        return map(self._whole, sorted(self.learnt_from))

    def _whole(self, episode_id: str) -> Tried:
        episode = self._shards.fetch(episode_id)
        frames = len(episode.steps.frame_row)
        parts = [observations(episode, slice(start, start + AT_ONCE)) for start in range(0, frames, AT_ONCE)]
        return Tried(
            episode_id=episode_id,
            task=episode.header.task,
            parts=[observation_tensors(part, self._normalizer) for part in parts],
            remaining=self._remaining(episode),
        )

    def _drawn(self, rows: int, horizons: tuple[int, ...], generator: np.random.Generator) -> Iterator[Batch]:
        """Of every table of every shard as many as it holds of all items."""
        places = [place for shard in self._shards.parts().values() for place in _places(shard)]
        counts = np.array([items for _, _, items in places], np.float64)
        turns = generator.multinomial(rows, counts / counts.sum()).tolist()
        for (shard, name, _), count in zip(places, turns, strict=True):
            if count:
                spec = SampleSpec(table=name, batch_size=count, chunk=1, horizons=horizons)
                yield decode_batch(shard.sample(spec, generator)[0])

    def _learnt(self, batch: Batch) -> Tensors:
        keep = torch.tensor([episode in self.learnt_from for episode in batch.episode_id])
        tensors = to_tensors(batch, self._normalizer, failure_penalty=self._penalty)
        return {name: tensor[keep] for name, tensor in tensors.items()}

    def _remaining(self, episode: Episode) -> np.ndarray:
        steps, success = episode.steps, np.array(episode.outcome is Outcome.SUCCESS)
        step, limit = steps.step[steps.frame_row], np.array(episode.header.max_steps)
        return remaining_time(step, np.array(len(steps)), limit, success, self._penalty)


def _places(shard: Shard) -> list[tuple[Shard, str, int]]:
    """Its tables, with their items."""
    items = {table.name: table.items for table in shard.info().tables}
    return [(shard, name, items[name]) for name in TABLES]


def _rows(tensors: Tensors) -> int:
    return len(tensors["remaining"])
