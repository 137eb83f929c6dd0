"""Remaining time read off the bins of a value head, or off its one number."""

from __future__ import annotations

import pytest
import torch

from ramp.models.value import ValueConfig, ValueModel
from tests.unit.models.samples import SCHEMA, tensors


def value_model(bins: int) -> ValueModel:
    torch.manual_seed(0)
    return ValueModel(ValueConfig(bins=bins, width=16, channels=4), SCHEMA)


def answering(model: ValueModel, answer: torch.Tensor) -> ValueModel:
    """Whatever it sees, its head says `answer`."""
    with torch.no_grad():
        model.head.weight.zero_()
        model.head.bias.copy_(answer)
    return model


def test_two_hundred_and_one_bins_lie_evenly_from_now_to_the_limit() -> None:
    centres = value_model(201).centres
    assert (len(centres), float(centres[0]), float(centres[-1])) == (201, 0.0, 1.0)
    assert float(centres[1]) == pytest.approx(1 / 200)


def test_the_value_is_the_expectation_over_the_bins() -> None:
    model = answering(value_model(5), torch.log(torch.tensor([0.5, 0.0, 0.0, 0.25, 0.25])))
    assert model.predict(tensors(3)).tolist() == pytest.approx([0.25 * 0.75 + 0.25] * 3)


@pytest.mark.parametrize(("says", "read"), [(0.3, 0.3), (-0.4, 0.0), (1.7, 1.0)])
def test_a_scalar_is_cut_to_its_range(says: float, read: float) -> None:
    model = answering(value_model(1), torch.tensor([says]))
    assert model.predict(tensors(2)).tolist() == pytest.approx([read] * 2)


@pytest.mark.parametrize("bins", [1, 201])
@pytest.mark.parametrize("sense", ["images", "proprio", "words"])
def test_every_sense_has_a_say(bins: int, sense: str) -> None:
    model, items = value_model(bins), tensors(2)
    changed = items | {sense: items[sense].flip(0)}
    assert not torch.allclose(model(items), model(changed))
