"""Frames and the tokenizer: once each, however often they come."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import Tensor

from ramp.algorithms import WorldModelAlgorithm
from ramp.models.world.model import WorldModel
from ramp.types import SampleSpec
from services.common.settings import Settings
from services.learner.basis import find_basis
from services.learner.batches import convert, open_mixture
from services.learner.latents import FrameLatents
from services.learner.loop import Learner
from tests.unit.services.learner.near import NearReplay, context


class Counting:
    """A tokenizer that counts the frames it is given; a frame's token is its first pixel."""

    def __init__(self) -> None:
        self.frames = 0

    def __call__(self, images: Tensor) -> Tensor:
        self.frames += len(images)
        return images[:, :, 0, 0, :1].float()[..., None]


def frames(*values: int) -> Tensor:
    return torch.tensor(values, dtype=torch.uint8).reshape(-1, 1, 1, 1, 1).expand(-1, 2, 4, 4, 3)


def test_a_frame_is_tokenized_when_it_is_first_seen_and_never_again() -> None:
    kept, tokenize = FrameLatents(), Counting()
    first = kept.of([("a", 0), ("a", 4), ("a", 0)], frames(1, 2, 1), tokenize)
    assert first.flatten(1)[:, 0].tolist() == [1.0, 2.0, 1.0]
    assert tokenize.frames == 2
    again = kept.of([("a", 4), ("b", 0)], frames(2, 3), tokenize)
    assert again.flatten(1)[:, 0].tolist() == [2.0, 3.0]
    assert tokenize.frames == 3
    assert kept.kept_share == pytest.approx(2 / 5)


def test_beyond_the_limit_the_oldest_are_forgotten() -> None:
    kept, tokenize = FrameLatents(limit=2 * 8), Counting()  # two frames of two views
    kept.of([("a", step) for step in range(3)], frames(1, 2, 3), tokenize)
    kept.of([("a", 1), ("a", 2)], frames(2, 3), tokenize)
    assert tokenize.frames == 3
    assert kept.of([("a", 0)], frames(1), tokenize).flatten().tolist() == [1.0, 1.0]
    assert tokenize.frames == 4


def test_another_tokenizer_begins_anew() -> None:
    kept, tokenize = FrameLatents(), Counting()
    kept.of([("a", 0)], frames(1), tokenize)
    kept.forget()
    assert kept.of([("a", 0)], frames(9), tokenize).flatten().tolist() == [9.0, 9.0]


def test_in_a_whole_run_no_frame_is_tokenized_once_a_step_and_epoch(
    settings: Settings, replay: NearReplay, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through world model, policy and joint stage with three published world models, and all labelling."""
    seen, tokenize = [], WorldModel.tokenize

    def counted(self: WorldModel, images: Tensor) -> Tensor:
        seen.extend(row.numpy().tobytes() for row in images)
        return tokenize(self, images)

    monkeypatch.setattr(WorldModel, "tokenize", counted)
    learner = Learner(context(settings, replay))
    learner.run()

    stored = [replay.fetch(info.episode_id).steps for info in replay.query()]
    there = sum(len(steps.frame_row) for steps in stored)
    # An episode's last frame stands for its end as well; frames of equal pixels are not taken for one.
    assert len(seen) <= there + len(stored)
    assert learner._trainer is not None
    assert learner._trainer.latents.kept_share > 0.5
    assert learner._says.means["predictor.frames_kept"] > 0.0


def test_latents_from_before_give_the_same_loss(settings: Settings, replay: NearReplay) -> None:
    basis, horizons = find_basis(replay, settings.policy), settings.world.foreseen  # type: ignore[arg-type]
    spec = SampleSpec(table="", batch_size=6, chunk=4, horizons=horizons)
    converter = partial(convert, normalizer=basis.normalizer, failure_penalty=1.0, horizons=horizons)
    with open_mixture(replay, {"demos": 6}, spec, converter) as batches:  # type: ignore[arg-type]
        sampled = batches.poll(10.0)
    assert sampled is not None
    model, kept = WorldModel(settings.world, basis.schema), FrameLatents()
    future = sampled.tensors["future_images"]
    for _ in range(2):
        ahead = kept.of(sampled.ahead, future.flatten(0, 1), model.tokenize).unflatten(0, future.shape[:2])
        present = kept.of(sampled.keys, sampled.tensors["images"], model.tokenize)
    losses = [
        WorldModelAlgorithm().loss(model, tensors, generator=torch.Generator().manual_seed(0))[0]
        for tensors in (sampled.tensors, {**sampled.tensors, "latents": present, "future_latents": ahead})
    ]
    torch.testing.assert_close(losses[0], losses[1])
    torch.testing.assert_close(model.tokenize(future), ahead)
