"""Heads for thought: what they read, and that a policy without them is untouched."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ramp.algorithms import BehaviourCloningAlgorithm
from ramp.data.thoughts import BEGIN, END, PAD
from ramp.errors import Invalid
from ramp.models.manifest import load_policy, policy_manifest, weights
from ramp.models.vla import Told, VLAPolicy
from ramp.models.vla.thought import Thought, write_out
from tests.unit.models.samples import POLICY, SCHEMA, generator, normalizer, tensors, world
from tests.unit.models.thinking import TEXTS, THINKING, labelled, thinker, vocabulary


def heads(model: VLAPolicy) -> Thought:
    assert model.thought is not None
    return model.thought


def seen(model: VLAPolicy, size: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    context = model.observe(tensors(size), None, torch.ones(size, dtype=torch.int64))
    return context.tokens, context.summary


def written(model: VLAPolicy, size: int = 3) -> torch.Tensor:
    return model.think(tensors(size))[0]


def test_a_token_knows_nothing_of_those_that_follow() -> None:
    model, written = thinker(), labelled()["thought_tokens"]
    logits = heads(model).writer(written, *seen(model))
    written[:, 6:] = 9
    again = heads(model).writer(written, *seen(model))
    assert torch.equal(logits[:, :6], again[:, :6])
    assert not torch.equal(logits[:, 6:], again[:, 6:])


def test_both_heads_depend_on_what_is_seen() -> None:
    model, written = thinker(), labelled()["thought_tokens"]
    tokens, summary = seen(model)
    other = tokens + torch.randn(tokens.shape, generator=generator())
    assert not torch.equal(heads(model).writer(written, tokens, summary), heads(model).writer(written, other, summary))
    assert not torch.equal(heads(model).tracker(tokens, summary), heads(model).tracker(other, summary))


def test_neither_head_is_told_the_indicator_or_the_future() -> None:
    model, ones = thinker(), torch.ones(3, dtype=torch.int64)
    future = torch.randn(3, *model.token_shape, generator=generator())
    plain, told = model.observe(tensors(3), None, ones), model.observe(tensors(3), future, 0 * ones)
    assert torch.equal(plain.tokens, told.tokens)
    assert torch.equal(plain.summary, told.summary)


def test_a_track_is_ten_points_and_its_early_points_know_of_the_late_tokens() -> None:
    model = thinker()
    tracker = heads(model).tracker
    points = tracker(*seen(model))
    assert points.shape == (3, 10, 2)
    with torch.no_grad():
        tracker.points[-1] += 1.0
    assert not torch.equal(points[:, 0], tracker(*seen(model))[:, 0])


def test_a_thought_that_is_too_long_is_refused() -> None:
    model = thinker()
    long = torch.zeros(3, THINKING.thought_length + 1, dtype=torch.int64)
    with pytest.raises(Invalid, match="thought_length"):
        heads(model).writer(long, *seen(model))


def test_what_is_written_begins_ends_and_is_padded() -> None:
    model = thinker()
    with torch.no_grad():
        heads(model).writer.out.bias[END] = 100.0
    assert written(model).tolist() == [[BEGIN, END]] * 3
    with torch.no_grad():
        heads(model).writer.out.bias[END] = -100.0
    assert written(model).shape == (3, THINKING.thought_length)


def test_rows_that_ended_are_padded_while_others_go_on() -> None:
    script = torch.tensor([[BEGIN, END, 7, 7], [BEGIN, 7, 7, END]])
    expected = [[BEGIN, END, PAD, PAD], [BEGIN, 7, 7, END]]

    def follow(written: torch.Tensor) -> torch.Tensor:
        step = written.shape[1]
        return torch.nn.functional.one_hot(script[:, 1 : step + 1], 10).float()

    assert write_out(follow, 2, 8, torch.device("cpu")).tolist() == expected


def test_a_tiny_batch_is_learnt_and_written_out() -> None:
    model, batch, words = thinker(shift=0), labelled(), vocabulary()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for update in range(150):
        loss, _ = BehaviourCloningAlgorithm().loss(model, batch, generator=generator(update))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    spoken = written(model)
    for row, text in enumerate(TEXTS):
        said, chunk = words.read(spoken[row].tolist())
        assert said == text
        assert chunk is not None
        assert np.abs(chunk - batch["action"][row].numpy()).max() <= words.actions.error_bound + 1e-6
    assert float((heads(model).tracker(*seen(model)) - batch["track"]).detach().abs().mean()) < 0.1


def test_a_thinking_policy_survives_the_registry() -> None:
    model = thinker()
    there = load_policy(weights(model), policy_manifest(model, normalizer(), Told()))
    assert all(torch.equal(one, two) for one, two in zip(model.parameters(), there.parameters(), strict=True))


def test_heads_change_nothing_of_the_rest() -> None:
    """Same seed, same weights, same actions: the heads are drawn after everything else, and acting never asks them."""
    made = []
    for config in (POLICY, THINKING):
        torch.manual_seed(0)
        made.append(VLAPolicy(config, SCHEMA, world().token_shape))
    without, thinking = made
    own = thinking.state_dict()
    assert without.thought is None
    assert set(own) - set(without.state_dict()) == {name for name in own if name.startswith("thought.")}
    assert all(torch.equal(tensor, own[name]) for name, tensor in without.state_dict().items())
    heads(thinking).writer.forward = heads(thinking).tracker.forward = None  # type: ignore[assignment]
    acted = [m.act(tensors(3), None, torch.ones(3, dtype=torch.int64), generator=generator(4)) for m in made]
    assert torch.equal(*acted)
