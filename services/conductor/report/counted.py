"""Every episode once, whether its actor handed it in or it was found in replay after the actor's death."""

from __future__ import annotations

from collections.abc import Sequence

from ramp.types import EpisodeSummary, Outcome
from services.conductor import journal
from services.conductor.journal import Event


def counted(events: Sequence[Event]) -> list[Event]:
    """The events with each adopted episode as an Episode without timings, values and actor, unless it was handed in."""
    reported = {event.summary.episode_id for event in events if isinstance(event, journal.Episode)}
    seen: set[str] = set()
    kept: list[Event] = []
    for event in events:
        if isinstance(event, journal.Adopted):
            if event.episode_id in reported:
                continue
            event = journal.Episode(t=event.t, summary=_summary(event), actor="")
        if isinstance(event, journal.Episode):
            if event.summary.episode_id in seen:
                continue
            seen.add(event.summary.episode_id)
        kept.append(event)
    return kept


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
