"""The nouns: one definition each, used from the robot to the loss.

Shapes in the docstrings use one legend for the whole project:

    B batch     T steps of an episode     F frames (steps that carry images)
    H steps of an action chunk     K world-model horizons     P proprioception width     A action width
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum, StrEnum

import numpy as np


class Source(IntEnum):
    """Who chose the executed action of a step."""

    POLICY = 0
    HUMAN = 1  # an intervention: a person (or the scripted expert standing in for one) held the controls
    DEMO = 2
    DREAM = 3  # a world model's imagination


class Outcome(StrEnum):
    SUCCESS = "success"
    FAILURE = "failure"


class Kind(StrEnum):
    """What a registered version is a version of."""

    POLICY = "policy"
    WORLD = "world"


class Order(StrEnum):
    """How a table's items are drawn."""

    UNIFORM = "uniform"  # each as likely as any other
    PRIORITIZED = "prioritized"  # in proportion to their priorities
    STRATIFIED = "stratified"  # first a task, each as likely, then one of its items
    FIFO = "fifo"  # the oldest ones, each once; a queue where items are drawn a bounded number of times
    LIFO = "lifo"  # the newest ones, each once


class Encoding(StrEnum):
    """How the frames of a camera travel and rest."""

    RAW = "raw"  # pixels, row by row
    JPEG = "jpeg"  # a tenth of the bytes or less; pixels come back changed a little
    PNG = "png"  # pixels come back as they were, which saves less


POSITIVE, NEGATIVE, UNLABELLED = 1, 0, -1
"""Values of an indicator. Where no annotation exists it is UNLABELLED: the policy trains such a step with it masked."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Observation:
    """What a policy sees at one decision; never the simulator's object state.

    Example: Observation(images={"top": zeros((64, 64, 3), uint8)}, proprio=zeros(4, float32),
                         instruction="open the drawer")
    """

    images: Mapping[str, np.ndarray]  # camera -> uint8 [height, width, 3], RGB, upright; a fourth channel is depth
    proprio: np.ndarray  # float32 [P], robot units
    instruction: str


@dataclass(frozen=True, kw_only=True, slots=True)
class EnvStep:
    """What an environment answers to one action."""

    proprio: np.ndarray  # float32 [P], after the action
    success: bool
    truncated: bool  # the time limit was reached


@dataclass(frozen=True, kw_only=True, slots=True)
class StepSchema:
    """Names, widths and bounds that every step of a table agrees to; checked when steps are appended.

    Policies and environments see pixels, whatever `encodings` says: it is about storage and the wire alone.

    Example: StepSchema(cameras={"top": (64, 64, 3)}, proprio_width=4, action_low=(-1.0,) * 4, action_high=(1.0,) * 4)
    """

    cameras: Mapping[str, tuple[int, int, int]]  # camera -> (height, width, channels), uint8; 3: RGB, 4: depth as well
    proprio_width: int
    action_low: tuple[float, ...]  # [A], inclusive
    action_high: tuple[float, ...]  # [A], inclusive
    encodings: Mapping[str, Encoding] = field(default_factory=dict)  # of cameras whose frames are not stored raw

    @property
    def action_width(self) -> int:
        return len(self.action_low)

    def encoding(self, camera: str) -> Encoding:
        return self.encodings.get(camera, Encoding.RAW)

    def encoded(self, encoding: Encoding) -> StepSchema:
        """The same steps with all cameras' frames stored so."""
        encodings = {} if encoding is Encoding.RAW else dict.fromkeys(self.cameras, encoding)
        return replace(self, encodings=encodings)


@dataclass(frozen=True, kw_only=True, slots=True)
class EpisodeHeader:
    """What is known of an episode before its first step.

    `tables` names the replay tables that receive the episode once it has ended. `max_steps` is the task's
    time limit T_max, by which remaining time and rewards are normalised (RECAP).
    """

    episode_id: str  # unique for ever; a second use with other content is refused
    task: str
    instruction: str
    robot: str
    seed: int
    max_steps: int
    tables: tuple[str, ...]
    schema: StepSchema
    thoughts: bool = False  # whether its steps carry what a policy's thought is learnt from


