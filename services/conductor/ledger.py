"""What has happened so far, folded from the journal: the same whether a run goes on or is resumed."""

from __future__ import annotations

import math
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean

from ramp.types import EpisodeSummary, Kind, Outcome
from services.conductor import journal
from services.conductor.journal import TaskResult

RECENT = 20  # rollouts of a task that "recently" means


@dataclass(frozen=True, slots=True)
class Attempt:
    """What the schedule and the view want to know of one rollout."""

    success: bool
    alone: bool  # without a takeover
    human_share: float
    age: int  # versions behind the newest when it was handed in


@dataclass(frozen=True, slots=True)
class Stored:
    """What an episode in replay counts for."""

    purpose: str
    task: str
    steps: int
    frames: int


@dataclass
class Ledger:
    """The state of a run. Example: ledger = fold(journal.read(path))"""

    stage: str = journal.STAGES[0]
    episodes: dict[str, Stored] = field(default_factory=dict)  # by id: handed in or adopted, evaluations apart
    unconfirmed: dict[str, EpisodeSummary] = field(default_factory=dict)  # handed in, still in the actor's spool
    demos: Counter[str] = field(default_factory=Counter)  # by task
    rollouts: Counter[str] = field(default_factory=Counter)
    rollout_steps: int = 0
    rollout_frames: int = 0
    top_seed: dict[str, int] = field(default_factory=dict)  # purpose -> highest seed used
    recent: dict[str, deque[Attempt]] = field(default_factory=lambda: defaultdict(lambda: deque(maxlen=RECENT)))
    tried: dict[tuple[str, int], dict[tuple[str, int], EpisodeSummary]] = field(
        default_factory=lambda: defaultdict(dict)
    )  # (label, policy version) -> (task, seed) -> evaluation episode
    begun_at: dict[tuple[str, int], int] = field(default_factory=dict)  # (label, version) -> rollout steps at its begin
    evaluated: dict[tuple[str, int], journal.Evaluation] = field(default_factory=dict)
    versions: dict[str, list[journal.Version]] = field(default_factory=lambda: {kind.value: [] for kind in Kind})
    learner: journal.Learner | None = None
    peak_bytes: int = 0
    starts: int = 0
    actors: int = 0  # of the last start
    finished: bool = False

    def newest(self, kind: Kind) -> int:
        """Number of the newest known version; 0 where there is none."""
        return max((version.version for version in self.versions[kind.value]), default=0)

    def knows(self, kind: Kind, version: int) -> bool:
        return any(each.version == version for each in self.versions[kind.value])


def fold(events: Iterable[journal.Event]) -> Ledger:
    """The ledger after `events`."""
    ledger = Ledger()
    for event in events:
        apply(ledger, event)
    return ledger


def apply(ledger: Ledger, event: journal.Event) -> None:
    """Take one event into account."""
    match event:
        case journal.Episode():
            _episode(ledger, event)
        case journal.Adopted():
            _adopted(ledger, event)
        case journal.Vanished():
            _vanished(ledger, event.episode_id)
        case journal.Stage():
            ledger.stage = event.stage
        case journal.Version() if not ledger.knows(Kind(event.kind), event.version):
            ledger.versions[event.kind].append(event)
        case journal.Evaluation():
            ledger.evaluated[event.label, event.policy_version] = event
        case journal.Learner():
            ledger.learner = event
        case journal.Usage():
            ledger.peak_bytes = max(ledger.peak_bytes, event.peak_bytes)
        case journal.RunStarted():
            ledger.starts, ledger.finished = ledger.starts + 1, False
            ledger.actors = int(event.settings.get("actors", {}).get("count", 0))
        case journal.RunFinished():
            ledger.finished = event.reason == "done"


def result(episodes: Sequence[EpisodeSummary]) -> TaskResult:
    """Success and time to success of one task's evaluation episodes."""
    won = [episode for episode in episodes if episode.outcome is Outcome.SUCCESS]
    return TaskResult(
        episodes=len(episodes),
        successes=len(won),
        mean_steps=fmean(episode.steps for episode in won) if won else math.nan,
        mean_seconds=fmean(episode.extra.get("robot_s", math.nan) for episode in won) if won else math.nan,
    )


def by_task(tried: Mapping[tuple[str, int], EpisodeSummary], tasks: Sequence[str]) -> dict[str, list[EpisodeSummary]]:
    """Evaluation episodes by task, in the order of `tasks`."""
    return {task: [episode for (name, _), episode in tried.items() if name == task] for task in tasks}


def _episode(ledger: Ledger, event: journal.Episode) -> None:
    summary = event.summary
    if summary.purpose == "eval":
        key = (event.label, summary.policy_version)
        ledger.begun_at.setdefault(key, ledger.rollout_steps)
        ledger.tried[key][summary.task, summary.seed] = summary
        return
    if summary.purpose == "rollout":
        ledger.recent[summary.task].append(
            Attempt(
                success=summary.outcome is Outcome.SUCCESS,
                alone=summary.interventions == 0,
                human_share=summary.human_steps / max(summary.steps, 1),
                age=max(0, ledger.newest(Kind.POLICY) - summary.policy_version),
            )
        )
    _note_seed(ledger, summary.purpose, summary.seed)
    if not summary.extra.get("acknowledged", 1.0) and summary.episode_id not in ledger.episodes:
        ledger.unconfirmed[summary.episode_id] = summary  # counts once it is found in replay, and adopted
        return
    stored = Stored(summary.purpose, summary.task, summary.steps, summary.frames)
    _stored(ledger, summary.episode_id, summary.seed, stored)


def _adopted(ledger: Ledger, event: journal.Adopted) -> None:
    _stored(ledger, event.episode_id, event.seed, Stored(event.purpose, event.task, event.steps, event.frames))


def _stored(ledger: Ledger, episode_id: str, seed: int, stored: Stored) -> None:
    """Count an episode that replay holds, once."""
    if episode_id in ledger.episodes:
        return
    ledger.episodes[episode_id] = stored
    ledger.unconfirmed.pop(episode_id, None)
    _note_seed(ledger, stored.purpose, seed)
    _count(ledger, stored, 1)


def _vanished(ledger: Ledger, episode_id: str) -> None:
    """It counts no more; its seed is not used again, though."""
    if stored := ledger.episodes.pop(episode_id, None):
        _count(ledger, stored, -1)


def _count(ledger: Ledger, stored: Stored, sign: int) -> None:
    if stored.purpose == "demo":
        ledger.demos[stored.task] += sign
    else:
        ledger.rollouts[stored.task] += sign
        ledger.rollout_steps += sign * stored.steps
        ledger.rollout_frames += sign * stored.frames


def _note_seed(ledger: Ledger, purpose: str, seed: int) -> None:
    ledger.top_seed[purpose] = max(seed, ledger.top_seed.get(purpose, -1))
