"""The vision-language-action policy. Its settings can be read without torch, which comes with the first model."""

import importlib
from typing import TYPE_CHECKING

from ramp.models.vla.config import PolicyConfig, Told
from ramp.models.vla.paligemma_config import PaliGemmaConfig

if TYPE_CHECKING:
    from ramp.models.vla.paligemma import PaliGemmaPolicy
    from ramp.models.vla.policy import VLAPolicy

__all__ = ["PaliGemmaConfig", "PaliGemmaPolicy", "PolicyConfig", "Told", "VLAPolicy"]

_HOMES = {"PaliGemmaPolicy": "paligemma", "VLAPolicy": "policy"}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__} has no attribute {name}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
