"""One episode from its first observation to replay's acknowledgement. No Ray, no network, no environment variables.

consumes    an environment, a driver (expert, policy, policy with a person), an assignment
produces    steps in the replay service and a summary
waits for   physics, rendering, inference; at the end for the replay service (or its spool)
unblocked by  the environment's time limit: every episode ends
"""

from __future__ import annotations

import hashlib
import logging
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field

from ramp.advantage import BoundaryConfig, boundary_mask
from ramp.data.images import QUALITY, encode_steps
from ramp.envs import label
from ramp.errors import Timeout
from ramp.interfaces import Env, Replay
from ramp.types import Encoding, EpisodeHeader, EpisodeSummary, Outcome, StepBatch
from services.actor.assignment import Assignment
from services.actor.camera import Camera, Stopwatch
from services.actor.drivers import Driver
from services.clients.recording import Recording

logger = logging.getLogger(__name__)

ACKNOWLEDGED_WITHIN_S = 20.0  # a replay server that was killed is back by then; without it the actor goes on


@dataclass(frozen=True, kw_only=True, slots=True)
class Road:
    """Where an episode goes. `replay` None: nowhere, it is an evaluation and only frames for decisions are taken."""

    replay: Replay | None
    robot: str
    frame_stride: int  # every so many steps a frame is stored
    batch_steps: int = 50  # steps in one append
    encoding: Encoding = Encoding.RAW  # of stored frames
    jpeg_quality: int = QUALITY  # 1 to 100
    boundaries: BoundaryConfig = field(
        default_factory=BoundaryConfig
    )  # what is masked around a takeover and a hand-back


def seed_of(run_seed: int, assignment: Assignment) -> int:
    """Seed of an episode's noise: the same for every version, actor and retry, different for every start."""
    text = f"{run_seed}/{assignment.purpose}/{assignment.task}/{assignment.seed}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7], "big")


def new_episode_id(assignment: Assignment) -> str:
    """Unique for ever: a second try of the same assignment is another episode, as the first may be half stored."""
    return f"{assignment.purpose}-{assignment.task}-{assignment.seed}-{uuid.uuid4().hex}"


def collect(env: Env, driver: Driver, assignment: Assignment, road: Road, watch: Stopwatch) -> EpisodeSummary:
    """Run one episode and hand it to replay; returns when replay has it, or its spool where replay does not answer
    (then `extra["acknowledged"]` is 0). `watch` is the driver's stopwatch.

    Raises what env, driver and replay raise; then nothing of the episode is visible to learners.
    """
    camera, episode_id = Camera(env, watch), new_episode_id(assignment)
    recording, outcome = run_episode(env, driver, assignment.seed, road, camera, watch)
    stored = False
    if road.replay is not None:
        with watch("replay"):
            trainable = boundary_mask(recording.action, recording.source, road.boundaries)
            labels = label(env, recording.proprio)
            batches = recording.batches(trainable, driver.version, road.batch_steps, labels)
            header = _header(env, assignment, episode_id, road, thoughts=labels is not None)
            cells = (encode_steps(steps, header.schema, road.jpeg_quality) for steps in batches)
            stored = _store(road.replay, header, cells, outcome)
    seconds = dict(watch.seconds)
    return EpisodeSummary(
        episode_id=episode_id,
        task=assignment.task,
        seed=assignment.seed,
        purpose=assignment.purpose,
        outcome=outcome,
        steps=len(recording),
        frames=camera.rendered,
        human_steps=recording.human_steps,
        interventions=driver.takeovers,
        policy_version=driver.version,
        seconds=watch.total,
        sim_seconds=seconds.pop("sim", 0.0),
        render_seconds=seconds.pop("render", 0.0),
        inference_seconds=seconds.pop("inference", 0.0),
        replay_seconds=seconds.pop("replay", 0.0),
        values=tuple(driver.values),
        thoughts=tuple(driver.thoughts),
        extra={
            **{f"{what}_seconds": spent for what, spent in seconds.items()},
            "robot_s": len(recording) / env.control_hz,
            "acknowledged": float(stored),
        },
    )


def run_episode(
    env: Env, driver: Driver, seed: int, road: Road, camera: Camera, watch: Stopwatch
) -> tuple[Recording, Outcome]:
    """Act until success or the time limit. Frames are recorded every `frame_stride` steps, if anybody stores them."""
    recording = Recording(env.control_hz)
    with watch("sim"):
        now = env.reset(seed)
    for step in range(env.max_steps):
        wanted = road.replay is not None and step % road.frame_stride == 0
        frames = camera.at(step) if wanted else None
        choice = driver.choose(step, now.proprio, camera)
        recording.add(now.proprio, choice.action, choice.source, frames)
        with watch("sim"):
            now = env.step(choice.action)
        if now.success or now.truncated:
            break
    return recording, Outcome.SUCCESS if now.success else Outcome.FAILURE


def _store(replay: Replay, header: EpisodeHeader, batches: Iterable[StepBatch], outcome: Outcome) -> bool:
    """Whether replay has acknowledged the episode; otherwise it lies in the spool and follows once replay is back."""
    writer = replay.open(header)
    try:
        for steps in batches:
            writer.append(steps)
        writer.end(outcome)
    except BaseException:
        writer.abort()
        raise
    try:
        writer.wait(ACKNOWLEDGED_WITHIN_S)
    except Timeout as error:
        logger.warning("%s; it stays in the spool", error)
        return False
    return True


def _header(env: Env, assignment: Assignment, episode_id: str, road: Road, *, thoughts: bool) -> EpisodeHeader:
    return EpisodeHeader(
        episode_id=episode_id,
        task=assignment.task,
        instruction=env.instruction,
        robot=road.robot,
        seed=assignment.seed,
        max_steps=env.max_steps,
        tables=assignment.tables,
        schema=env.schema.encoded(road.encoding),
        thoughts=thoughts,
    )
