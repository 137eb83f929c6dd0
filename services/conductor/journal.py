"""The journal: everything that happened in a run, as append-only JSON lines in `<run dir>/journal.jsonl`.

The conductor is its only writer. `--resume` reads it to know what is done, `ramp status` and the report read it to
show it. One line is one event:

    {"event": "<name>", "t": <unix seconds>, ...the fields of the event's class below...}

| event        | class       | written when                                                        | synced |
|--------------|-------------|---------------------------------------------------------------------|--------|
| run_started  | RunStarted  | a conductor begins, and again by each `--resume`                    | yes    |
| stage        | Stage       | the learner enters a stage, once per stage                          | yes    |
| episode      | Episode     | an actor handed back an episode (see there)                         | yes    |
| adopted      | Adopted     | an episode was found in replay that had not been acknowledged yet   | yes    |
| vanished     | Vanished    | replay lacks an episode that it had acknowledged                    | yes    |
| version      | Version     | a policy or world model appeared in the registry                    | yes    |
| learner      | Learner     | the learner reported, every few seconds                             | no     |
| replay       | Replay      | every few seconds                                                   | no     |
| evaluation   | Evaluation  | the last episode of an evaluation came in                           | yes    |
| process      | Process     | a process started, died, was restarted or stopped                   | yes    |
| usage        | Usage       | every few seconds                                                   | no     |
| run_finished | RunFinished | the conductor ends in order, finished or interrupted                | yes    |

Synced means: on disk before the conductor acts on it. A line that a crash tore is skipped by readers and cut off by
the next writer; unknown events and unknown fields are skipped, so an older reader can read a newer journal.
Wall-clock `t` has gaps where a run was down; durations within one process come from the events' own fields.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar

from ramp.types import EpisodeSummary, Outcome

STAGES = ("demos", "world", "policy", "joint", "done")
"""In the order in which a run passes them."""

LABELS = ("stage2", "interim", "final")
"""Evaluations: before the joint stage, at versions in between (fewer episodes), and of the last version."""


@dataclass(frozen=True, kw_only=True)
class Event:
    """Base of every line. `t` 0 means now, when it is written."""

    NAME: ClassVar[str] = ""
    SYNC: ClassVar[bool] = True

    t: float = 0.0


@dataclass(frozen=True, kw_only=True)
class RunStarted(Event):
    NAME: ClassVar[str] = "run_started"

    recipe: str
    settings: Mapping[str, Any]  # the whole tree, as in settings.yaml
    machine: Mapping[str, Any]  # host, cores, memory_bytes, platform, python, torch ...
    commit: str  # of the source tree; "" where that is unknown
    resumed: bool = False


@dataclass(frozen=True, kw_only=True)
class Stage(Event):
    NAME: ClassVar[str] = "stage"

    stage: str  # one of STAGES


@dataclass(frozen=True, kw_only=True)
class Episode(Event):
    """An actor handed back an episode. Replay has acknowledged all of it, except where `summary.extra["acknowledged"]`
    is 0: then it lies in the actor's spool on disk, and counts from its Adopted on."""

    NAME: ClassVar[str] = "episode"

    summary: EpisodeSummary
    actor: str
    label: str = ""  # one of LABELS for purpose "eval"


@dataclass(frozen=True, kw_only=True)
class Adopted(Event):
    """Replay holds an episode that nobody had vouched for: its actor or the conductor died before the report, or the
    report came while it still lay in a spool. An Episode of the same id may stand before or after it: it is the same
    episode, count it once. Without one, its timings and values died with the actor."""

    NAME: ClassVar[str] = "adopted"

    episode_id: str
    task: str
    seed: int
    purpose: str  # "demo" or "rollout"
    outcome: str
    steps: int
    frames: int
    human_steps: int
    policy_version: int


@dataclass(frozen=True, kw_only=True)
class Vanished(Event):
    """Replay has acknowledged an episode and does not hold it any more; it does not count, and is collected anew."""

    NAME: ClassVar[str] = "vanished"

    episode_id: str


@dataclass(frozen=True, kw_only=True)
class Version(Event):
    NAME: ClassVar[str] = "version"

    kind: str  # "policy" or "world"
    version: int
    stage: str = ""
    update: int = 0  # of its model, when it was published
    world_version: int = 0  # that a policy was trained with
    aliases: tuple[str, ...] = ()  # that pointed to it when it was seen


@dataclass(frozen=True, kw_only=True)
class Learner(Event):
    NAME: ClassVar[str] = "learner"
    SYNC: ClassVar[bool] = False

    stage: str
    update: int  # within the stage
    total: int  # updates of the stage; 0 where it is counted otherwise
    losses: Mapping[str, float]  # name -> mean since the last report
    updates_per_s: float
    wait_share: float  # of the time since the last report, spent waiting for data, in [0, 1]
    policy_version: int
    world_version: int
    spent_s: Mapping[str, float] = field(default_factory=dict)  # seconds since the last report, by what


@dataclass(frozen=True, kw_only=True)
class Table:
    """State of one replay table."""

    episodes: int
    steps: int
    items: int
    inserted: int  # items, since the table was made
    sampled: int
    insert_wait_s: float
    sample_wait_s: float
    labelled: float  # share of the items, in [0, 1]


@dataclass(frozen=True, kw_only=True)
class Replay(Event):
    NAME: ClassVar[str] = "replay"
    SYNC: ClassVar[bool] = False

    tables: Mapping[str, Table]
    disk_bytes: int
    annotation_version: int


