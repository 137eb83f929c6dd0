"""A segment that is not as it was written: what a starting server makes of it, and whoever only looks."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa

from ramp.advantage.config import AdvantageConfig
from ramp.errors import RampError
from ramp.replay.local import LocalReplay
from ramp.replay.shard import Shard, ShardConfig
from ramp.types import SampleSpec, StepBatch
from services.common import codec
from services.query.library import Library
from services.replay.core import ReplayCore
from tests.experience import SCHEMA, frame_steps, make_header, make_steps, store_episode
from tests.fuzz.target import Target
from tests.fuzz.targets.service import contents


class _Attacked(Target):
    """A shard directory with one segment, which is replaced by the input."""

    def __init__(self, scratch: Path) -> None:
        super().__init__(scratch)
        shard = Shard(scratch / "seed", ShardConfig())
        replay = LocalReplay(shard)
        store_episode(replay, "e0")
        store_episode(replay, "e1", seed=3)
        replay.open(make_header("half")).append(make_steps(0, 8))
        shard.annotate(1, {"e0": (frame_steps(24), np.linspace(1, 0, 6, dtype=np.float32))}, extends=False)
        self.known = contents(shard)
        shard.close()
        self.segment = next((scratch / "seed" / "segments").glob("*.arrows"))

    def seeds(self) -> list[bytes]:
        whole = self.segment.read_bytes()
        return [whole, whole[: len(whole) // 2]]

    def laid_out(self, data: bytes) -> Path:
        home = self.scratch / "attacked"
        shutil.rmtree(home, ignore_errors=True)
        shutil.copytree(self.scratch / "seed", home)
        (home / "segments" / self.segment.name).write_bytes(data)
        return home


class Segment(_Attacked):
    """A server starts on it: nothing but true episodes is served, and it takes new ones."""

    def feed(self, data: bytes) -> None:
        home = self.laid_out(data)
        for life in ("first", "second"):
            shard = Shard(home, ShardConfig())
            for name, steps in contents(shard).items():
                assert name == "first" or steps == self.known.get(name), f"{name} is not what was stored"
            store_episode(LocalReplay(shard), life)
            spec = SampleSpec(table="demos", batch_size=4, chunk=2)
            ReplayCore(shard).drawn(spec, np.random.default_rng(0), places=False)
            shard.close()


class Glanced(_Attacked):
    """Somebody looks at it beside the server, without checking every byte."""

    def feed(self, data: bytes) -> None:
        home = self.laid_out(data)
        try:
            library = Library(home, AdvantageConfig())
            for name in library.episodes["episode_id"].to_pylist():
                try:
                    _touch(library.episode(name)[0].steps)
                except RampError:
                    continue
            library.means.validate(full=True)
            pa.RecordBatchReader.from_stream(library.steps).read_all().validate(full=True)
        except RampError:
            return


def _touch(steps: StepBatch) -> None:
    codec.steps_to_ipc(steps, SCHEMA)
