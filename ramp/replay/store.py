"""Episodes by id over the log: what may be appended next, what was appended before, and whole episodes read back.

open ──batch*──> ended | aborted          cut: the disk has lost batches, nothing of it is served; OPEN makes it open
                  └──> deleted            nothing is left of it but its tombstone
                                          damaged: found while it was served; a start then finds what is left of it

A power cut may leave a later record and not an earlier one, both unacknowledged. What does not follow is left out, so
that the episode goes on behind its last batch in order, which is not before the last that was acknowledged.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import NoReturn

import numpy as np
import pyarrow as pa

from ramp.errors import Conflict, Corrupt, Full, Invalid, NotFound
from ramp.replay.checksum import digest
from ramp.replay.clock import SteadyClock
from ramp.replay.columns import frame_places, join_steps, steps_from_arrow, steps_to_arrow
from ramp.replay.entry import Entry, FramePlaces, State, Written
from ramp.replay.info import Limits
from ramp.replay.log import Log
from ramp.replay.notes import header_from_note, header_to_note
from ramp.replay.record import Extent, Mark, Position, Record
from ramp.replay.recovery import Recovery
from ramp.replay.retention import RetentionConfig, Roll
from ramp.replay.tombstones import Tombstone, Tombstones
from ramp.replay.validate import check_follows, check_header, check_steps
from ramp.types import EpisodeHeader, Outcome, StepBatch

logger = logging.getLogger(__name__)

MAX_OPEN = 4096  # episodes at the same time


class Store:
    """All episodes of one log. Thread-safe. Nothing is kept in memory but the index."""

    def __init__(self, log: Log, tombstones: Tombstones, limits: Limits, retention: RetentionConfig) -> None:
        self._log, self._tombstones, self._limits, self.roll = log, tombstones, limits, Roll(retention)
        self._entries: dict[str, Entry] = {}
        self._dead: Counter[str] = Counter()  # bytes by segment that belong to nobody any more
        self._lock = threading.Lock()
        self._clock = SteadyClock()
        self._open = 0
        self._next_order = 0

    # -------------------------------------------------------------------------------------------- start

    def recover(self, recovery: Recovery) -> list[Entry]:
        """Rebuild the index from the log; the ended episodes, oldest first."""
        self._tombstones.secure()
        for record in recovery.records():
            self._replay(record)
        ended = sorted(self._ended(), key=lambda entry: entry.order)
        for entry in ended:
            self.roll.add(entry.held())
        self._open = sum(entry.state is State.OPEN for entry in self._entries.values())
        self._next_order = max((entry.order + 1 for entry in ended), default=0)
        self._clock = SteadyClock(max((entry.ended_at for entry in ended), default=0.0))
        return ended

    def _replay(self, record: Record) -> None:
        mark = record.mark
        entry = self._entries.get(mark.episode_id)
        if mark.episode_id in self._tombstones:
            self._dead[record.position.segment] += record.position.length
        elif mark.kind == "open":
            entry = Entry(header_from_note(mark.note))
            entry.marks.append(record.position)
            self._entries[mark.episode_id] = entry
        elif entry is None:
            logger.error("episode %s: its beginning is lost; it is not served", mark.episode_id)
        elif mark.kind == "batch":
            self._replay_batch(entry, record)
        elif mark.kind == "abort":
            self._abandon(entry)
        elif entry.state in (State.OPEN, State.CUT):
            entry.state, entry.order = State.ENDED, mark.number
            entry.marks.append(record.position)
            outcome, steps, *ended_at = mark.note.split()
            entry.outcome = Outcome(outcome)
            entry.ended_at = float(ended_at[0]) if ended_at else self._clock.now()  # the first segments did not say
            if int(steps) != entry.steps:
                logger.error("episode %s: batches are lost; it is not served", mark.episode_id)
                entry.state = State.CUT

    def _abandon(self, entry: Entry) -> None:
        """The steps of an aborted episode belong to nobody."""
        entry.state = State.ABORTED
        self._bury(entry.positions)

    def _bury(self, positions: Sequence[Position]) -> None:
        for position in positions:
            self._dead[position.segment] += position.length

    def _replay_batch(self, entry: Entry, record: Record) -> None:
        if record.mark.number != len(entry.positions):
            logger.error("episode %s: batch %d does not follow", entry.header.episode_id, record.mark.number)
        elif entry.state in (State.OPEN, State.CUT):
            entry.state = State.OPEN
            self._advance(entry, record.position, record.mark.digest, record.extent)

    # ---------------------------------------------------------------------------------------- appending

    def begin(self, header: EpisodeHeader) -> Written:
        """OPEN. Raises Invalid, Conflict, Full, Corrupt."""
        check_header(header, self._limits)
        with self._lock:
            self._refuse_deleted(header.episode_id)
            entry = self._entries.get(header.episode_id)
            if entry is None:
                if self._open >= MAX_OPEN:
                    raise Full(f"{self._open} episodes are open; end or abort some first")
                entry = Entry(header)
                mark = Mark(kind="open", episode_id=header.episode_id, note=header_to_note(header))
                position, entry.ticket = self._log.append(entry.columns_note, mark)
                entry.marks.append(position)
                self._entries[header.episode_id] = entry
                self._open += 1
        if entry.header != header:
            raise Conflict("episode_id", header.episode_id, "this id was used with another header; use a new one")
        with entry.lock:
            self._go_on(entry)
            self._refuse_damaged(entry)
        return Written(entry.progress(), entry.ticket)

    def _go_on(self, entry: Entry) -> None:
        """Its producer is here again and has what was lost."""
        if entry.state is State.CUT:
            entry.state = State.OPEN
            with self._lock:
                self._open += 1

    def append(self, episode_id: str, number: int, steps: StepBatch) -> Written:
        """BATCH `number`. Raises Invalid, Conflict, NotFound, Full, Corrupt."""
        entry = self.entry(episode_id)
        check_steps(steps, entry.header.schema, self._limits, thoughts=entry.header.thoughts)
        return self._append(entry, number, steps, steps_to_arrow(steps, entry.header.schema))

    def append_rows(self, episode_id: str, number: int, rows: pa.RecordBatch) -> Written:
        """BATCH `number` as the columns in which it came, which are written as they are: `rows.validate(full=True)` has
        passed. Raises as `append`."""
        entry = self.entry(episode_id)
        steps = steps_from_arrow(rows, entry.header.schema)
        check_steps(steps, entry.header.schema, self._limits, thoughts=entry.header.thoughts)
        return self._append(entry, number, steps, rows)

    def _append(self, entry: Entry, number: int, steps: StepBatch, rows: pa.RecordBatch) -> Written:
        self._refuse_damaged(entry)
        content = digest(rows)
        with entry.lock:
            new = number >= len(entry.positions)
            if not new:
                if entry.digests[number] != content:
                    raise Conflict(
                        "number", number, "this batch was appended before with other content; use a new episode id"
                    )
            else:
                self._check_next(entry, number, steps)
                mark = Mark(kind="batch", episode_id=entry.header.episode_id, number=number, digest=content)
                position, entry.ticket = self._log.append(entry.columns_note, mark, rows)
                extent = Extent(len(steps), len(steps.frame_row), float(steps.timestamp[-1]))
                self._advance(entry, position, content, extent)
            return Written(entry.progress(), entry.ticket, new)

    def _check_next(self, entry: Entry, number: int, steps: StepBatch) -> None:
        if entry.state is not State.OPEN:
            raise Conflict("number", number, f"the episode has {entry.state}; use a new episode id")
        if number > len(entry.positions):
            raise Invalid("number", number, f"send batch {len(entry.positions)} next")
        check_follows(steps, entry.steps, entry.last_timestamp, entry.header.max_steps)

    def _advance(self, entry: Entry, position: Position, content: str, extent: Extent) -> None:
        entry.positions.append(position)
        entry.digests.append(content)
        entry.steps += extent.steps
        entry.frames += extent.frames
        entry.last_timestamp = extent.timestamp

    def end(self, episode_id: str, outcome: Outcome, batches: int, insert: Callable[[Entry], None]) -> Written:
        """END: durable first, then `insert`ed. Raises Invalid, Conflict, NotFound, Full, Corrupt."""
        entry = self.entry(episode_id)
        with entry.lock:
            new = not self.has_ended(entry, outcome, batches)
            if new:
                with self._lock:
                    order, self._next_order = self._next_order, self._next_order + 1
                now = round(self._clock.now(), 3)
                mark = Mark(kind="end", episode_id=episode_id, number=order, note=f"{outcome} {entry.steps} {now}")
                position, entry.ticket = self._log.append(entry.columns_note, mark)
                self._log.sync(entry.ticket)
                entry.marks.append(position)
                entry.state, entry.outcome, entry.order, entry.ended_at = State.ENDED, outcome, order, now
                self._closed_one()
                self.roll.add(entry.held())
                insert(entry)
            return Written(entry.progress(), entry.ticket, new)

    def has_ended(self, entry: Entry, outcome: Outcome, batches: int) -> bool:
        """Whether this END was acknowledged before. Raises Conflict or Invalid where it can never be."""
        self._refuse_damaged(entry)
        if entry.state is State.ABORTED:
            raise Conflict("end", entry.header.episode_id, "the episode was aborted; use a new episode id")
        if entry.state is State.OPEN and batches != len(entry.positions):
            raise Invalid("end.batches", batches, f"send batch {len(entry.positions)} next, or end with that count")
        if entry.state is State.ENDED:
            if entry.outcome is not outcome or batches != len(entry.positions):
                raise Conflict(
                    "outcome", str(outcome), f"the episode has ended with {entry.outcome}; use a new episode id"
                )
            return True
        if not entry.frames:
            raise Invalid(
                "end", f"{entry.steps} steps, no frame", "append at least one step with camera frames, or abort"
            )
        return False

    def abort(self, episode_id: str) -> Written:
        """ABORT. Raises Conflict, NotFound, Full."""
        entry = self.entry(episode_id)
        with entry.lock:
            if entry.state is State.ENDED:
                raise Conflict("abort", episode_id, "the episode has ended and may have been sampled")
            if entry.state is State.OPEN:
                _, entry.ticket = self._log.append(entry.columns_note, Mark(kind="abort", episode_id=episode_id))
                self._abandon(entry)
                self._closed_one()
            return Written(entry.progress(), entry.ticket)

    def _closed_one(self) -> None:
        with self._lock:
            self._open -= 1

    def _refuse_damaged(self, entry: Entry) -> None:
        if entry.state is State.CUT:
            raise Corrupt(f"episode {entry.header.episode_id}: batches were lost on disk; open it again and send them")
        if entry.state is State.DAMAGED:
            raise Corrupt(f"episode {entry.header.episode_id}: acknowledged batches were lost on disk; use a new id")

    def _refuse_deleted(self, episode_id: str) -> None:
        if episode_id in self._tombstones:
            reason = self._tombstones[episode_id].reason
            raise Conflict("episode_id", episode_id, f"that episode was deleted ({reason}); use a new id")

    # ----------------------------------------------------------------------------------------- deleting

    def delete(self, episode_ids: Collection[str], reason: str) -> list[Entry]:
        """Forget ended or damaged episodes, durably; those that were there. Deleting twice changes nothing.

        Raises NotFound for an id that never was, Conflict for an open episode, Full; then none is deleted.
        """
        with self._lock:
            now = round(self._clock.now(), 3)
            entries = [self._deletable(each) for each in dict.fromkeys(episode_ids) if each not in self._tombstones]
            stones = {
                name: Tombstone(episode_id=name, reason=reason, deleted_at=now)
                for name in (entry.header.episode_id for entry in entries)
            }
            try:
                self._tombstones.add(stones)
            except OSError as error:
                raise Full(f"no room to write down what is deleted: {error}") from error
            for episode_id in episode_ids:
                self.roll.remove(episode_id)
            for entry in entries:
                del self._entries[entry.header.episode_id]
                self._bury([*entry.positions, *entry.marks])
            return entries

    def _deletable(self, episode_id: str) -> Entry:
        entry = self.entry(episode_id)
        if entry.state is State.OPEN:
            raise Conflict("episode_id", episode_id, "the episode is open: end or abort it first")
        return entry

    @property
    def ended_episodes(self) -> int:
        with self._lock:
            return sum(1 for _ in self._ended())

    def _ended(self) -> Iterator[Entry]:
        return (entry for entry in self._entries.values() if entry.state is State.ENDED)

    def dead_bytes(self) -> Mapping[str, int]:
        """Of deleted and aborted episodes, by segment."""
        with self._lock:
            return dict(self._dead)

    def wanted(self, mark: Mark) -> bool:
        """Whether a record is still needed: of an aborted episode only that it was."""
        if mark.episode_id in self._tombstones:
            return False
        entry = self._entries.get(mark.episode_id)
        return entry is None or entry.state is not State.ABORTED or mark.kind != "batch"

    def move(self, segment: str, moved: Mapping[Position, Position], episode_ids: Collection[str]) -> list[Entry]:
        """A segment was written again: point to the new records of these episodes; the ended ones among them."""
        with self._lock:
            self._dead.pop(segment, None)
            entries = [entry for entry in map(self._entries.get, episode_ids) if entry is not None]
        for entry in entries:
            with entry.lock:
                entry.positions = [moved.get(position, position) for position in entry.positions]
                entry.marks = [moved.get(position, position) for position in entry.marks]
        return [entry for entry in entries if entry.state is State.ENDED]

    # ------------------------------------------------------------------------------------------ reading

    @property
    def open_episodes(self) -> int:
        return self._open

    def now(self) -> float:
        """Seconds since 1970, by the clock that dates the ends of episodes."""
        return self._clock.now()

    def holds(self, episode_id: str) -> bool:
        """Whether an ended episode of that id can be read."""
        entry = self._entries.get(episode_id)
        return entry is not None and entry.state is State.ENDED

    def entry(self, episode_id: str) -> Entry:
        """Raises NotFound."""
        entry = self._entries.get(episode_id)
        if entry is None:
            self._raise_unknown(episode_id)
        return entry

    def _raise_unknown(self, episode_id: str) -> NoReturn:
        if episode_id in self._tombstones:
            raise NotFound(f"episode {episode_id} was deleted ({self._tombstones[episode_id].reason})")
        raise NotFound(f"episode {episode_id[:160]!r} is not known; open it first")

    def read(self, entry: Entry) -> tuple[list[StepBatch], FramePlaces]:
        """The batches, and where the frames lie. Numbers and images are views of the files. Raises Corrupt."""
        schema, columns = entry.header.schema, entry.columns
        parts, segments, offsets, lengths = [], [], [], []
        for position in entry.positions:
            batch, base = self._log.read(position, columns)
            part = steps_from_arrow(batch, schema)
            parts.append(part)
            segments += [position.segment] * len(part.frame_row)
            offset, length = frame_places(batch, base)
            offsets.append(offset)
            lengths.append(length)
        return parts, FramePlaces(segments, np.concatenate(offsets), np.concatenate(lengths))

    def numbers(self, entry: Entry) -> tuple[StepBatch, FramePlaces]:
        """All its steps without images, and where the frames lie. Raises Corrupt."""
        parts, places = self.read(entry)
        return join_steps(parts, images=False), places

    def recall(self, entry: Entry, recovery: Recovery) -> tuple[StepBatch, FramePlaces]:
        """As `numbers`, from footers where there are some."""
        found = [(position.segment, recovery.numbers(position)) for position in entry.positions]
        known = [(segment, *numbers) for segment, numbers in found if numbers is not None]
        if len(known) < len(found):
            return self.numbers(entry)
        steps = join_steps([part for _, part, _ in known], images=False)
        segments = [segment for segment, part, _ in known for _ in part.frame_row]
        frames = np.concatenate([frames for _, _, frames in known])
        return steps, FramePlaces(segments, frames[:, :, 0], frames[:, :, 1].astype(np.int32))

    def hurt(self, positions: Collection[Position]) -> list[str]:
        """Ended episodes that had these records, which turned out to be damaged: they are served no more. What a record
        said of itself cannot be believed, so all episodes are looked at; damage is rare."""
        with self._lock:
            all_of_them = self._entries.values()
            entries = [entry for entry in all_of_them if not {*entry.positions, *entry.marks}.isdisjoint(positions)]
        ended = [entry.header.episode_id for entry in entries if entry.state is State.ENDED]
        for entry in entries:
            with entry.lock:
                if entry.state is State.OPEN:
                    self._closed_one()
                logger.error("episode %s: its bytes are damaged; it is not served", entry.header.episode_id)
                entry.state = State.DAMAGED
                self.roll.remove(entry.header.episode_id)
        return ended

    def parts(self, episode_id: str) -> tuple[EpisodeHeader, Outcome, list[StepBatch]]:
        """Raises NotFound for an episode that has not ended, Corrupt."""
        entry = self.entry(episode_id)
        self._refuse_damaged(entry)
        if entry.state is not State.ENDED:
            raise NotFound(f"episode {episode_id!r} is {entry.state}")
        return entry.header, entry.outcome, [self._verified(entry, number) for number in range(len(entry.positions))]

    def _verified(self, entry: Entry, number: int) -> StepBatch:
        """A batch that was compared with its digest. Raises Corrupt."""
        rows, _ = self._log.read(entry.positions[number], entry.columns)
        if digest(rows) != entry.digests[number]:
            raise Corrupt(f"episode {entry.header.episode_id}: batch {number} is not what was written")
        return steps_from_arrow(rows, entry.header.schema)
