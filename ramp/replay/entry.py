"""One episode's place in the log: what has come of it, and where it lies."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from enum import StrEnum

import numpy as np
import pyarrow as pa

from ramp.replay.columns import step_columns
from ramp.replay.info import EpisodeInfo, Progress
from ramp.replay.notes import columns_to_note, shared
from ramp.replay.record import Position
from ramp.replay.retention import Held
from ramp.types import EpisodeHeader, Outcome, Source, StepBatch


class State(StrEnum):
    OPEN = "open"
    ENDED = "ended"
    ABORTED = "aborted"
    DAMAGED = "damaged"  # found while it was served: nothing of it can be believed until the next start
    CUT = "cut"  # ended, but of its last batches some are lost: whoever still has them may bring them again


@dataclass(slots=True)
class Entry:
    """One episode's place in the log, and how far it has come. `lock` serialises its appends."""

    header: EpisodeHeader
    state: State = State.OPEN
    positions: list[Position] = field(default_factory=list)  # of its batches
    marks: list[Position] = field(default_factory=list)  # of its OPEN and END
    digests: list[str] = field(default_factory=list)
    steps: int = 0
    frames: int = 0
    last_timestamp: float = -np.inf
    outcome: Outcome = Outcome.FAILURE
    order: int = 0  # of its END among all ENDs
    ended_at: float = 0.0  # seconds since 1970
    ticket: int = 0  # of its last record in the log
    lock: threading.Lock = field(default_factory=threading.Lock)
    columns_note: str = field(init=False)

    def __post_init__(self) -> None:
        self.header = replace(self.header, schema=shared(self.header.schema))
        self.columns_note = columns_to_note(self.header)

    @property
    def columns(self) -> pa.Schema:
        return step_columns(self.header.schema, thoughts=self.header.thoughts)

    def progress(self) -> Progress:
        return Progress(next_batch=len(self.positions), ended=self.state is State.ENDED)

    @property
    def size(self) -> int:
        """Bytes of its steps on disk."""
        return sum(position.length for position in self.positions)

    def held(self) -> Held:
        """As retention sees an ended episode."""
        return Held(
            episode_id=self.header.episode_id,
            task=self.header.task,
            outcome=self.outcome,
            tables=self.header.tables,
            ended_at=self.ended_at,
            size=self.size,
        )


@dataclass(frozen=True, slots=True)
class Written:
    """An answer that may be given once `ticket` is synced: an fsync for each would cost more than all the rest."""

    progress: Progress
    ticket: int
    new: bool = True  # False: it was written before and came again


@dataclass(frozen=True, slots=True)
class FramePlaces:
    """Where frames lie: `length[f, c]` bytes from `offset[f, c]` of `segment[f]` on; cameras in alphabetic order."""

    segment: list[str]  # [F]
    offset: np.ndarray  # int64 [F, cameras]
    length: np.ndarray  # int32 [F, cameras]


def describe(entry: Entry, steps: StepBatch) -> EpisodeInfo:
    return EpisodeInfo(
        episode_id=entry.header.episode_id,
        task=entry.header.task,
        outcome=entry.outcome,
        steps=entry.steps,
        frames=entry.frames,
        human_steps=int((steps.source == Source.HUMAN).sum()),
        policy_version=int(steps.policy_version[-1]),
        tables=entry.header.tables,
        seed=entry.header.seed,
        ended_at=entry.ended_at,
    )
