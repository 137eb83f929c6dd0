"""All shards of a stopped run, opened in this process."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from ramp.replay.info import EpisodeInfo, ReplayInfo
from ramp.replay.labels import Labels
from ramp.replay.places import shard_places
from ramp.replay.shard import Shard, ShardConfig
from ramp.replay.together import Together
from ramp.replay.totals import merged_episodes, total_info


class Shards(Together[Shard]):
    """Example: with closing(Shards(Path("runs/latest/replay"), ShardConfig())) as shards: shards.query()"""

    def __init__(self, replay: Path, config: ShardConfig) -> None:
        """Raises Unavailable where another process has one of them open; then none is."""
        with ExitStack() as opened:
            self._parts: dict[str, Shard] = {}
            for name, place in shard_places(replay).items():
                self._parts[name] = Shard(place, config)
                opened.callback(self._parts[name].close)
            self._opened = opened.pop_all()

    def parts(self) -> Mapping[str, Shard]:
        return self._parts

    def query(self, table: str = "") -> list[EpisodeInfo]:
        """Ended episodes, oldest first. Raises NotFound for a table that no shard has."""
        return merged_episodes(self.wherever(lambda _, shard: shard.query(table)).values())

    def labels(self, episode_id: str) -> Labels | None:
        """As Shard.labels, of the shard that has the episode."""
        return next((found for shard in self._parts.values() if (found := shard.labels(episode_id))), None)

    def info(self) -> ReplayInfo:
        """Of all together."""
        return total_info([shard.info() for shard in self._parts.values()])

    def close(self) -> None:
        self._opened.close()
