"""Every episode once that the books count: handed in and stored, or found in replay without a report."""

from __future__ import annotations

from collections.abc import Sequence, Set

from ramp.types import EpisodeSummary, Outcome
from services.conductor import journal
from services.conductor.journal import Event


def counted(events: Sequence[Event]) -> list[Event]:
    """The events with each adopted episode as an Episode without timings, values and actor, unless it was handed in.
    An episode that was handed in from a spool and never reached replay is left out, as is one that replay has lost."""
    lost = _lost(events)
    adopted = {event.episode_id for event in events if isinstance(event, journal.Adopted)}
    reported = {event.summary.episode_id for event in events if isinstance(event, journal.Episode)}
    seen: set[str] = set()
    kept: list[Event] = []
    for event in events:
        if isinstance(event, journal.Adopted):
            if event.episode_id in reported:
                continue
            event = journal.Episode(t=event.t, summary=_summary(event), actor="")
        if isinstance(event, journal.Episode):
            name = event.summary.episode_id
            if name in seen or name in lost or not _is_stored(event.summary, adopted):
                continue
            seen.add(name)
        kept.append(event)
    return kept


def _lost(events: Sequence[Event]) -> Set[str]:
    """What vanished from replay and has not been found there again."""
    lost: set[str] = set()
    for event in events:
        if isinstance(event, journal.Vanished):
            lost.add(event.episode_id)
        elif isinstance(event, journal.Adopted):
            lost.discard(event.episode_id)
    return lost


def _is_stored(summary: EpisodeSummary, adopted: Set[str]) -> bool:
    """Of evaluations nothing is stored: they count as they were handed in."""
    if summary.purpose == "eval" or summary.extra.get("acknowledged", 1.0):
        return True
    return summary.episode_id in adopted


def _summary(event: journal.Adopted) -> EpisodeSummary:
    return EpisodeSummary(
        episode_id=event.episode_id,
        task=event.task,
        seed=event.seed,
        purpose=event.purpose,
        outcome=Outcome(event.outcome),
        steps=event.steps,
        frames=event.frames,
        human_steps=event.human_steps,
        interventions=int(event.human_steps > 0),
        policy_version=event.policy_version,
        seconds=0.0,
        sim_seconds=0.0,
        render_seconds=0.0,
        inference_seconds=0.0,
        replay_seconds=0.0,
    )
