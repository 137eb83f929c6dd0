"""The vision-language-action policy."""

from ramp.models.vla.config import PolicyConfig
from ramp.models.vla.policy import VLAPolicy

__all__ = ["PolicyConfig", "VLAPolicy"]
