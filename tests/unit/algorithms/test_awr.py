"""The weights of advantage-weighted regression, and what they do to the loss."""

from __future__ import annotations

import math

import pytest
import torch

from ramp.algorithms import AwrAlgorithm, BehaviourCloningAlgorithm
from ramp.algorithms.awr import advantage_weights
from tests.unit.algorithms.items import items
from tests.unit.models.samples import generator, policy


def test_weights_are_exponential_in_the_normalised_advantage() -> None:
    weight = advantage_weights(torch.tensor([1.0, -1.0]), temperature=1.0, clip=20.0)
    assert weight.tolist() == pytest.approx([math.e, 1 / math.e], rel=1e-4)
    halved = advantage_weights(torch.tensor([1.0, -1.0]), temperature=0.5, clip=20.0)
    assert halved.tolist() == pytest.approx([math.e**2, math.e**-2], rel=1e-4)


def test_scale_and_place_of_the_advantages_do_not_matter() -> None:
    advantage = torch.randn(32, generator=generator())
    one, two = (advantage_weights(a, 1.0, 20.0) for a in (advantage, 7.0 * advantage - 3.0))
    assert torch.allclose(one, two, rtol=1e-3)


def test_weights_are_clipped() -> None:
    advantage = torch.zeros(1000)
    advantage[0] = 1.0
    assert float(advantage_weights(advantage, 1.0, 20.0).max()) == 20.0


@pytest.mark.parametrize("advantage", [[math.nan, math.nan], [0.3, math.nan], [0.5, 0.5]])
def test_where_nothing_can_be_compared_every_weight_is_one(advantage: list[float]) -> None:
    assert advantage_weights(torch.tensor(advantage), 1.0, 20.0).tolist() == [1.0, 1.0]


def test_equal_advantages_make_it_cloning() -> None:
    model, batch = policy(), items() | {"advantage": torch.full((4,), 0.2)}
    losses = [a.loss(model, batch, generator=generator(2))[0] for a in (AwrAlgorithm(), BehaviourCloningAlgorithm())]
    assert torch.equal(*losses)


def test_a_heavier_sample_pulls_the_gradient_its_way() -> None:
    """With one sample of weight w and one of weight 1, the loss is (w L0 + L1) / 2."""
    model, batch = policy(), items(2)
    each = []
    for row in (0, 1):
        chosen = batch | {"chunk_valid": batch["chunk_valid"].clone()}
        chosen["chunk_valid"][1 - row] = False
        each.append(float(BehaviourCloningAlgorithm().loss(model, chosen, generator=generator(2))[0].detach()))
    batch["chunk_valid"][:] = True
    batch["advantage"] = torch.tensor([2.0, 1.0])
    loss = float(AwrAlgorithm().loss(model, batch, generator=generator(2))[0].detach())
    assert loss == pytest.approx((math.e * each[0] + each[1] / math.e) / 2, rel=1e-3)
