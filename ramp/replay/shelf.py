"""A replay directory that is only looked at: no lock, no repair, nothing written, whether a server runs on it or not.

What a running server has written up to its last whole record is seen, which may be a moment before its fsync. A segment
only grows, so that everything before its end stays as it is.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from ramp.data.images import decode_steps
from ramp.errors import Corrupt, NotFound
from ramp.replay.checksum import digest
from ramp.replay.columns import join_steps, steps_from_arrow
from ramp.replay.notes import end_from_note, header_from_note
from ramp.replay.record import Seen
from ramp.replay.segment import glance, newest
from ramp.replay.tombstones import Tombstones
from ramp.types import Episode, StepBatch, StepSchema


class Shelf:
    """The segments of one replay directory. Example: Shelf(Path("runs/latest/replay")).fetch(episode_id)"""

    def __init__(self, directory: Path) -> None:
        """Raises NotFound where no segments lie."""
        self.directory = directory
        self._segments = directory / "segments"
        if not newest(self._segments):
            raise NotFound(f"no episodes in {directory}: nothing was stored there yet")

    def segments(self) -> Iterator[list[Seen]]:
        """Records of one segment after the other, without those of deleted episodes, and those that a server has found
        damaged at its start."""
        damaged, deleted = self._damaged(), Tombstones(self.directory / "tombstones")
        for path in newest(self._segments):
            bad = damaged.get(path.stem, [])
            yield [
                seen
                for seen in glance(path)
                if seen.mark.episode_id not in deleted
                and not any(begin <= seen.position.offset < end for begin, end in bad)
            ]

    def _damaged(self) -> dict[str, list[tuple[int, int]]]:
        """Segment -> ranges of bytes, told from the copies that `Log` sets aside."""
        found: dict[str, list[tuple[int, int]]] = defaultdict(list)
        for copy in (self._segments / "quarantine").glob("*-*.bin"):
            stem, _, offset = copy.stem.rpartition("-")
            found[stem].append((int(offset), int(offset) + copy.stat().st_size))
        return found

    def fetch(self, episode_id: str) -> Episode:
        """An ended episode with its frames, its batches compared with their digests. Raises NotFound, Corrupt."""
        records = [seen for segment in self.segments() for seen in segment if seen.mark.episode_id == episode_id]
        marks = {seen.mark.kind: seen.mark for seen in records}
        if "open" not in marks or "end" not in marks:
            remedy = "`ramp data query true` lists those that have"
            raise NotFound(f"episode {episode_id[:160]!r} has not ended here; {remedy}")
        header = header_from_note(marks["open"].note)
        outcome, steps, _ = end_from_note(marks["end"].note)
        batches = [seen for seen in records if seen.mark.kind == "batch"]
        if sum(seen.rows.num_rows for seen in batches) != steps:
            raise Corrupt(f"episode {episode_id}: not all of its {steps} steps are left")
        parts = [_steps(seen, number, header.schema) for number, seen in enumerate(batches)]
        pixels = decode_steps(join_steps(parts), header.schema, episode_id)
        return Episode(header=header, steps=pixels, outcome=outcome)


def _steps(seen: Seen, number: int, schema: StepSchema) -> StepBatch:
    if seen.mark.number != number or seen.mark.digest != digest(seen.rows):
        raise Corrupt(f"episode {seen.mark.episode_id}: batch {number} is not what was written")
    return steps_from_arrow(seen.rows, schema)
