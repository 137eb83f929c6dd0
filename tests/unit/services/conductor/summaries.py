"""Episodes as actors report them, for the conductor's tests."""

from __future__ import annotations

from ramp.types import EpisodeSummary, Outcome


def summary(
    purpose: str,
    task: str,
    seed: int,
    *,
    success: bool = True,
    version: int = 0,
    steps: int = 10,
    interventions: int = 0,
    episode_id: str = "",
    acknowledged: bool = True,
) -> EpisodeSummary:
    """One episode; the id is made of purpose, task and seed unless it is given."""
    return EpisodeSummary(
        episode_id=episode_id or f"{purpose}-{task}-{seed}",
        task=task,
        seed=seed,
        purpose=purpose,
        outcome=Outcome.SUCCESS if success else Outcome.FAILURE,
        steps=steps,
        frames=steps // 2,
        human_steps=3 * interventions,
        interventions=interventions,
        policy_version=version,
        seconds=1.0,
        sim_seconds=0.4,
        render_seconds=0.3,
        inference_seconds=0.2,
        replay_seconds=0.1,
        values=((0, 0.9), (4, 0.5)),
        thoughts=((0, "reach"), (4, "move")),
        extra={"robot_s": steps / 10, "acknowledged": float(acknowledged)},
    )
