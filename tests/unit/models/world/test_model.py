"""Tokenizer, joint latent and one-step prediction."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from ramp.errors import Invalid
from ramp.models.world import WorldModel, out_of_fold
from ramp.models.world.latents import Layout
from ramp.models.world.tokenizer import group, ungroup
from tests.unit.models.samples import SCHEMA, WORLD, generator, tensors, world

VALUE_ONLY = replace(WORLD, predicts="value")
LAYOUT = Layout(horizons=2, views=3, tokens=4, width=5, proprio=7)


def test_grouping_latents_into_tokens_can_be_undone() -> None:
    latents = torch.randn(2, 4, 6, 8)
    tokens = group(latents, 2)
    assert tokens.shape == (2, 12, 16)
    assert torch.equal(ungroup(tokens, 2, 6), latents)


def test_psi_repeats_a_scalar_everywhere_and_its_mean_reads_it_back() -> None:
    frame = LAYOUT.tile(torch.tensor([[0.25], [-1.0]]))
    assert frame.shape == (2, 4, 5)
    assert torch.equal(frame.mean(dim=(1, 2)), torch.tensor([0.25, -1.0]))


def test_psi_repeats_a_vector_from_its_beginning_until_the_frame_is_full() -> None:
    flat = LAYOUT.tile(torch.arange(7.0)[None]).flatten()
    assert torch.equal(flat, torch.arange(20) % 7.0)


def test_the_joint_latent_splits_into_what_was_joined() -> None:
    visual, proprio, remaining = torch.randn(2, 2, 3, 4, 5), torch.randn(2, 2, 7), torch.rand(2, 2)
    s = LAYOUT.join(visual, proprio, remaining)
    assert s.shape == (2, LAYOUT.frames, 4, 5)
    parts = LAYOUT.split(s)
    assert torch.equal(parts[0], visual.flatten(1, 2))
    assert torch.equal(parts[1], LAYOUT.tile(proprio))
    torch.testing.assert_close(LAYOUT.read_values(s), remaining)


def test_values_outside_their_range_are_cut() -> None:
    s = torch.full((1, LAYOUT.frames, 4, 5), 9.0)
    assert torch.equal(LAYOUT.read_values(s), torch.ones(1, 2))


def test_a_prediction_has_the_promised_shapes_and_ranges() -> None:
    model = world()
    prediction = model.predict(tensors(5), generator=generator())
    assert prediction.tokens.shape == (5, *model.token_shape)
    assert prediction.remaining.shape == (5, 2)
    assert prediction.value.shape == (5,)
    assert float(prediction.remaining.min()) >= 0.0
    assert float(prediction.remaining.max()) <= 1.0
    assert not prediction.tokens.requires_grad


def test_a_prediction_is_fixed_by_its_generator() -> None:
    model, items = world(), tensors(3)
    first, again = (model.predict(items, generator=generator(4)) for _ in range(2))
    assert torch.equal(first.tokens, again.tokens)
    assert torch.equal(first.remaining, again.remaining)


def test_each_item_of_a_batch_is_predicted_from_itself_alone() -> None:
    model, items = world().eval(), tensors(4)
    other = {name: tensor.clone() for name, tensor in items.items()}
    other["images"][1:] = 0
    one, two = (model.predict(batch, generator=generator(1)) for batch in (items, other))
    torch.testing.assert_close(one.tokens[0], two.tokens[0])


def test_running_statistics_do_not_follow_what_is_not_finite() -> None:
    tokenizer = world().tokenizer
    tokenizer.follow(torch.randn(2, 4, 3, 3))
    mean, deviation = tokenizer.mean.clone(), tokenizer.deviation.clone()
    bad = torch.randn(2, 4, 3, 3)
    bad[0, 1, 2, 0] = float("nan")
    tokenizer.follow(bad)
    assert torch.equal(tokenizer.mean, mean)
    assert torch.equal(tokenizer.deviation, deviation)


def test_the_output_that_took_no_loss_from_an_episode_labels_it() -> None:
    remaining = torch.tensor([[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]])
    assert out_of_fold(remaining, torch.tensor([0, 1, 0])).tolist() == pytest.approx([0.1, 0.4, 0.5])


def test_only_the_named_part_takes_gradients() -> None:
    model = world()
    model.train_only("predictor")
    assert not any(p.requires_grad for p in model.tokenizer.parameters())
    assert all(p.requires_grad for p in model.predictor.parameters())
    with pytest.raises(Invalid, match="part"):
        model.train_only("decoder")


def test_cameras_of_different_sizes_are_refused() -> None:
    schema = replace(SCHEMA, cameras={"front": (32, 32, 3), "side": (64, 64, 3)})
    with pytest.raises(Invalid, match="same size"):
        WorldModel(WORLD, schema)


def test_frames_of_an_odd_size_are_padded() -> None:
    schema = replace(SCHEMA, cameras={"front": (20, 20, 3)})
    model = WorldModel(WORLD, schema)
    images = torch.zeros(2, 1, 20, 20, 3, dtype=torch.uint8)
    assert model.tokenize(images).shape == (2, 1, model.layout.tokens, model.layout.width)


def test_standardised_latents_are_decoded_to_the_same_picture_as_raw_ones() -> None:
    tokenizer = world().tokenizer
    tokenizer.mean.fill_(0.3)
    tokenizer.deviation.fill_(2.0)
    frames = torch.rand(2, 3, 32, 32)
    raw, _ = tokenizer.posterior(frames)
    torch.testing.assert_close(tokenizer.reconstruct(tokenizer.encode(frames)), tokenizer.decode(raw))


def test_the_value_alone_is_read_out_without_a_future() -> None:
    model = WorldModel(VALUE_ONLY, SCHEMA)
    prediction = model.predict(tensors(3, horizons=0), generator=generator())
    assert model.layout.frames == 2
    assert prediction.remaining.shape == (3, 2)
    assert prediction.tokens.shape == (3, *model.token_shape)
    assert model.token_shape[0] == 0


def test_the_value_alone_starts_from_fewer_tokens() -> None:
    both, alone = (sum(p.numel() for p in WorldModel(config, SCHEMA).parameters()) for config in (WORLD, VALUE_ONLY))
    layout = WorldModel(WORLD, SCHEMA).layout
    assert both - alone == (layout.visual_frames + layout.horizons) * layout.tokens * WORLD.width


def test_a_world_model_predicts_the_state_or_the_value() -> None:
    with pytest.raises(Invalid, match=r"world\.predicts.*state, value"):
        replace(WORLD, predicts="futures")
