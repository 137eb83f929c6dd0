"""Where the time of a run went: its stages, its actors, its learner."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise

from ramp.types import EpisodeSummary
from services.conductor import journal
from services.conductor.journal import Event
from services.conductor.report.elapsed import Elapsed
from services.conductor.report.findings import Share, TimeSpent

LONGEST_REPORT_GAP_S = 60.0
"""A longer silence of the learner was a death or a restart, not work between two reports."""


WAIT = "wait"
LEARNER_WORDS = {
    "update": "updates",
    "sync": "exchanging gradients",
    WAIT: "waiting for data",
    "relabel": "relabelling",
    "publish": "publishing",
    "checkpoint": "checkpoints",
}


def time_spent(events: Sequence[Event], elapsed: Elapsed) -> TimeSpent:
    summaries = [event.summary for event in events if isinstance(event, journal.Episode)]
    learner = learner_time([event for event in events if isinstance(event, journal.Learner)])
    waiting = next((share.seconds for share in learner if share.name == LEARNER_WORDS[WAIT]), 0.0)
    busy = sum(share.seconds for share in learner)
    inside = sum(summary.seconds for summary in summaries)
    return TimeSpent(
        stages=stage_time(events, elapsed),
        actors=actor_time(summaries, _actor_seconds(events, elapsed)),
        learner=learner,
        learner_wait_share=waiting / busy if busy else None,
        actor_steps_per_s=sum(summary.steps for summary in summaries) / inside if inside else None,
    )


def stage_time(events: Sequence[Event], elapsed: Elapsed) -> tuple[Share, ...]:
    """Wall time by stage. Before the first stage and after the last: starting, final evaluation."""
    entered = [("starting", 0.0)]
    entered += [(event.stage, elapsed.at(event.t)) for event in events if isinstance(event, journal.Stage)]
    ends = [seconds for _, seconds in entered[1:]] + [elapsed.total]
    shares: dict[str, float] = defaultdict(float)
    for (stage, start), end in zip(entered, ends, strict=True):
        shares["final evaluation" if stage == "done" else stage] += max(0.0, end - start)
    return _shares(shares)


def actor_time(summaries: Sequence[EpisodeSummary], available: float) -> tuple[Share, ...]:
    """Seconds of all actors by what they did; `available` is how long they existed, all together."""
    parts = {
        "physics": sum(summary.sim_seconds for summary in summaries),
        "rendering": sum(summary.render_seconds for summary in summaries),
        "inference": sum(summary.inference_seconds for summary in summaries),
        "replay": sum(summary.replay_seconds for summary in summaries),
    }
    for summary in summaries:
        for name, value in summary.extra.items():
            if name.endswith("_seconds"):
                what = name.removesuffix("_seconds")
                parts[what] = parts.get(what, 0.0) + value
    inside = sum(summary.seconds for summary in summaries)
    parts["other"] = max(0.0, inside - sum(parts.values()))
    parts["between episodes"] = max(0.0, available - inside) if summaries else 0.0
    return _shares(parts)


def learner_time(reports: Sequence[journal.Learner]) -> tuple[Share, ...]:
    """Seconds by what the learner did in the stages in which it trains; what it does not name is "other"."""
    parts: dict[str, float] = defaultdict(float)
    for before, after in pairwise(reports):
        gap = after.t - before.t
        if not (0 < gap <= LONGEST_REPORT_GAP_S and after.total and before.stage == after.stage):
            continue
        spent = dict(after.spent_s) or {"update": gap * (1 - after.wait_share), WAIT: gap * after.wait_share}
        for name, seconds in spent.items():
            parts[LEARNER_WORDS.get(name, name)] += seconds
        parts["other"] += max(0.0, gap - sum(spent.values()))
    order = [*LEARNER_WORDS.values(), *sorted(parts.keys() - LEARNER_WORDS.values())]
    return _shares({name: parts[name] for name in order})


def _actor_seconds(events: Sequence[Event], elapsed: Elapsed) -> float:
    """From each actor's first hand-in's episode to its last hand-in, all actors together."""
    spans: dict[str, tuple[float, float]] = {}
    for event in events:
        if isinstance(event, journal.Episode) and event.actor:
            end = elapsed.at(event.t)
            first, _ = spans.get(event.actor, (max(0.0, end - event.summary.seconds), end))
            spans[event.actor] = (first, end)
    return sum(end - first for first, end in spans.values())


def _shares(parts: dict[str, float]) -> tuple[Share, ...]:
    return tuple(Share(name=name, seconds=seconds) for name, seconds in parts.items() if seconds > 0)
