"""What the policy may and may not depend on."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from ramp.errors import Invalid
from ramp.models.vla import VLAPolicy
from ramp.types import UNLABELLED
from tests.unit.models.samples import POLICY, SCHEMA, generator, policy, tensors, world

SIZE = 3


def velocity(model: VLAPolicy, indicator: Tensor, world: Tensor | None, visible: Tensor | None = None) -> Tensor:
    context = model.observe(tensors(SIZE), world, indicator, world_visible=visible)
    x = torch.randn(SIZE, POLICY.chunk, 2, generator=generator())
    return model(x, torch.full((SIZE,), 0.3), context)


def futures(model: VLAPolicy, seed: int = 0) -> Tensor:
    return torch.randn(SIZE, *model.token_shape, generator=generator(seed))


def test_hidden_world_tokens_change_nothing() -> None:
    model, ones = policy(), torch.ones(SIZE, dtype=torch.int64)
    hidden = torch.zeros(SIZE, dtype=torch.bool)
    first = velocity(model, ones, futures(model, 1), hidden)
    assert torch.equal(first, velocity(model, ones, futures(model, 2), hidden))
    torch.testing.assert_close(first, velocity(model, ones, None))


@pytest.mark.parametrize("said", [float("nan"), float("inf"), 1e30])
def test_hidden_world_tokens_may_be_no_numbers_at_all(said: float) -> None:
    """One set of weights serves both modes: neither the action nor a gradient knows what the world model has said."""
    model, ones = policy(), torch.ones(SIZE, dtype=torch.int64)
    hidden, answers, gradients = torch.zeros(SIZE, dtype=torch.bool), [], []
    for tokens in (futures(model), torch.full((SIZE, *model.token_shape), said)):
        model.zero_grad()
        answers.append(velocity(model, ones, tokens, hidden))
        answers[-1].square().sum().backward()
        gradients.append({name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None})
    assert torch.equal(*answers)
    assert gradients[0].keys() == gradients[1].keys()
    assert all(torch.equal(gradients[1][name], gradient) for name, gradient in gradients[0].items())


def test_visible_world_tokens_do_change_the_action() -> None:
    model, ones = policy(), torch.ones(SIZE, dtype=torch.int64)
    difference = velocity(model, ones, futures(model, 1)) - velocity(model, ones, futures(model, 2))
    assert float(difference.detach().abs().min()) > 0.0


def test_world_tokens_can_be_hidden_for_single_samples() -> None:
    model, ones = policy(), torch.ones(SIZE, dtype=torch.int64)
    visible = torch.tensor([True, False, True])
    mixed = velocity(model, ones, futures(model), visible)
    torch.testing.assert_close(mixed[1], velocity(model, ones, None)[1])
    torch.testing.assert_close(mixed[0], velocity(model, ones, futures(model))[0])


def test_a_hidden_indicator_takes_no_gradient() -> None:
    model = policy()
    velocity(model, torch.full((SIZE,), UNLABELLED), None).square().sum().backward()
    gradient = model.indicator.weight.grad
    assert gradient is not None
    assert torch.equal(gradient[:2], torch.zeros_like(gradient[:2]))
    assert float(gradient[2].abs().sum()) > 0.0


def test_the_three_indicators_give_three_actions() -> None:
    model = policy()
    answers = [velocity(model, torch.full((SIZE,), value), None) for value in (0, 1, UNLABELLED)]
    assert not torch.equal(answers[0], answers[1])
    assert not torch.equal(answers[1], answers[2])


def test_the_instruction_matters() -> None:
    model, ones = policy(), torch.ones(2, dtype=torch.int64)
    items = {name: tensor[:1].expand(2, *tensor.shape[1:]).clone() for name, tensor in tensors(SIZE).items()}
    items["words"][1] = tensors(SIZE)["words"][1]
    x = torch.zeros(2, POLICY.chunk, 2)
    answer = model(x, torch.zeros(2), model.observe(items, None, ones))
    assert not torch.equal(answer[0], answer[1])


def test_acting_is_fixed_by_the_generator() -> None:
    model, ones = policy(), torch.ones(SIZE, dtype=torch.int64)
    acts = [model.act(tensors(SIZE), None, ones, generator=generator(seed)) for seed in (5, 5, 6)]
    assert acts[0].shape == (SIZE, POLICY.chunk, 2)
    assert torch.equal(acts[0], acts[1])
    assert not torch.equal(acts[0], acts[2])


def test_tokens_of_another_world_model_are_refused() -> None:
    model = policy()
    with pytest.raises(Invalid, match="world_tokens"):
        model.act(tensors(SIZE), torch.zeros(SIZE, 1, 1), torch.ones(SIZE, dtype=torch.int64), generator=generator())


def test_guidance_of_one_is_none_and_more_goes_further_the_same_way() -> None:
    """Classifier-free guidance: the velocity leaves the one without I by beta times the difference that I makes."""
    acted = {}
    for beta in (0.0, 1.0, 2.0):
        model = VLAPolicy(replace(POLICY, guidance=beta, ode_steps=1), SCHEMA, world().token_shape)
        torch.manual_seed(1)
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.1)
        acted[beta] = model.act(tensors(SIZE), None, torch.ones(SIZE, dtype=torch.int64), generator=generator())
    torch.testing.assert_close(acted[2.0] - acted[1.0], acted[1.0] - acted[0.0])
    assert float((acted[1.0] - acted[0.0]).abs().max()) > 1e-4


def test_guidance_of_one_acts_as_the_policy_does_with_i_and_of_zero_as_it_does_without() -> None:
    """f(.) + beta (f(I) - f(.)) is f(I) at 1 and f(.) at 0, over all steps of the flow."""
    ones, hidden = torch.ones(SIZE, dtype=torch.int64), torch.full((SIZE,), UNLABELLED)
    weights = policy().state_dict()
    acted = {}
    for beta in (0.0, 1.0 - 1e-12, 1.0):  # the second takes the guided road: 1 itself is a shorter one
        model = VLAPolicy(replace(POLICY, guidance=beta), SCHEMA, world().token_shape)
        model.load_state_dict(weights)
        acted[beta] = model.act(tensors(SIZE), None, ones, generator=generator())
        without = model.act(tensors(SIZE), None, hidden, generator=generator())
    torch.testing.assert_close(acted[1.0 - 1e-12], acted[1.0])
    torch.testing.assert_close(acted[0.0], without)
    assert float((acted[1.0] - acted[0.0]).abs().max()) > 1e-4


def test_guidance_asks_the_backbone_once_and_answers_as_two_fields_would(monkeypatch: pytest.MonkeyPatch) -> None:
    model, beta, ones = policy(), 1.7, torch.ones(SIZE, dtype=torch.int64)
    model.config = replace(POLICY, guidance=beta)
    contexts = [model.observe(tensors(SIZE), futures(model), indicator) for indicator in (ones, 0 * ones + UNLABELLED)]
    x = torch.randn((SIZE, POLICY.chunk, 2), generator=generator(3))
    for step in range(POLICY.ode_steps):
        shown, hidden = (model(x, torch.full((SIZE,), step / POLICY.ode_steps), context) for context in contexts)
        x = x + (hidden + beta * (shown - hidden)) / POLICY.ode_steps
    seen: list[Tensor] = []
    monkeypatch.setattr(model.backbone, "forward", lambda *a, f=model.backbone.forward: seen.append(a[0]) or f(*a))
    acted = model.act(tensors(SIZE), futures(model), ones, generator=generator(3))
    torch.testing.assert_close(acted, x, rtol=1e-5, atol=1e-5)
    assert len(seen) == 1


def test_a_mask_that_hides_nothing_is_no_mask() -> None:
    model, ones = policy(), torch.ones(SIZE, dtype=torch.int64)
    everything = velocity(model, ones, futures(model), torch.ones(SIZE, dtype=torch.bool))
    torch.testing.assert_close(velocity(model, ones, futures(model)), everything, rtol=1e-5, atol=1e-6)
    assert model.observe(tensors(SIZE), futures(model), ones).visible is None


def test_a_policy_beside_a_value_only_world_model_acts_unless_it_is_told_of_the_future() -> None:
    torch.manual_seed(0)
    model, ones = VLAPolicy(POLICY, SCHEMA, (0, 16)), torch.ones(SIZE, dtype=torch.int64)
    assert model.act(tensors(SIZE), None, ones, generator=generator()).shape == (SIZE, POLICY.chunk, 2)
    with pytest.raises(Invalid, match="predicts the value alone"):
        model.act(tensors(SIZE), futures(model), ones, generator=generator())
