"""The vision-language-action policy. Its settings can be read without torch, which comes with the first model."""

from typing import TYPE_CHECKING

from ramp.models.vla.config import PolicyConfig, Told

if TYPE_CHECKING:
    from ramp.models.vla.policy import VLAPolicy

__all__ = ["PolicyConfig", "Told", "VLAPolicy"]


def __getattr__(name: str) -> object:
    if name != "VLAPolicy":
        raise AttributeError(f"module {__name__} has no attribute {name}")
    from ramp.models.vla.policy import VLAPolicy

    return VLAPolicy
