"""The value objective: its optimum is known in closed form."""

from __future__ import annotations

import math

import pytest
import torch

from ramp.algorithms import ValueAlgorithm
from ramp.algorithms.value import nearest_bin
from ramp.models.value import ValueConfig, ValueModel
from tests.unit.models.samples import SCHEMA, generator, tensors


def value_model(bins: int) -> ValueModel:
    torch.manual_seed(0)
    return ValueModel(ValueConfig(bins=bins, width=16, channels=4), SCHEMA)


def taught(bins: int, remaining: list[float], updates: int = 200) -> tuple[ValueModel, float]:
    """A head on observations that all look alike: it cannot tell them apart, whatever their labels are. Its loss."""
    model, items = value_model(bins), tensors(len(remaining))
    for name in ("images", "proprio", "words"):
        items[name] = items[name][:1].expand_as(items[name])
    items["remaining"] = torch.tensor(remaining)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    loss = torch.tensor(math.nan)
    for _ in range(updates):
        loss, _ = ValueAlgorithm().loss(model, items, generator=generator())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model, float(loss.detach())


def test_returns_fall_into_the_nearest_bin() -> None:
    assert nearest_bin(torch.tensor([0.0, 0.0024, 0.0026, 0.5, 1.0]), 201).tolist() == [0, 0, 1, 100, 200]


def test_a_bins_own_centre_is_the_label_that_falls_into_it() -> None:
    centres = value_model(201).centres
    assert nearest_bin(centres, 201).tolist() == list(range(201))


@pytest.mark.parametrize("bins", [1, 11])
def test_of_two_outcomes_of_one_state_the_value_is_the_mean(bins: int) -> None:
    model, _ = taught(bins, [0.2, 0.2, 0.2, 0.6])
    assert float(model.predict(tensors(1) | _alike())) == pytest.approx(0.3, abs=0.02)


def test_the_loss_of_two_outcomes_cannot_fall_below_their_entropy() -> None:
    _, loss = taught(11, [0.2, 0.2, 0.2, 0.6])
    assert loss == pytest.approx(-0.75 * math.log(0.75) - 0.25 * math.log(0.25), abs=0.02)


def test_the_scalar_loss_of_two_outcomes_is_their_variance() -> None:
    _, loss = taught(1, [0.2, 0.2, 0.2, 0.6])
    assert loss == pytest.approx(0.75 * 0.01 + 0.25 * 0.09, abs=2e-3)


def test_bins_know_how_outcomes_are_spread_where_a_scalar_knows_their_mean() -> None:
    model, _ = taught(11, [0.2, 0.2, 0.2, 0.6])
    spread = model(tensors(1) | _alike()).softmax(dim=-1)[0]
    assert (float(spread[2]), float(spread[6])) == (pytest.approx(0.75, abs=0.02), pytest.approx(0.25, abs=0.02))


def _alike() -> dict[str, torch.Tensor]:
    """The observation that `taught` has shown."""
    items = tensors(4)
    return {name: items[name][:1] for name in ("images", "proprio", "words")}
