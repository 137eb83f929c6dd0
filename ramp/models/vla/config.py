"""Settings of the policy's small size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """What a policy was told in training besides the observation, and must be told again wherever it acts."""

    indicator: bool = True  # I: whether the action is better than expected
    world: bool = True  # z: the world model's tokens


@dataclass(frozen=True, kw_only=True)
class PolicyConfig:
    """Flow-matching policy with action chunks, conditioned on world-model tokens and the indicator."""

    architecture: ClassVar[str] = "small"

    chunk: int = 8  # H: actions per decision
    ode_steps: int = 4  # Euler steps at inference
    width: int = 128  # of the policy's tokens
    layers: int = 3  # of its transformer
    heads: int = 4  # of its attention; they divide the width
    channels: int = 32  # of the image encoder, which turns each into one key point per view
    mask_indicator: float = 0.2  # probability of hiding I in training (RAMP stage 4)
    mask_world: float = 0.2  # probability of hiding the world-model tokens, drawn independently
    depth_dropout: float = 0.2  # probability of hiding an observation's depth in training, where there is any
    shift: int = 2  # pixels by which training frames are moved at random
    start_scale: float = 1.0  # of the noise that inference starts from; below 1 the chunk is closer to the mode
    guidance: float = 1.0  # beta of classifier-free guidance towards I = 1 (RECAP: 1.5 to 2.5 is moderate); 1: none
    thought: bool = False  # embodied chain of thought: heads for subgoal text, action tokens and the gripper's track
    thought_layers: int = 2  # of the decoder that writes text and action tokens
    thought_length: int = 64  # tokens of a thought at most; what is longer is cut
    text_vocabulary: int = 512  # ids for subgoal text: 256 bytes, the rest merges learnt from the data
    action_vocabulary: int = 512  # ids for action tokens: the quantiser's values, the rest merges learnt from the data
    track_stride: int = 4  # steps between the ten points of a track
    track_weight: float = 1.0  # lambda of Eq. 1, before the track's error (GigaBrain-0: 1)
    insulation: float = 1.0  # alpha: share of the flow loss's gradient that reaches the backbone; 0 hard, 1 none
