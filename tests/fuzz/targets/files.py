"""Small files beside the segments: what a disk gives back after a bad day."""

from __future__ import annotations

import itertools
import shutil
import zlib

import numpy as np

from ramp.errors import RampError
from ramp.replay import checkpoint
from ramp.replay.annotations import Annotations as Generations
from ramp.replay.annotations import read_current
from ramp.replay.priorities import Priorities
from ramp.replay.snapshot import Snapshots as Moments
from ramp.replay.tombstones import Tombstone
from ramp.replay.tombstones import Tombstones as Stones
from ramp.types import Outcome
from services.clients.spool import Spool
from services.common import codec, keeping_codec
from tests.experience import SCHEMA, frame_steps, make_header, make_steps
from tests.fuzz.target import Target


class Annotations(Target):
    """One part of a generation."""

    def seeds(self) -> list[bytes]:
        found = []
        for count in (1, 2):
            home = self.scratch / str(count)
            values = {f"e{number}": (frame_steps(8), np.ones(2, np.float32)) for number in range(count)}
            Generations(home).commit(1, values, extends=False)
            found.append(next(home.glob("g*/part-0001.arrow")).read_bytes())
        return found

    def feed(self, data: bytes) -> None:
        part = self.scratch / "attacked" / "g000001-v1" / "part-0001.arrow"
        part.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(data)
        version, values, _ = read_current(self.scratch / "attacked")
        assert version == 1
        for name, (steps, remaining) in values.items():
            assert isinstance(name, str)
            assert (steps.dtype, remaining.dtype, steps.shape) == (np.int32, np.float32, remaining.shape)


class Checkpoint(Target):
    """Counters and priorities, behind their checksum."""

    def seeds(self) -> list[bytes]:
        priorities = Priorities(["e0", "e1"], np.arange(2), np.array([4, 8]), np.array([0.5, 2.0]))
        full = checkpoint.Checkpoint({"demos": 7}, {"demos": 1}, {"demos": priorities})
        found = []
        for each in (checkpoint.Checkpoint(), full):
            checkpoint.save(self.scratch / "seed", each)
            found.append((self.scratch / "seed").read_bytes())
        return found

    def feed(self, data: bytes) -> None:
        path = self.scratch / "checkpoint.arrow"
        path.write_bytes(data)
        found = checkpoint.load(path)
        for counts in (found.samples, found.removals):
            assert all(
                isinstance(name, str) and isinstance(count, int) and count >= 0 for name, count in counts.items()
            )
        for episode, step, priority in itertools.chain(*(each.rows() for each in found.priorities.values())):
            assert (type(episode), type(step), type(priority)) == (str, int, float)


class Tombstones(Target):
    """Lines of deletions. Where the first byte is even, their checksums are made right."""

    def seeds(self) -> list[bytes]:
        path = self.scratch / "seed"
        names = ("e0", "e1", "größe")
        Stones(path).add({name: Tombstone(episode_id=name, reason="a test", deleted_at=1.5) for name in names})
        text = path.read_bytes()
        path.unlink()
        return [b"\x00" + text, b"\x01" + text]

    def feed(self, data: bytes) -> None:
        path, lines = self.scratch / "tombstones", data[1:]
        if data and data[0] % 2 == 0:
            texts = [line.partition(b" ")[2] for line in lines.split(b"\n")]
            lines = b"".join(b"%d %b\n" % (zlib.crc32(text), text) for text in texts)
        path.write_bytes(lines)
        stones = Stones(path)
        assert all(isinstance(stone.episode_id, str) and isinstance(stone.reason, str) for stone in stones)
        new = Tombstone(episode_id="new", reason="why", deleted_at=2.0)
        stones.add({"new": new})
        assert Stones(path)["new"] == new


class Snapshots(Target):
    """A snapshot's manifest."""

    def seeds(self) -> list[bytes]:
        home = self.scratch / "seed"
        home.mkdir()
        Moments(home).take("one", [], 3)
        return [next(home.glob("snapshots/one/*.json")).read_bytes()]

    def feed(self, data: bytes) -> None:
        home = self.scratch / "attacked"
        for name, content in (("good", self._good()), ("bad", data)):
            place = home / "snapshots" / name / "snapshot.json"
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
        moments = Moments(home)
        found = moments.all()
        assert "good" in [each.name for each in found], "one bad snapshot hides the others"
        for each in found:
            keeping_codec.snapshot_to_wire(each)
        moments.drop("bad")
        shutil.rmtree(home)

    def _good(self) -> bytes:
        return next(self.scratch.glob("seed/snapshots/one/*.json")).read_bytes().replace(b'"one"', b'"good"')


class SpoolFile(Target):
    """What a dead producer left. Where the first byte is even, lengths and checksums of the frames are made right."""

    def seeds(self) -> list[bytes]:
        spool = Spool(self.scratch / "seed", 2**20)
        parcel = spool.open("e0")
        for request in (
            codec.open_request(make_header()),
            codec.batch_request("e0", 0, make_steps(0, 4), SCHEMA),
            codec.end_request("e0", Outcome.SUCCESS, 1),
        ):
            parcel.add(request.SerializeToString(), last=request.WhichOneof("event") == "end")
        spool.close()
        text = next((self.scratch / "seed").glob("*.spool")).read_bytes()
        return [b"\x00" + text, b"\x01" + text]

    def feed(self, data: bytes) -> None:
        home = self.scratch / "attacked"
        home.mkdir()
        text = _resealed(data[1:]) if data[:1] == b"\x00" else data[1:]
        (home / "00000001-e0.spool").write_bytes(text)
        try:
            spool = Spool(home, 2**20)
            for parcel in spool.parcels:
                for number in range(len(parcel)):
                    parcel.frame(number)
                parcel.finish()
                assert parcel.closed
            for parcel in list(spool.parcels):
                spool.remove(parcel, type(parcel).discard)
            spool.close()
            assert not list(home.glob("*.spool"))
        except RampError:
            pass
        finally:
            shutil.rmtree(home)


def _resealed(data: bytes) -> bytes:
    """Frames as long as they say, as far as there are bytes, each with its checksum."""
    found, place = b"", 0
    while place + 8 <= len(data):
        length = int.from_bytes(data[place : place + 4], "little") % 4096
        frame = data[place + 8 : place + 8 + length]
        found += len(frame).to_bytes(4, "little") + zlib.crc32(frame).to_bytes(4, "little") + frame
        place += 8 + length
    return found
