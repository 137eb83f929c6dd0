"""A folder is sampled where it lies: batches are those of an import, and nothing can be appended."""

from __future__ import annotations

from contextlib import closing
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from ramp.datasets.dataset import Dataset, Reading
from ramp.datasets.mounted import mount
from ramp.errors import Conflict, Corrupt, Invalid
from ramp.replay.local import LocalReplay
from ramp.replay.shard import Shard, ShardConfig
from ramp.types import Batch, SampleSpec
from services.clients.importing import send
from services.clients.replay import ReplayClient
from services.replay.mounts import mounted_tables
from tests.replay_process import ReplayProcess
from tests.unit.datasets.made import KEY, SHAPE, by_hand, picture

READING = Reading(outcome="success", stride=2, table="demos")
SPEC = SampleSpec(table="arm", batch_size=16, chunk=3, horizons=(2, 4))


def same(ours: Batch, theirs: Batch) -> None:
    for field in fields(Batch):
        mine, yours = getattr(ours, field.name), getattr(theirs, field.name)
        pairs = zip(mine.values(), yours.values(), strict=True) if isinstance(mine, dict) else [(mine, yours)]
        for one, other in pairs:
            np.testing.assert_array_equal(np.asarray(one), np.asarray(other), err_msg=field.name)


@pytest.mark.parametrize(("version", "image"), [("v2.1", False), ("v3.0", False), ("v3.0", True)])
def test_batches_are_those_of_an_import(tmp_path: Path, version: str, image: bool) -> None:
    folder = by_hand(tmp_path / "arm", version, image=image)
    with closing(Shard(tmp_path / "shard", ShardConfig())) as shard:
        shard.mount(mount("arm", folder, READING))
        dataset = Dataset(folder, READING)
        for place in dataset.places:
            send(LocalReplay(shard), dataset.episode(place))

        mounted, _ = shard.sample(SPEC, np.random.default_rng(3))
        imported, _ = shard.sample(replace(SPEC, table="demos"), np.random.default_rng(3))

        same(mounted, imported)
        assert [table.name for table in shard.info().tables] == ["demos", "online", "arm"]
        assert shard.info().table("arm").items == 3 + 4  # type: ignore[union-attr]


def test_a_mounted_table_takes_no_episode_and_no_second_name(tmp_path: Path) -> None:
    folder = by_hand(tmp_path / "arm", "v3.0")
    with closing(Shard(tmp_path / "shard", ShardConfig())) as shard:
        shard.mount(mount("arm", folder, READING))
        dataset = Dataset(folder, replace(READING, table="arm"))
        with pytest.raises(Invalid, match="tables: arm"):
            shard.begin(dataset.episode(dataset.places[0]).header)
        for name in ("arm", "demos"):
            with pytest.raises(Conflict, match="there is a table of that name"):
                shard.mount(mount(name, folder, READING))


def test_numbers_are_looked_at_when_it_is_mounted_and_pictures_when_they_are_drawn(tmp_path: Path) -> None:
    state = pa.array([[0.0, float("nan") if row == 7 else 0.0] for row in range(12)], pa.list_(pa.float32()))
    with pytest.raises(Invalid, match="proprio: nan at step 2"):
        mount("bad", by_hand(tmp_path / "bad", "v3.0", **{"observation.state": state}), READING)

    folder = by_hand(tmp_path / "arm", "v3.0")
    table = mount("arm", folder, READING)
    (folder / f"videos/{KEY}/chunk-000/file-000.mp4").write_text("lost")
    with pytest.raises(Corrupt, match=r"file-000\.mp4"):
        table.sample(SPEC, np.random.default_rng(0))


def test_a_server_serves_what_its_settings_mount(tmp_path: Path) -> None:
    folder = by_hand(tmp_path / "arm", "v2.1")
    server = ReplayProcess(tmp_path / "run", f"replay.mounts=arm:{folder}:success")
    server.start()
    try:
        with ReplayClient(server.address, name="test") as client:
            batch = next(client.sample(SPEC, timeout=20.0))
    finally:
        server.close()

    begins = {"arm-000000": 0, "arm-000001": 5}
    wanted = [
        picture(begins[name] + step, SHAPE) for name, step in zip(batch.episode_id, batch.step.tolist(), strict=True)
    ]
    assert np.abs(batch.images["front"].astype(int) - np.stack(wanted)).mean() < 3
    assert batch.success.all()


@pytest.mark.parametrize("text", ["arm", ":folder", "arm:", "arm:folder:splendid", "arm:folder:done:done"])
def test_a_mount_that_says_too_little_or_too_much_is_refused(text: str) -> None:
    with pytest.raises(Invalid, match=r"replay\.mounts: .*write NAME:FOLDER"):
        list(mounted_tables((text,)))
