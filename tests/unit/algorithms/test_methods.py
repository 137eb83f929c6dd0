"""What the objectives have in common, and what each is told."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from ramp.advantage.config import AdvantageConfig
from ramp.algorithms import policy_algorithm
from ramp.errors import Invalid
from ramp.models.vla import VLAPolicy
from ramp.recipes.recipe import METHODS
from ramp.types import UNLABELLED
from tests.unit.algorithms.items import items
from tests.unit.models.samples import POLICY, SCHEMA, generator, policy, world


def loss_of(name: str, model: VLAPolicy, batch: dict[str, torch.Tensor]) -> float:
    loss, report = policy_algorithm(name, AdvantageConfig()).loss(model, batch, generator=generator(2))
    assert report["flow"] == pytest.approx(float(loss.detach()))
    return float(loss.detach())


@pytest.mark.parametrize("name", METHODS)
def test_what_an_objective_is_told_is_what_changes_its_loss(name: str) -> None:
    told = policy_algorithm(name, AdvantageConfig()).told
    model = VLAPolicy(replace(POLICY, mask_indicator=0.0, mask_world=0.0), SCHEMA, world().token_shape)
    torch.manual_seed(1)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    batch = items() | {"indicator": torch.ones(4, dtype=torch.int64)}
    loss = loss_of(name, model, batch)
    assert (loss_of(name, model, batch | {"indicator": torch.zeros(4, dtype=torch.int64)}) != loss) is told.indicator
    assert (loss_of(name, model, batch | {"world_tokens": batch["world_tokens"] + 1.0}) != loss) is told.world


def test_recap_is_ramp_with_the_world_model_hidden() -> None:
    """Eq. 4: RECAP's policy is RAMP's with z marginalised; with the same noise both losses are one number."""
    torch.manual_seed(1)
    ramp = VLAPolicy(replace(POLICY, mask_world=1.0), SCHEMA, world().token_shape)
    recap = VLAPolicy(POLICY, SCHEMA, world().token_shape)
    for parameter in ramp.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    recap.load_state_dict(ramp.state_dict())
    assert loss_of("ramp", ramp, items()) == pytest.approx(loss_of("recap", recap, items()), rel=1e-5)


def test_without_the_world_model_ramps_policy_is_the_mixture_of_those_with_it() -> None:
    """Eq. 4 with two futures of one observation, equally likely, each with its own action: with z the policy acts for
    that future, with z hidden for either. One set of weights, trained with z hidden half of the time."""
    torch.manual_seed(0)
    shape = world().token_shape
    config = replace(POLICY, shift=0, ode_steps=8, start_scale=1.0, mask_indicator=0.0, mask_world=0.5)
    model, rows = VLAPolicy(config, SCHEMA, shape), 32
    batch = {name: tensor[:1].expand(rows, *tensor.shape[1:]).clone() for name, tensor in items(1).items()}
    side = torch.tensor([1.0, -1.0]).repeat(rows // 2)
    batch["action"] = 0.8 * side[:, None, None].expand_as(batch["action"])
    batch["world_tokens"] = side[:, None, None].expand(rows, *shape)
    batch["chunk_valid"][:], batch["indicator"][:] = True, 1
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for update in range(400):
        loss, _ = policy_algorithm("ramp", AdvantageConfig()).loss(model, batch, generator=generator(update))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    told = model.act(batch, batch["world_tokens"], batch["indicator"], generator=generator(999)).mean(dim=(1, 2))
    assert float((told.sign() == side).float().mean()) == 1.0
    draws = [model.act(batch, None, batch["indicator"], generator=generator(1000 + i)) for i in range(8)]
    untold = torch.cat(draws).mean(dim=(1, 2))
    assert float((untold > 0).float().mean()) == pytest.approx(0.5, abs=0.2)
    assert float((untold.abs() > 0.4).float().mean()) > 0.7, "either action, not the mean of both"


def test_recap_without_labels_is_cloning() -> None:
    """Nothing to tell is nothing told: the two losses differ in their noise alone."""
    batch = items(64) | {"indicator": torch.full((64,), UNLABELLED)}
    model = policy()
    model.expert.forward = lambda x, *_: torch.zeros_like(x)  # type: ignore[method-assign]  # no noise in the answer
    assert loss_of("recap", model, batch) == pytest.approx(loss_of("bc", model, batch), rel=0.1)


def test_unknown_objectives_are_refused_with_those_that_exist() -> None:
    with pytest.raises(Invalid, match=r"ppo.*awr, bc, ramp, recap"):
        policy_algorithm("ppo", AdvantageConfig())
