"""Settings of the policy's full size: PaliGemma-2 3B and an action expert beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ramp.models.vla.config import PolicyConfig


@dataclass(frozen=True, kw_only=True)
class PaliGemmaConfig(PolicyConfig):
    """The defaults are the published numbers of PaliGemma-2 3B at 224 pixels and of GigaBrain-0's action expert."""

    architecture: ClassVar[str] = "paligemma2"

    weights: str = ""  # folder of PaliGemma-2 3B's published weights with its tokenizer.json; empty: random weights
    chunk: int = 50  # H: actions per decision
    ode_steps: int = 10  # Euler steps at inference
    width: int = 1024  # of the action expert's tokens
    ffn: int = 2048  # width inside its feed-forward layers
    layers: int = 26  # of the language model, and of the expert, which reads it layer by layer
    heads: int = 8  # of the attention of both
    key_value_heads: int = 4  # of both; each serves heads / key_value_heads queries
    head_width: int = 256  # of each head, of both
    language_width: int = 2304  # of the language model's tokens
    language_ffn: int = 9216  # width inside its feed-forward layers
    vocabulary: int = 257_216  # its words, and image locations and padding behind them
    channels: int = 1152  # of the vision tower's patches
    vision_ffn: int = 4304  # width inside the vision tower's feed-forward layers
    vision_layers: int = 27  # of the vision tower
    vision_heads: int = 16  # of its attention
    prompt: int = 48  # tokens of an instruction at most, with its beginning and end
    image_side: int = 224  # pixels that every frame is scaled to
    image_patch: int = 14  # pixels per patch and side
    embodiments: int = 1  # robots that have projections of their own for state and action
    depth_dropout: float = 0.5  # probability of hiding an observation's depth in training (GigaBrain-0's code)
    slots: int = 32  # numbers reserved for the state and for the action of whatever robot
    insulation: float = 1.0  # alpha: share of the flow loss's gradient that reaches the backbone; 0 hard, 1 none
    checkpointing: bool = True  # recompute each layer in the backward pass instead of keeping its activations
