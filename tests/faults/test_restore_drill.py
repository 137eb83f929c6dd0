"""The restore drill: servers are backed up under writers and a learner, then destroyed with their disks, brought back
from the backup alone, compared byte for byte with what was acknowledged before it, and go on."""

from __future__ import annotations

import shutil
from contextlib import closing
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from ramp.replay.annotations import Values, read_current
from ramp.replay.columns import steps_to_arrow
from ramp.replay.shard import Shard, ShardConfig
from services.cli.main import main
from services.clients.connect import connect
from services.clients.rendezvous import home
from tests.experience import frame_steps, make_steps, store_episode
from tests.faults.shard_field import BATCH, NAMES, PATIENCE_S, Field, busy, ground

__all__ = ["ground"]

pytestmark = pytest.mark.faults

LENGTH = 4 * BATCH


def ramp(*words: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(list(words))
    assert ended.value.code == 0


def stored(ground: Field) -> dict[str, int]:
    """Episodes whose END the servers have acknowledged, with their marks."""
    with connect(ground.words(), name="asking") as client:
        return {info.episode_id: info.seed for info in client.query()}


def label(ground: Field, episodes: list[str]) -> Values:
    """Labels of a world model's version 1 for some ended episodes, by the servers."""
    steps = frame_steps(LENGTH)
    values = {
        name: (steps, np.linspace(1, 0, len(steps), dtype=np.float32) / (1 + row)) for row, name in enumerate(episodes)
    }
    with connect(ground.words(), name="labeller") as client:
        client.annotate(1, [(name, *pair) for name, pair in values.items()], extends=False)
    return values


def raw(steps: object, schema: object) -> bytes:
    """Every byte of an episode's steps, as Arrow lays them out."""
    sink, rows = pa.BufferOutputStream(), steps_to_arrow(steps, schema)  # type: ignore[arg-type]
    with pa.ipc.new_stream(sink, rows.schema) as writer:
        writer.write_batch(rows)
    return sink.getvalue().to_pybytes()


def assert_as_written(replay: Path, ended: dict[str, int], labels: Values) -> None:
    for name in NAMES:
        with closing(Shard(replay / name, ShardConfig())) as shard:
            for episode in (each for each in ended if home(each, NAMES) == name):
                found = shard.fetch(episode, decode=False)
                sent = make_steps(0, LENGTH, mark=ended[episode])
                assert raw(found.steps, found.header.schema) == raw(sent, found.header.schema)
            version, values, damaged = read_current(replay / name / "annotations")
            assert (version, damaged) == (1, 0)
            for episode in (each for each in labels if home(each, NAMES) == name):
                assert values[episode][0].tobytes() == labels[episode][0].tobytes()
                assert values[episode][1].tobytes() == labels[episode][1].tobytes()


def test_a_run_that_is_destroyed_comes_back_from_its_backup(ground: Field, tmp_path: Path) -> None:
    run, place = ground.folder, tmp_path.parent / f"{tmp_path.name}-bucket"
    (run / "replay").mkdir()
    for name in NAMES:
        (run / "replay" / name).symlink_to(run / name)
    with busy(ground):
        ground.until(ended=10, shard_0=1, shard_1=1, shard_2=1)
        ramp("backup", place.as_uri(), "--dir", str(run))  # the first of two: the drill is with an incremental one
        acked = stored(ground)
        labels = label(ground, sorted(acked))
        ramp("backup", place.as_uri(), "--dir", str(run))
        ground.until(ended=len(ground.ended) + 4)
    ramp("backup", place.as_uri(), "--verify")
    for server in ground.servers.values():
        server.kill()
    for name in NAMES:
        shutil.rmtree(run / name)
    back = tmp_path / "back"

    ramp("restore", place.as_uri(), "--dir", str(back))

    assert_as_written(back / "replay", acked, labels)
    for name in NAMES:
        (back / "replay" / name).rename(run / name)
        ground.servers[name].address = ""  # it takes whatever port is free
        ground.servers[name].start()
    with connect(ground.words(), name="after") as client:
        client.wait_ready(PATIENCE_S)
        store_episode(client, "afterwards", length=LENGTH)
        assert {"afterwards", *acked} <= {info.episode_id for info in client.query()}
