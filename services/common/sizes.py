"""Which numbers a full-size model may have, and what a run with one has to keep to."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ramp.data.thoughts import SPECIAL
from ramp.errors import Invalid
from ramp.models.vla.paligemma_config import PaliGemmaConfig
from ramp.models.world.wan_config import WanConfig

if TYPE_CHECKING:
    from services.common.settings import Settings

INFINITE = float("inf")

FULL_RANGES: Mapping[str, tuple[float, float]] = {
    "policy.ffn": (1, INFINITE),
    "policy.key_value_heads": (1, INFINITE),
    "policy.head_width": (2, INFINITE),
    "policy.language_width": (1, INFINITE),
    "policy.language_ffn": (1, INFINITE),
    "policy.vocabulary": (513, INFINITE),  # words.BUCKETS, and the mark of a picture behind them
    "policy.channels": (1, INFINITE),
    "policy.vision_ffn": (1, INFINITE),
    "policy.vision_layers": (1, INFINITE),
    "policy.vision_heads": (1, INFINITE),
    "policy.prompt": (16, INFINITE),  # words.LONGEST; not imported, as torch comes with it
    "policy.image_side": (1, INFINITE),
    "policy.image_patch": (1, INFINITE),
    "policy.embodiments": (1, INFINITE),
    "policy.slots": (1, INFINITE),
    "world.ffn": (1, INFINITE),
    "world.text_width": (1, INFINITE),
    "world.latent_patch": (1, INFINITE),
    "world.encoder_width": (1, INFINITE),
    "world.decoder_width": (1, INFINITE),
}


def check_sizes(settings: Settings) -> None:
    """Invalid where a full-size model could not be built, or would ask for what a run does not give."""
    if isinstance(settings.policy, PaliGemmaConfig):
        _check_folder("policy.weights", settings.policy.weights)
        _check_policy(settings.policy)
    if isinstance(settings.world, WanConfig):
        _check_folder("world.weights", settings.world.weights)
        _check_world(settings)


def _check_policy(policy: PaliGemmaConfig) -> None:
    for field, whole, parts in (
        ("heads", policy.heads, policy.key_value_heads),
        ("head_width", policy.head_width, 2),
        ("width", policy.width, 2),
        ("channels", policy.channels, policy.vision_heads),
        ("image_side", policy.image_side, policy.image_patch),
    ):
        if whole % parts:
            raise Invalid(f"policy.{field}", whole, f"use a multiple of {parts}")
    if policy.embodiments > 1:
        raise Invalid("policy.embodiments", policy.embodiments, "keep 1: a run's batches do not say which robot it was")
    taken = SPECIAL + policy.text_vocabulary + policy.action_vocabulary
    if policy.thought and taken >= policy.vocabulary - 1:
        remedy = f"give more than {taken + 1}: thoughts are written in the language model's last ids"
        raise Invalid("policy.vocabulary", policy.vocabulary, remedy)


def _check_world(settings: Settings) -> None:
    channels, updates = settings.world.latent_channels, settings.stages.tokenizer_updates
    if channels != WanConfig.latent_channels:
        raise Invalid("world.latent_channels", channels, f"keep {WanConfig.latent_channels}, which Wan2.2 has")
    if updates:
        raise Invalid("stages.tokenizer_updates", updates, "give 0: Wan2.2's tokenizer stays as it was published")


def _check_folder(field: str, folder: str) -> None:
    if folder and not Path(folder).is_absolute():
        raise Invalid(field, folder, "give an absolute path: the learner does not run where you are")
