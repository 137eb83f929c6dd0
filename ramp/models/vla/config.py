"""Settings of the policy's small size."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """What a policy was told in training besides the observation, and must be told again wherever it acts."""

    indicator: bool = True  # I: whether the action is better than expected
    world: bool = True  # z: the world model's tokens


@dataclass(frozen=True, kw_only=True)
class PolicyConfig:
    """Flow-matching policy with action chunks, conditioned on world-model tokens and the indicator."""

    chunk: int = 8  # H: actions per decision
    ode_steps: int = 4  # Euler steps at inference
    width: int = 128  # of the policy's tokens
    layers: int = 3  # of its transformer
    heads: int = 4  # of its attention; they divide the width
    channels: int = 32  # of the image encoder, which turns each into one key point per view
    mask_indicator: float = 0.2  # probability of hiding I in training (RAMP stage 4)
    mask_world: float = 0.2  # probability of hiding the world-model tokens, drawn independently
    shift: int = 2  # pixels by which training frames are moved at random
    start_scale: float = 1.0  # of the noise that inference starts from; below 1 the chunk is closer to the mode
    guidance: float = 1.0  # beta of classifier-free guidance towards I = 1 (RECAP: 1.5 to 2.5 is moderate); 1: none
