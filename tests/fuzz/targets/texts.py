"""What people write: settings, and questions in SQL."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ramp.advantage.config import AdvantageConfig
from ramp.errors import Invalid, NotFound, Timeout
from ramp.replay.local import LocalReplay
from ramp.replay.shard import Shard, ShardConfig
from services.common.settings import compose, load_settings, save
from services.query.library import Library
from services.query.sql import ask
from tests.experience import frame_steps, store_episode
from tests.fuzz.target import Target

LINES = [
    "recipe: counting\nactors:\n  count: 2\n",
    "recipe: debug\ntasks: [reach-v3]\nsampling.slack: 1e3\n",
    "replay: {port: 7001, mounts: ['a:b:success']}\nseed: 3\n",
    "env:\n  cameras: [top, wrist]\nworld.horizons: [4, 8]\n",
]


class SettingsFile(Target):
    """A settings.yaml. What is accepted can be saved, and is read again as the same settings."""

    def seeds(self) -> list[bytes]:
        save(compose("counting", None, []), self.scratch / "seed.yaml")
        return [each.encode() for each in LINES] + [(self.scratch / "seed.yaml").read_bytes()[:1500]]

    def feed(self, data: bytes) -> None:
        path = self.scratch / "settings.yaml"
        path.write_bytes(data)
        try:
            settings = compose("", path, [])
        except (Invalid, NotFound):
            return
        save(settings, path)
        assert compose("", path, []) == settings
        load_settings(path)


SECRET = "the secret 4711"
ATTEMPTS = [
    "task='count-up' and outcome='success' and intervention_rate>0.2",
    "select task, count(*) as n from episodes group by task order by n",
    "select e.task, avg(s.reward) from steps s join episodes e using (episode_id) group by all",
    "with x as (select * from steps) select max(step), mean(value) from x",
    "select * from read_csv('SECRET')",
    "select * from read_text('SECRET')",
    "select content from read_blob('SECRET')",
    "from 'SECRET'",
    "copy episodes to 'SCRATCH/stolen.csv'",
    "attach 'SCRATCH/new.db' as other",
    "1=1); copy summary to 'SCRATCH/stolen.csv'; select * from episodes where (1=1",
    "export database 'SCRATCH/out'",
    "select * from glob('SCRATCH/*')",
    "set lock_configuration = false",
    "pragma enable_external_access; select 1",
    "install httpfs; load httpfs",
    "select getenv('HOME')",
    "create table t as select 1",
    "drop view episodes; select 1",
    "select * from query('select 1')",
    "select * from duckdb_settings()",
    "select repeat('x', 1000000000) from range(100)",
]


class Query(Target):
    """A condition or a SELECT: whatever it says, nothing outside of the two views is read, and nothing written."""

    def __init__(self, scratch: Path) -> None:
        super().__init__(scratch)
        shard = Shard(scratch / "shard", ShardConfig())
        for name in ("e0", "e1"):
            store_episode(LocalReplay(shard), name)
        shard.annotate(1, {"e0": (frame_steps(24), np.linspace(1, 0, 6, dtype=np.float32))}, extends=False)
        shard.close()
        (scratch / "secret.csv").write_text(SECRET)
        self._library = Library(scratch / "shard", AdvantageConfig())
        self._before = self._files()

    def _files(self) -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in self.scratch.rglob("*")}

    def seeds(self) -> list[bytes]:
        place = str(self.scratch)
        return [each.replace("SECRET", f"{place}/secret.csv").replace("SCRATCH", place).encode() for each in ATTEMPTS]

    def feed(self, data: bytes) -> None:
        try:
            found = ask(self._library, data.decode(errors="replace"), 0.5)
        except (Invalid, Timeout):
            found = None
        assert self._files() == self._before, "a query has written"
        assert found is None or SECRET not in str(found.slice(0, 100).to_pylist()), "a query has read a file"
        assert found is None or found.num_columns
