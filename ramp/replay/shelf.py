"""A replay directory that is only looked at: no lock, no repair, nothing written, whether a server runs on it or not.

What a running server has written up to its last whole record is seen, which may be a moment before its fsync. A segment
only grows, so that everything before its end stays as it is.
"""

from __future__ import annotations

import contextlib
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

from ramp.data.images import decode_steps
from ramp.errors import Corrupt, NotFound
from ramp.replay.checksum import digest
from ramp.replay.columns import join_steps, steps_from_arrow
from ramp.replay.notes import end_from_note, header_from_note
from ramp.replay.places import shard_places
from ramp.replay.record import Mark, Seen
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
        """Records of one segment after the other, without those of deleted episodes, those that a server has found
        damaged at its start, and batches that do not follow the one before: `Store` leaves them out, too."""
        counts: Counter[str] = Counter()
        damaged, deleted = self._damaged(), Tombstones(self.directory / "tombstones")
        for path in newest(self._segments):
            bad = damaged.get(path.stem, [])
            yield [
                seen
                for seen in glance(path)
                if seen.mark.episode_id not in deleted
                and not any(begin <= seen.position.offset < end for begin, end in bad)
                and _follows(seen.mark, counts)
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


class Shelves:
    """Those of all shards of a run, read one after the other. Example: Shelves(Path("runs/latest/replay")).each"""

    def __init__(self, replay: Path) -> None:
        """Raises NotFound where none of them holds segments."""
        places = shard_places(replay).values()
        self.each = [Shelf(place) for place in places if len(places) == 1 or newest(place / "segments")]
        if not self.each:
            raise NotFound(f"no episodes in {replay}: nothing was stored there yet")

    def segments(self) -> Iterator[list[Seen]]:
        """As Shelf.segments."""
        for shelf in self.each:
            yield from shelf.segments()

    def fetch(self, episode_id: str) -> Episode:
        """As Shelf.fetch, from the shard that has it."""
        for shelf in self.each[:-1]:
            with contextlib.suppress(NotFound):
                return shelf.fetch(episode_id)
        return self.each[-1].fetch(episode_id)


def _follows(mark: Mark, counts: Counter[str]) -> bool:
    """Counts the batches of every episode."""
    if mark.kind != "batch":
        return True
    follows = mark.number == counts[mark.episode_id]
    counts[mark.episode_id] += follows
    return follows


def _steps(seen: Seen, number: int, schema: StepSchema) -> StepBatch:
    if seen.mark.number != number or seen.mark.digest != digest(seen.rows):
        raise Corrupt(f"episode {seen.mark.episode_id}: batch {number} is not what was written")
    return steps_from_arrow(seen.rows, schema)
