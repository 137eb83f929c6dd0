"""Made-up experience whose every number says where it belongs."""

from __future__ import annotations

import numpy as np

from ramp.data.images import encode_steps
from ramp.types import EpisodeHeader, Outcome, Source, StepBatch, StepSchema

CAMERAS = {"wrist": (4, 6, 3), "top": (8, 8, 3)}
SCHEMA = StepSchema(cameras=CAMERAS, proprio_width=3, action_low=(-1.0, -0.5), action_high=(1.0, 0.5))
STRIDE = 4


def make_header(
    episode_id: str = "e0",
    *,
    task: str = "count-up",
    tables: tuple[str, ...] = ("demos",),
    schema: StepSchema = SCHEMA,
    max_steps: int = 200,
    seed: int = 7,
    thoughts: bool = False,
) -> EpisodeHeader:
    return EpisodeHeader(
        episode_id=episode_id,
        task=task,
        instruction=f"do {task}",
        robot="arm",
        seed=seed,
        max_steps=max_steps,
        tables=tables,
        schema=schema,
        thoughts=thoughts,
    )


def make_steps(
    begin: int = 0,
    end: int = 12,
    *,
    schema: StepSchema = SCHEMA,
    source: Source = Source.POLICY,
    stride: int = STRIDE,
    mark: int = 0,
    thoughts: bool = False,
) -> StepBatch:
    """Steps `begin` to `end`, frames as the schema stores them.

    proprio[:, 0] and the first pixel are the step, proprio[:, 1] is `mark`.

    With thoughts the text tells the mark and every eighth step, and the hand is at (step / 100, mark / 10)."""
    step = np.arange(begin, end, dtype=np.int32)
    rows = np.flatnonzero(step % stride == 0).astype(np.int32)
    proprio = np.zeros((len(step), schema.proprio_width), np.float32)
    proprio[:, 0], proprio[:, 1] = step, mark
    action = np.zeros((len(step), schema.action_width), np.float32)
    action[:, 0] = step / 1000
    steps = StepBatch(
        step=step,
        timestamp=step / 10.0,
        proprio=proprio,
        action=action,
        reward=np.full(len(step), -1, np.float32),
        source=np.full(len(step), source, np.uint8),
        trainable=np.ones(len(step), bool),
        policy_version=np.full(len(step), 3, np.int32),
        frame_row=rows,
        images={camera: _frames(step[rows], shape, mark) for camera, shape in schema.cameras.items()},
        subgoal=np.array([subgoal(each, mark) for each in step], dtype=object) if thoughts else None,
        hand=np.stack([step / 100, np.full(len(step), mark / 10)], axis=1).astype(np.float32) if thoughts else None,
    )
    return encode_steps(steps, schema)


def subgoal(step: int, mark: int) -> str:
    return f"größe {mark}, part {step // 8}"


def _frames(step: np.ndarray, shape: tuple[int, int, int], mark: int) -> np.ndarray:
    frames = np.full((len(step), *shape), mark % 251, np.uint8)
    frames[:, 0, 0, 0] = step % 256
    return frames


def frame_steps(length: int, stride: int = STRIDE) -> np.ndarray:
    return np.arange(0, length, stride, dtype=np.int32)


def store_episode(
    replay: object, episode_id: str = "e0", *, length: int = 24, outcome: Outcome = Outcome.SUCCESS, **header: object
) -> None:
    """Open, append in two batches and end, through anything that has ramp.interfaces.Replay's `open`."""
    known = make_header(episode_id, **header)  # type: ignore[arg-type]
    writer = replay.open(known)  # type: ignore[attr-defined]
    middle = length // 2
    for begin, end in ((0, middle), (middle, length)):
        writer.append(make_steps(begin, end, schema=known.schema, mark=known.seed, thoughts=known.thoughts))
    writer.end(outcome)