@dataclass(frozen=True, kw_only=True, slots=True)
class StepBatch:
    """Consecutive steps of one episode, as columns. T here is the length of this batch.

    `step[t]` counts from 0 within the episode. Row t holds the observation *before* `action[t]` was executed.
    Images exist only at some steps: `frame_row` lists the rows (0..T-1 of this batch) that carry them.
    Of a camera that the schema encodes they travel and rest as pictures (ramp/data/images.py); who fetches an episode
    gets pixels.
    `subgoal` and `hand` are there, both of them, exactly where the episode's header says `thoughts`.
    """

    step: np.ndarray  # int32 [T], consecutive
    timestamp: np.ndarray  # float64 [T], seconds since the episode began, strictly increasing
    proprio: np.ndarray  # float32 [T, P]
    action: np.ndarray  # float32 [T, A], what the robot executed, not what was proposed
    reward: np.ndarray  # float32 [T], Eq. 5 of RAMP without the terminal term, in units of steps (-1 each)
    source: np.ndarray  # uint8 [T], Source
    trainable: np.ndarray  # bool [T], False where an intervention's boundary artefact was found
    policy_version: np.ndarray  # int32 [T], version that acted or would have acted; 0 where there was none
    frame_row: np.ndarray  # int32 [F], strictly increasing
    images: Mapping[str, np.ndarray]  # camera -> uint8 [F, height, width, channels], or object [F]: bytes of pictures
    subgoal: np.ndarray | None = None  # object [T] of str, what the step was about; "" where nobody knows
    hand: np.ndarray | None = None  # float32 [T, 2], the hand in a camera's picture (ramp/data/track.py); nan: unknown

    def __len__(self) -> int:
        return len(self.step)


@dataclass(frozen=True, kw_only=True, slots=True)
class Episode:
    """A whole episode: header, all its steps as one StepBatch, and how it ended."""

    header: EpisodeHeader
    steps: StepBatch
    outcome: Outcome


@dataclass(frozen=True, kw_only=True, slots=True)
class SampleSpec:
    """What a learner asks one table for. Items are windows that begin at a step with a frame."""

    table: str
    batch_size: int
    chunk: int  # H: actions per item
    horizons: tuple[int, ...] = ()  # steps ahead whose frames are wanted as well, e.g. (12, 24, 36, 48)
    order: Order = Order.UNIFORM
    track_stride: int = 0  # steps between the points of a track; 0: no labels of thought are wanted


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """Sampled items from the replay service, still in robot units. The learner never sees a step any other way.

    `future_*` rows beyond the end of the episode repeat its last frame and have `future_valid` False.
    `chunk_valid[b, h]` is False beyond the end, at untrainable steps, and from the first change of who acts on
    (an action chunk never spans a boundary of an intervention).
    On its way to the learner a batch holds the pictures of encoded cameras, as object [B] and [B, K] of bytes; clients
    decode them before they hand it on.
    `subgoal`, `track` and `track_valid` are there where the request had a `track_stride`. A track ends with the episode
    and where the one who acts changes, as a chunk does.
    """

    episode_id: Sequence[str]  # [B]
    task: Sequence[str]  # [B]
    instruction: Sequence[str]  # [B]
    step: np.ndarray  # int32 [B]
    length: np.ndarray  # int32 [B], steps in the whole episode
    max_steps: np.ndarray  # int32 [B]
    success: np.ndarray  # bool [B]
    probability: np.ndarray  # float64 [B], with which the item was drawn
    policy_version: np.ndarray  # int32 [B]
    source: np.ndarray  # uint8 [B], of the first step
    images: Mapping[str, np.ndarray]  # camera -> uint8 [B, height, width, channels]
    proprio: np.ndarray  # float32 [B, P]
    action: np.ndarray  # float32 [B, H, A]
    chunk_valid: np.ndarray  # bool [B, H]
    future_images: Mapping[str, np.ndarray]  # camera -> uint8 [B, K, height, width, channels]
    future_proprio: np.ndarray  # float32 [B, K, P]
    future_valid: np.ndarray  # bool [B, K]
    value: np.ndarray  # float32 [B], v of Eq. 8 from the current annotation; nan where there is none
    advantage: np.ndarray  # float32 [B]; nan where there is none
    indicator: np.ndarray  # int8 [B], 1, 0 or UNLABELLED
    annotation_version: np.ndarray  # int32 [B], world-model version of the labels; 0 where there is none
    subgoal: Sequence[str] | None = None  # [B], "" where nobody knows
    track: np.ndarray | None = None  # float32 [B, 10, 2], where the hand will be in a camera's picture
    track_valid: np.ndarray | None = None  # bool [B, 10]


@dataclass(frozen=True, kw_only=True, slots=True)
class EpisodeSummary:
    """What a collector reports of an episode that replay has acknowledged, or of an evaluation, which is not stored."""

    episode_id: str
    task: str
    seed: int
    purpose: str  # "demo", "rollout" or "eval"
    outcome: Outcome
    steps: int
    frames: int
    human_steps: int
    interventions: int
    policy_version: int
    seconds: float
    sim_seconds: float  # spent in physics
    render_seconds: float
    inference_seconds: float
    replay_seconds: float  # waiting for the replay service
    values: tuple[tuple[int, float], ...] = ()  # (step, remaining time in [0, 1]) at each decision
    thoughts: tuple[tuple[int, str], ...] = ()  # (step, subgoal) at each decision of a policy that thinks aloud
    extra: Mapping[str, float] = field(default_factory=dict)
