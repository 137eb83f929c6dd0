"""Does experience arrive and come back? Appends an episode to every shard, samples it, reads it back, deletes it.

    python -m services.clients.smoke --settings /etc/ramp/settings.yaml

`helm test` runs it: addresses, token and certificates are those of the settings. Exit code 0 where every shard did it
all, else 1. The episode is in the table of imagined ones, which a run draws from only where its mixture asks for them,
and sampled through a view of its own, so that a run beside notices nothing.
"""

from __future__ import annotations

import argparse
import sys
import uuid
from pathlib import Path

import numpy as np

from ramp.errors import Corrupt, RampError
from ramp.replay.run_tables import TABLES
from ramp.types import Episode, EpisodeHeader, Outcome, SampleSpec, Source, StepBatch, StepSchema
from services.clients.credentials import own_credentials
from services.clients.replay import ReplayClient
from services.common.directory import parse
from services.common.settings import Settings, compose
from services.common.tokens import Role

PATIENCE_S = 60.0  # for a shard that is being restarted
STEPS, STRIDE, SIDE = 16, 4, 8
SCHEMA = StepSchema(
    cameras={"smoke": (SIDE, SIDE, 3)}, proprio_width=2, action_low=(-1.0, -1.0), action_high=(1.0, 1.0)
)


def main(arguments: list[str] | None = None) -> int:
    """0 where every shard kept its promises."""
    parser = argparse.ArgumentParser(prog="python -m services.clients.smoke", description=__doc__)
    parser.add_argument("--settings", type=Path, required=True, help="the run's settings.yaml, with replay.address")
    parser.add_argument("--patience", type=float, default=PATIENCE_S, help="seconds to wait for a shard")
    options = parser.parse_args(arguments)
    try:
        for line in check(compose("", options.settings, []), options.patience):
            print(line, flush=True)
    except RampError as error:
        print(f"smoke: {error}", file=sys.stderr)
        return 1
    return 0


def check(settings: Settings, patience_s: float) -> list[str]:
    """A line for each shard. Raises what the first one refuses, Unavailable, and Corrupt for another episode than the
    one that was appended."""
    shown = own_credentials(settings, Role.OPERATOR)
    said = []
    for name, shard in sorted(parse(settings.replay.address).items()):
        with ReplayClient(shard.address, name="smoke", credentials=shown) as client:
            client.wait_ready(patience_s)
            episode = f"smoke-{uuid.uuid4().hex}"
            round_trip(client, episode, settings.tasks[0], patience_s)
            said.append(f"{name} at {shard.address}: appended, sampled, read back and deleted {episode}")
    return said


def round_trip(client: ReplayClient, episode: str, task: str, patience_s: float) -> None:
    """Raises Corrupt, and what the server refuses."""
    sent = _steps()
    header = EpisodeHeader(
        episode_id=episode,
        task=task,
        instruction="a test of the installation",
        robot="smoke",
        seed=0,
        max_steps=STEPS,
        tables=(TABLES[-1],),
        schema=SCHEMA,
    )
    writer = client.open(header)
    writer.append(sent)
    writer.end(Outcome.FAILURE)
    writer.wait(patience_s)
    try:
        _sample(client, episode, patience_s)
        _compare(client.fetch(episode), sent)
    finally:
        client.delete([episode], "a test of the installation")


def _sample(client: ReplayClient, episode: str, patience_s: float) -> None:
    """From a table of this episode alone."""
    client.view(episode, [episode])
    try:
        stream = client.sample(SampleSpec(table=episode, batch_size=4, chunk=STRIDE), timeout=patience_s)
        drawn = set(next(stream).episode_id)
        stream.close()
    finally:
        client.drop_view(episode)
    if drawn != {episode}:
        raise Corrupt(f"sampled {', '.join(sorted(drawn))} from a table of {episode}")


def _compare(found: Episode, sent: StepBatch) -> None:
    for name in ("proprio", "action", "reward"):
        if not np.array_equal(getattr(found.steps, name), getattr(sent, name)):
            raise Corrupt(f"{found.header.episode_id}: {name} came back otherwise than it was appended")
    if not np.array_equal(found.steps.images["smoke"], sent.images["smoke"]):
        raise Corrupt(f"{found.header.episode_id}: a frame came back otherwise than it was appended")


def _steps() -> StepBatch:
    """Numbers that tell their step, and frames of noise."""
    step = np.arange(STEPS, dtype=np.int32)
    rows = step[::STRIDE]
    noise = np.random.default_rng(0).integers(0, 256, (len(rows), SIDE, SIDE, 3), np.uint8)
    return StepBatch(
        step=step,
        timestamp=step / 10.0,
        proprio=np.stack([step, -step], axis=1).astype(np.float32),
        action=np.stack([step / STEPS, -step / STEPS], axis=1).astype(np.float32),
        reward=np.full(STEPS, -1.0, np.float32),
        source=np.full(STEPS, Source.DREAM, np.uint8),
        trainable=np.ones(STEPS, bool),
        policy_version=np.zeros(STEPS, np.int32),
        frame_row=rows,
        images={"smoke": noise},
    )


if __name__ == "__main__":
    sys.exit(main())
