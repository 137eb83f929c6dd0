"""The footer of a sealed segment, by which a start goes without reading the segment."""

from __future__ import annotations

from pathlib import Path

from ramp.replay.checksum import checksum
from ramp.replay.footer import SEALED, TRAILER, read_footer, read_trailer
from ramp.replay.local import LocalReplay
from ramp.replay.shard import Shard, ShardConfig
from tests.experience import store_episode
from tests.fuzz.target import Target


class Footers(Target):
    """Behind true records. Where the first byte is even, the trailer is made right for whatever is before it: a footer
    that is believed holds together, one that does not is as good as none."""

    def __init__(self, scratch: Path) -> None:
        super().__init__(scratch)
        shard = Shard(scratch / "seed", ShardConfig())
        for number in range(2):
            store_episode(LocalReplay(shard), f"e{number}", seed=number, thoughts=True)
        shard.close()
        whole = next((scratch / "seed" / "segments").glob("*.arrows")).read_bytes()
        found = read_trailer(whole, len(whole))
        assert found is not None
        self._begin, self._records, self._tail = found[0], whole[: found[0]], whole[found[0] :]

    def seeds(self) -> list[bytes]:
        return [b"\x00" + self._tail[: -TRAILER.size], b"\x01" + self._tail]

    def feed(self, data: bytes) -> None:
        tail = data[1:]
        if data and data[0] % 2 == 0:
            tail += TRAILER.pack(self._begin, len(tail), checksum(tail), SEALED)
        path = self.scratch / "000001.arrows"
        path.write_bytes(self._records + tail)
        footer = read_footer(path)
        if footer is None:
            return
        for record in footer.records():
            position, extent = record.position, record.extent
            assert 0 <= position.offset <= self._begin
            if extent.steps:
                steps, places = footer.numbers(position.offset)
                assert len(steps) == extent.steps
                assert len(places) == len(steps.frame_row)
                assert (places >= 0).all()
                assert (places.sum(axis=2) <= self._begin).all()