@dataclass(frozen=True, kw_only=True)
class TaskResult:
    """One task in one evaluation."""

    episodes: int
    successes: int
    mean_steps: float  # of the successes, the time to success in steps; nan where there was none
    mean_seconds: float  # the same at the robot's control rate; nan where there was none


@dataclass(frozen=True, kw_only=True)
class Evaluation(Event):
    NAME: ClassVar[str] = "evaluation"

    label: str  # one of LABELS
    policy_version: int
    env_steps: int  # rollout steps that replay held when the evaluation began: the x axis of the success curve
    tasks: Mapping[str, TaskResult]


@dataclass(frozen=True, kw_only=True)
class Process(Event):
    NAME: ClassVar[str] = "process"

    name: str  # redis, replay, actor-0, learner ...
    what: str  # started, died, restarted, stopped
    pid: int = 0
    detail: str = ""


@dataclass(frozen=True, kw_only=True)
class Usage(Event):
    NAME: ClassVar[str] = "usage"
    SYNC: ClassVar[bool] = False

    memory_bytes: Mapping[str, int]  # role -> proportional (or resident, where that is unknown) memory of its processes
    total_bytes: int  # of the whole process tree
    peak_bytes: int  # highest total of this run so far


@dataclass(frozen=True, kw_only=True)
class RunFinished(Event):
    NAME: ClassVar[str] = "run_finished"

    reason: str  # "done", "interrupted" or "failed: <why>"
    seconds: float  # since this conductor started
    peak_bytes: int = 0


EVENTS: dict[str, type[Event]] = {
    cls.NAME: cls
    for cls in (
        RunStarted,
        Stage,
        Episode,
        Adopted,
        Vanished,
        Version,
        Learner,
        Replay,
        Evaluation,
        Process,
        Usage,
        RunFinished,
    )
}


class Journal:
    """The conductor's end of the journal.

    Example: with Journal(run_dir / "journal.jsonl") as journal: journal.write(Stage(stage="demos"))
    """

    def __init__(self, path: Path) -> None:
        """Open for appending; a torn last line is cut off first."""
        path.parent.mkdir(parents=True, exist_ok=True)
        _cut_torn_line(path)
        self._file = path.open("ab")

    def write(self, event: Event) -> Event:
        """Append one event and return it with its time; on return it is on disk if its class says so."""
        event = event if event.t else replace(event, t=time.time())
        self._file.write(encode(event).encode() + b"\n")
        self._file.flush()
        if event.SYNC:
            os.fsync(self._file.fileno())
        return event

    def close(self) -> None:
        """What does not fit on the disk was reported by `write`."""
        with contextlib.suppress(OSError):
            self._file.close()

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def read(path: Path) -> list[Event]:
    """All events of a journal, oldest first; empty where there is no file."""
    if not path.exists():
        return []
    with path.open("rb") as file:
        return list(_events(file))


def encode(event: Event) -> str:
    """One line without its end."""
    return json.dumps({"event": event.NAME, **plain(asdict(event))}, separators=(",", ":"), allow_nan=False)


def plain(value: Any) -> Any:
    """As JSON can say it: what is not a finite number becomes null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(name): plain(item) for name, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list | tuple) else value


def decode(line: str | bytes) -> Event | None:
    """The event of one line; None for a torn line, an unknown event, or one that lacks a field."""
    try:
        raw = json.loads(line)
        cls = EVENTS.get(raw.pop("event"))
        return None if cls is None else _build(cls, raw)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _events(lines: Iterable[bytes]) -> Iterable[Event]:
    for line in lines:
        event = decode(line) if line.endswith(b"\n") else None
        if event is not None:
            yield event


def _build(cls: type[Any], raw: Mapping[str, Any]) -> Any:
    names = {f.name for f in fields(cls)}
    return cls(**{name: _FIELD.get(name, _same)(value) for name, value in raw.items() if name in names})


def _same(value: Any) -> Any:
    return value


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _summary(raw: Mapping[str, Any]) -> EpisodeSummary:
    names = {f.name for f in fields(EpisodeSummary)}
    values = {name: value for name, value in raw.items() if name in names}
    values["outcome"] = Outcome(values["outcome"])
    values["values"] = tuple((int(step), float(remaining)) for step, remaining in values.get("values", ()))
    values["thoughts"] = tuple((int(step), str(text)) for step, text in values.get("thoughts", ()))
    return EpisodeSummary(**values)


# How nested fields come back from JSON, by name; a name means the same in every event, except `tasks` and `tables`,
# whose dataclasses are told apart by the name itself.
_FIELD: dict[str, Any] = {
    "summary": _summary,
    "aliases": tuple,
    "tables": lambda raw: {name: _build(Table, value) for name, value in raw.items()},
    "tasks": lambda raw: {name: _build(TaskResult, value) for name, value in raw.items()},
    "losses": lambda raw: {name: _number(value) for name, value in raw.items()},
    "mean_steps": lambda raw: _number(raw),
    "mean_seconds": lambda raw: _number(raw),
}


def _cut_torn_line(path: Path) -> None:
    """A crash can leave half a line; without this the next event would be glued to it and lost too."""
    if not path.exists():
        return
    data = path.read_bytes()
    end = data.rfind(b"\n") + 1
    if end < len(data):
        os.truncate(path, end)
