"""The tables of a run: what each of them lets be drawn."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ramp.replay.run_tables import TABLES, shard_tables
from ramp.replay.shard import Shard, ShardConfig
from ramp.types import Outcome, SampleSpec, Source
from tests.experience import make_header, make_steps

CONFIG = ShardConfig(tables=shard_tables(min_items=1, samples_per_insert=1.0, slack=1e9, human_priority=3.0))


def store(shard: Shard, name: str, *sources: Source) -> None:
    """Eight steps for each source."""
    shard.begin(make_header(name, tables=("online", "corrections")))
    for number, source in enumerate(sources):
        shard.append(name, number, make_steps(8 * number, 8 * number + 8, source=source))
    shard.end(name, Outcome.SUCCESS, len(sources))


def test_corrections_are_what_people_did_and_nothing_else(tmp_path: Path) -> None:
    shard = Shard(tmp_path, CONFIG)
    store(shard, "alone", Source.POLICY, Source.POLICY)
    store(shard, "helped", Source.POLICY, Source.HUMAN, Source.POLICY)
    for _ in range(2):
        tables = {table.name: table for table in shard.info().tables}
        assert tuple(tables) == TABLES
        assert (tables["online"].episodes, tables["corrections"].episodes) == (2, 1)
        batch = shard.sample(SampleSpec(table="corrections", batch_size=64, chunk=4), np.random.default_rng(0), 5)[0]
        assert set(batch.episode_id) == {"helped"}
        assert set(batch.source.tolist()) == {Source.HUMAN}
        assert tables["corrections"].items == tables["corrections"].inserted_items == len(set(batch.step.tolist()))
        assert [info.episode_id for info in shard.query("corrections")] == ["helped"]
        shard.close()
        shard = Shard(tmp_path, CONFIG)
    shard.close()
