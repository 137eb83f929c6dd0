"""What an actor may be asked for."""

from __future__ import annotations

import pytest

from ramp.errors import Invalid
from ramp.types import NEGATIVE, UNLABELLED
from services.actor.assignment import Assignment


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"purpose": "walk"}, "purpose"),
        ({"purpose": "eval", "tables": ("online",)}, "tables"),
        ({"purpose": "rollout"}, "tables"),
        ({"purpose": "rollout", "tables": ("online",), "efficient": True}, "efficient"),
        ({"purpose": "rollout", "tables": ("online",), "indicator": NEGATIVE}, "indicator"),
        ({"purpose": "rollout", "tables": ("online",), "aloud": True}, "aloud"),
        ({"purpose": "eval", "indicator": 2}, "indicator"),
        ({"purpose": "eval", "seed": -1}, "seed"),
    ],
)
def test_what_makes_no_sense_is_refused(fields: dict[str, object], field: str) -> None:
    with pytest.raises(Invalid, match=field):
        Assignment(**{"task": "reach-v3", "seed": 0} | fields)  # type: ignore[arg-type]


def test_an_evaluation_may_hide_the_indicator() -> None:
    assert Assignment(purpose="eval", task="reach-v3", seed=0, indicator=UNLABELLED).indicator == UNLABELLED
