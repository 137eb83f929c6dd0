"""kill -9 of a producer, of the server under a learner, and a full disk. Kills under load: tests/chaos/kills.py."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections import deque
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow.flight import FlightDescriptor

from ramp.errors import Full
from ramp.replay.shard import Shard, ShardConfig
from ramp.types import Batch, SampleSpec
from services.clients import flight
from services.clients.channel import NOBODY
from services.clients.replay import ReplayClient
from services.clients.road import Road
from services.common import bulk_codec, codec
from services.common.settings import child_environment
from tests.experience import make_header, make_steps, store_episode
from tests.replay_process import ReplayProcess
from tests.unit.sources import ROOT

pytestmark = pytest.mark.faults

PRODUCER = """
import sys
from pathlib import Path
from ramp.types import Outcome
from services.clients.replay import ReplayClient
from services.clients.road import Road
from tests.experience import make_header, make_steps

client = ReplayClient(sys.argv[1], name="robot", spool=Path(sys.argv[2]))
for number in range(10_000):
    name = f"{sys.argv[3]}-{number}"
    writer = client.open(make_header(name, seed=number))
    for begin in (0, 12):
        writer.append(make_steps(begin, begin + 12, mark=number))
    writer.end(Outcome.SUCCESS)
    print(name, flush=True)
"""


def test_a_killed_producer_loses_no_episode_that_it_had_ended(tmp_path: Path) -> None:
    server = ReplayProcess(tmp_path)
    try:
        address, told = server.start(), []
        for life in range(2):
            if life:
                server.kill()  # the second life finds no server at all, and spools
            told += half_a_life(address, tmp_path / "spool", f"life{life}", episodes=15)
        server.start()
        with ReplayClient(address, name="robot", spool=tmp_path / "spool") as client:
            assert client.flush(60)
            found = client.query()
            # of an episode that the server had in part the sender sends END only once that part was compared; those
            # behind it do not wait for it, and may end before it
            assert sorted(info.episode_id for info in found if info.episode_id in told) == sorted(told)
            assert len({info.episode_id for info in found}) == len(found)
            assert all(info.steps == 24 for info in found)
            assert client.info().open_episodes == 0, "half an episode was left open"
    finally:
        server.close()


def half_a_life(address: str, spool: Path, name: str, episodes: int) -> list[str]:
    """The episodes that a producer was told are safe, before it was killed at work."""
    producer = subprocess.Popen(
        [sys.executable, "-c", PRODUCER, address, str(spool), name],
        cwd=ROOT,
        env=child_environment(PYTHONPATH=f"{ROOT}:{ROOT / 'proto'}"),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert producer.stdout is not None
    told = [producer.stdout.readline().strip() for _ in range(episodes)]
    producer.send_signal(signal.SIGKILL)
    rest = producer.stdout.read().split("\n")
    producer.wait()
    return told + [line for line in rest[:-1] if line]


@pytest.mark.parametrize("road", Road)
def test_a_learner_goes_on_sampling_after_the_server_came_back(tmp_path: Path, road: Road) -> None:
    """Killed while batches are on their way; no batch is torn, whichever road they take."""
    server = ReplayProcess(tmp_path)
    try:
        with ReplayClient(server.start(), name="learner", road=road) as client:
            for number in range(3):
                store_episode(client, f"e{number}", seed=number, length=64)
            spec = SampleSpec(table="demos", batch_size=512, chunk=2, horizons=(4, 8))
            batches = client.sample(spec, timeout=60)
            for life in range(2):
                if life:
                    server.kill()
                    server.start()
                for _ in range(8):  # more than had been read ahead
                    assert_whole(next(batches))
            assert client.info().table("demos").sampled_items > 0  # type: ignore[union-attr]
            batches.close()
    finally:
        server.close()


def assert_whole(batch: Batch) -> None:
    """Every pixel is of the item's own frame."""
    marks = np.array([int(name[1:]) for name in batch.episode_id])
    for frames in batch.images.values():
        flat = frames.reshape(len(marks), -1)
        np.testing.assert_array_equal(flat[:, 0], batch.step)
        np.testing.assert_array_equal(flat[:, 1:], np.broadcast_to(marks[:, None], flat[:, 1:].shape))


def test_an_orderly_stop_answers_what_was_asked_and_ends_with_zero(tmp_path: Path) -> None:
    server = ReplayProcess(tmp_path)
    try:
        with (
            ReplayClient(server.start(), name="producer") as client,
            flight.open_flight(client.address, client.bulk(), NOBODY) as door,
        ):
            client.open(make_header()).append(make_steps(0, 12))
            stream = client.sample(SampleSpec(table="demos", batch_size=4, chunk=2), timeout=60)
            writer, answers = door.do_put(FlightDescriptor.for_command(bulk_codec.APPEND), pa.schema([]))
            writer.write_metadata(bulk_codec.append_to_buffer(codec.open_request(make_header("e1"))))
            assert answers.read() is not None
            assert server.stop() == 0, "who says nothing more does not keep it"
            stream.close()
        shard = Shard(server.directory, ShardConfig())
        assert shard.begin(make_header()).next_batch == 1
        shard.close()
    finally:
        server.close()


DISK_FULL = """
import resource, sys
from pathlib import Path
from ramp.errors import Full
from ramp.replay.local import LocalReplay
from ramp.replay.shard import Shard, ShardConfig
from ramp.types import Outcome
from tests.experience import make_header, make_steps, store_episode

shard = Shard(Path(sys.argv[1]), ShardConfig())
near = LocalReplay(shard)
store_episode(near, "before")
resource.setrlimit(resource.RLIMIT_FSIZE, (shard.info().disk_bytes + 6000, resource.RLIM_INFINITY))
writer = near.open(make_header("during"))
refusals, number = 0, 0
while refusals < 3:
    try:
        writer.append(make_steps(12 * number, 12 * number + 12))
        number += 1
    except Full:
        refusals += 1
assert number >= 1, "there was room for one"
assert shard.fetch("before").steps.step.tolist() == list(range(24)), "reads go on"
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
writer.append(make_steps(12 * number, 12 * number + 12))
writer.end(Outcome.SUCCESS)
print(number + 1)
"""


def test_a_full_disk_refuses_appends_serves_reads_and_recovers(tmp_path: Path) -> None:
    """The limit on a file's size stands in for the disk's: both refuse a write in its middle."""
    environment = child_environment(PYTHONPATH=f"{ROOT}:{ROOT / 'proto'}")
    command = [sys.executable, "-c", DISK_FULL, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    shard = Shard(tmp_path, ShardConfig())  # and the file that was cut back and written on reads well
    assert shard.info().quarantined_segments == 0
    assert {info.episode_id: info.steps for info in shard.query()} == {"before": 24, "during": 12 * int(done.stdout)}
    shard.close()


def test_a_full_spool_refuses_and_keeps_what_it_has(tmp_path: Path) -> None:
    with ReplayClient("127.0.0.1:1", name="robot", spool=tmp_path, spool_bytes=20_000, patience_s=0.1) as client:
        writer = client.open(make_header(max_steps=10_000))
        batches = (make_steps(12 * number, 12 * number + 12) for number in range(800))
        with pytest.raises(Full, match="than the spool"):
            deque(map(writer.append, batches), maxlen=0)
        assert 10_000 < client.pending_bytes <= 20_000
