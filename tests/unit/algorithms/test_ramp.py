"""The policy's losses."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from ramp.algorithms import RampAlgorithm
from ramp.algorithms.ramp import draw_mask
from ramp.errors import Invalid
from ramp.models.vla import VLAPolicy
from tests.unit.algorithms.items import items
from tests.unit.models.samples import POLICY, SCHEMA, generator, policy, world


def test_steps_that_are_not_valid_take_no_loss() -> None:
    model, batch = policy(), items()
    batch["chunk_valid"][:, 2:] = False
    other = dict(batch, action=batch["action"].clone())
    other["action"][:, 2:] = 0.0
    model.expert.forward = lambda x, *_: torch.zeros_like(x)  # type: ignore[method-assign]
    one, two = (RampAlgorithm().loss(model, b, generator=generator(3))[0] for b in (batch, other))
    assert torch.equal(one, two)


def test_a_batch_without_a_valid_step_has_no_loss_and_no_nan() -> None:
    batch = items()
    batch["chunk_valid"][:] = False
    loss, _ = RampAlgorithm().loss(policy(), batch, generator=generator())
    assert float(loss.detach()) == 0.0


@pytest.mark.parametrize("probability", [0.0, 0.2, 1.0])
def test_masks_are_drawn_as_often_as_they_should(probability: float) -> None:
    share = float(draw_mask(20_000, probability, generator()).float().mean())
    assert share == pytest.approx(probability, abs=0.015)


def test_chunks_of_another_length_are_refused() -> None:
    batch = items()
    batch["action"] = batch["action"][:, :2]
    with pytest.raises(Invalid, match="action"):
        RampAlgorithm().loss(policy(), batch, generator=generator())


def test_a_tiny_batch_is_learnt_and_acted_out() -> None:
    torch.manual_seed(0)
    config = replace(POLICY, shift=0, ode_steps=6)
    model, batch = VLAPolicy(config, SCHEMA, world().token_shape), items(4)
    batch["indicator"] = torch.ones(4, dtype=torch.int64)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for update in range(500):
        loss, _ = RampAlgorithm().loss(model, batch, generator=generator(update))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    acted = model.act(batch, batch["world_tokens"], batch["indicator"], generator=generator(7))
    assert float((acted - batch["action"]).abs().mean()) < 0.2
