"""A value model without a world model: the vision-language one of RAMP's Table 1. Its settings need no torch."""

from typing import TYPE_CHECKING

from ramp.models.value.config import ValueConfig

if TYPE_CHECKING:
    from ramp.models.value.model import ValueModel

__all__ = ["ValueConfig", "ValueModel"]


def __getattr__(name: str) -> object:
    if name != "ValueModel":
        raise AttributeError(f"module {__name__} has no attribute {name}")
    from ramp.models.value.model import ValueModel

    return ValueModel
