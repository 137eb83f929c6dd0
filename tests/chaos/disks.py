"""A disk that is full, one that turns read-only, and one whose fsync does not return, under a real replay server."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from ramp.errors import Full, RampError, Timeout
from ramp.types import Outcome, SampleSpec
from services.clients import replay
from services.clients.replay import ReplayClient
from tests.chaos.mounts import NotPermitted, fail, image_disk, memory_disk, mount_image, unmount
from tests.chaos.progress import Progress, Row
from tests.experience import make_header, make_steps, store_episode
from tests.replay_process import ReplayProcess
from tests.waiting import eventually

COUNT = 50
PIECE = 10
SPEC = SampleSpec(table="demos", batch_size=4, chunk=2)
BATCH = 12  # steps
SMALL = 2**25  # bytes of a disk
PATIENCE_S = 2.0  # of a producer without a spool


def run(*, count: int, seed: int, folder: Path) -> list[Row]:
    """`count` times full; turned read-only once; held `count` times. Raises AssertionError."""
    rows = []
    for name, prove in (("full", fill), ("read-only", turn_read_only), ("slow", hold)):
        began = time.monotonic()
        try:
            row = prove(count, random.Random(f"{seed} {name}"), folder / name)
        except NotPermitted as error:
            row = {"skipped": str(error)}
        rows.append({"name": f"disks: {name}"} | row | {"seconds": round(time.monotonic() - began, 1)})
    return rows


class Impatient:
    """A client whose appends do not wait long for an acknowledgement; `with` gives it."""

    def __init__(self, address: str) -> None:
        self._patch = pytest.MonkeyPatch()
        self._patch.setattr(replay, "CALL_TIMEOUT_S", PATIENCE_S)
        self.client = ReplayClient(address, name="producer")

    def __enter__(self) -> ReplayClient:
        return self.client

    def __exit__(self, *_: object) -> None:
        self.client.close()
        self._patch.undo()


# -------------------------------------------------------------------------------------------------- full


def fill(turns: int, draw: random.Random, folder: Path) -> Row:
    """Ballast leaves room for less than a few appends; what is refused is appended again once there is room."""
    restarts = batches = 0
    progress = Progress("full disks", turns)
    with memory_disk(folder / "replay", SMALL):
        server, ballast = ReplayProcess(folder), folder / "replay" / "ballast"
        try:
            address = server.start()
            with ReplayClient(address, name="setup") as client:
                store_episode(client, "before")
            for turn in range(turns):
                if turn % 3 == 0:
                    press(ballast, leave=0)
                    server.kill()
                    address = server.start()  # on a disk without a byte of room
                    restarts += 1
                press(ballast, leave=draw.randrange(4096, 40_000))
                sent = until_refused(address, f"during-{turn}")
                press(ballast, leave=SMALL)
                bring(address, f"during-{turn}", sent + 1)
                batches += sent + 1
                progress.step()
            server.kill()
            check_episodes(server.start(), ["before", *(f"during-{turn}" for turn in range(turns))])
        finally:
            server.close()
    return {"value": 0, "unit": "lost", "refusals": turns, "restarts_on_a_full_disk": restarts, "batches": batches}


def until_refused(address: str, name: str) -> int:
    """How many appends a nearly full disk took; reads go on."""
    acknowledged: list[int] = []
    with Impatient(address) as client:
        with pytest.raises((Full, Timeout)):
            acknowledged.extend(append_until_refused(client, name))
        assert client.fetch("before").steps.step.tolist() == list(range(24)), "reads do not go on"
        next(client.sample(SPEC, timeout=60))
    return len(acknowledged)


def append_until_refused(client: ReplayClient, name: str) -> Iterator[int]:
    """The number of each that was acknowledged."""
    writer = client.open(make_header(name))
    for number in range(200):
        writer.append(part(number))
        yield number


def part(number: int):
    return make_steps(BATCH * number, BATCH * (number + 1))


def press(ballast: Path, *, leave: int) -> None:
    """Fill the disk to the last byte, then give so many back."""
    with ballast.open("ab", buffering=0) as file:
        try:
            while file.write(bytes(2**20)):
                pass
        except OSError:
            size = file.tell()
        file.truncate(max(size - leave, 0))


def bring(address: str, name: str, batches: int) -> None:
    """The whole episode, by a producer that begins again; a server that had a part of it takes the rest."""
    with ReplayClient(address, name="again") as client:
        writer = client.open(make_header(name))
        for number in range(batches):
            writer.append(part(number))
        writer.end(Outcome.SUCCESS)
        found = client.fetch(name).steps
        np.testing.assert_array_equal(found.step, np.arange(BATCH * batches))


def check_episodes(address: str, names: list[str]) -> None:
    with ReplayClient(address, name="judge") as client:
        assert [info.episode_id for info in client.query()] == names
        assert client.info().quarantined_segments == 0


# --------------------------------------------------------------------------------------------- read-only


def turn_read_only(_: int, draw: random.Random, folder: Path) -> Row:
    """The file system is taken away from under a server that writes. It ends, is started again as its supervisor
    would, serves what it has, refuses what is new; on the repaired disk everything acknowledged is there."""
    disk = folder / "replay"
    with image_disk(disk, 24 * 2**20):
        server = ReplayProcess(folder)
        try:
            address, acknowledged = server.start(), 0
            with Impatient(address) as client:
                store_episode(client, "before")
                writer = client.open(make_header("during"))
                for number in range(draw.randint(1, 10)):
                    writer.append(part(number))
                    acknowledged += 1
                fail(disk)
                with pytest.raises(RampError):
                    writer.append(part(acknowledged))
            assert server.wait() == 1, "a server whose disk has failed shall end and say so"
            address = server.start()
            with Impatient(address) as client:
                assert client.fetch("before").steps.step.tolist() == list(range(24)), "reads do not go on"
                next(client.sample(SPEC, timeout=60))
                with pytest.raises(RampError):
                    client.open(make_header("after"))
            server.kill()
            unmount(disk)
            mount_image(disk)
            address = server.start()
            with ReplayClient(address, name="again") as client:
                writer = client.open(make_header("during"))
                writer.append(part(0))
                number = max(1, acknowledged)
                for each in range(1, number):
                    writer.append(part(each))
                writer.end(Outcome.SUCCESS)
                assert client.fetch("during").steps.step.tolist() == list(range(BATCH * number))
        finally:
            server.close()
    return {"value": 0, "unit": "lost", "acknowledged_before": acknowledged}


# -------------------------------------------------------------------------------------------------- slow


def hold(turns: int, _: random.Random, folder: Path) -> Row:
    """While an append waits for its fsync, another producer's, samples, queries and Info go on."""
    server, batches, progress = ReplayProcess(folder), 0, Progress("held fsyncs", turns)
    server.module = "tests.chaos.altered"
    gate = folder / "altered" / "hold"
    gate.parent.mkdir(parents=True)
    try:
        address = server.start()
        with ReplayClient(address, name="producer") as producer, ReplayClient(address, name="learner") as learner:
            store_episode(producer, "before")
            stream = learner.sample(SPEC, timeout=60)
            for turn in range(turns):
                gate.touch()
                with ThreadPoolExecutor(1) as pool:
                    waiting = pool.submit(store_episode, producer, f"during-{turn}")
                    try:
                        for _ in range(50):
                            next(stream)
                            batches += 1
                        assert learner.info().table("demos") is not None
                        assert "before" in {info.episode_id for info in learner.query()}
                        assert not waiting.done(), "an append was acknowledged before its fsync"
                    finally:
                        gate.unlink()
                    waiting.result(60)
                progress.step()
            stored = {f"during-{turn}" for turn in range(turns)}
            eventually(lambda: stored <= {info.episode_id for info in learner.query()})
    finally:
        server.close()
    return {"value": 0, "unit": "stalls", "batches_sampled_while_fsync_was_held": batches}
