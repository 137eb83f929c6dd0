"""Thoughts at full size: written by the language model, drawn from learnable tokens."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from ramp.algorithms import BehaviourCloningAlgorithm, RampAlgorithm
from ramp.data.thoughts import BEGIN, END
from ramp.errors import Invalid
from ramp.models.manifest import load_policy, policy_manifest, weights
from ramp.models.vla import PaliGemmaConfig, PaliGemmaPolicy, Told
from ramp.models.vla.language_thought import thought_ids
from ramp.models.vla.thought import thought_size
from tests.unit.models.samples import SCHEMA, generator, normalizer, world
from tests.unit.models.thinking import TEXTS, THINKING, labelled, vocabulary
from tests.unit.models.vla.test_paligemma import TINY

THOUGHTFUL = replace(
    TINY,
    thought=True,
    chunk=THINKING.chunk,
    thought_length=THINKING.thought_length,
    text_vocabulary=THINKING.text_vocabulary,
    action_vocabulary=THINKING.action_vocabulary,
    vocabulary=1024,
)
SIZE = thought_size(THOUGHTFUL)


def thinker(config: PaliGemmaConfig = THOUGHTFUL, seed: int = 0) -> PaliGemmaPolicy:
    torch.manual_seed(seed)
    return PaliGemmaPolicy(config, SCHEMA, world().token_shape)


def follow(model: PaliGemmaPolicy, written: Tensor, batch: dict[str, Tensor]) -> Tensor:
    return model.follow(written, model.observe(batch, None, batch["indicator"]))


def test_its_ids_are_the_last_ones_before_the_mark_of_a_picture() -> None:
    ids = thought_ids(PaliGemmaConfig(thought=True))
    assert (ids.stop, ids.stop - ids.start) == (257_215, 4 + 512 + 512)
    assert ids.start > 256_000 - 1, "below are the words that published weights know"
    with pytest.raises(Invalid, match=r"policy\.vocabulary"):
        thinker(replace(THOUGHTFUL, vocabulary=SIZE + 1))


def test_the_joint_loss_is_the_sum_of_its_terms_and_reaches_the_language_model() -> None:
    model, batch = thinker(replace(THOUGHTFUL, insulation=0.0, track_weight=2.0)), labelled()
    loss, report = RampAlgorithm().loss(model, batch, generator=generator(1))
    assert float(loss.detach()) == pytest.approx(report["flow"] + report["words"] + 2.0 * report["track"])
    loss.backward()
    language = model.prefix.backbone.model.language_model.layers[0].self_attn.k_proj.weight.grad
    assert language is not None
    assert bool(language.any()), "hard insulation stops the flow alone"
    assert all(parameter.grad is not None for parameter in model.thought.parameters())  # type: ignore[union-attr]


def test_a_token_knows_nothing_of_those_that_follow_nor_of_the_indicator() -> None:
    model, batch = thinker().eval(), labelled()
    written = batch["thought_tokens"]
    logits = follow(model, written, batch)
    assert logits.shape == (*written.shape, SIZE)
    changed = written.clone()
    changed[:, 6:] = 9
    torch.testing.assert_close(follow(model, changed, batch)[:, :6], logits[:, :6])
    torch.testing.assert_close(follow(model, written, {**batch, "indicator": 1 - batch["indicator"]}), logits)


def test_a_thought_that_is_too_long_is_refused() -> None:
    with pytest.raises(Invalid, match="thought_length"):
        follow(thinker(), torch.zeros(3, THOUGHTFUL.thought_length + 1, dtype=torch.int64), labelled())


def test_a_tiny_batch_is_learnt_written_out_and_drawn() -> None:
    model, batch, words = thinker(replace(THOUGHTFUL, shift=0)), labelled(), vocabulary()
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    for update in range(150):
        loss, _ = BehaviourCloningAlgorithm().loss(model, batch, generator=generator(update))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    written, track = model.eval().think(batch)
    assert set(written[:, 0].tolist()) == {BEGIN}
    for row, text in enumerate(TEXTS):
        assert END in written[row]
        said, chunk = words.read(written[row].tolist())
        assert said == text
        assert chunk is not None
        assert np.abs(chunk - batch["action"][row].numpy()).max() <= words.actions.error_bound + 1e-6
    assert float((track - batch["track"]).abs().mean()) < 0.15


def test_it_survives_the_registry_and_one_without_thoughts_has_nothing_of_it() -> None:
    model = thinker()
    there = load_policy(weights(model), policy_manifest(model, normalizer(), Told()))
    assert all(torch.equal(one, two) for one, two in zip(model.parameters(), there.parameters(), strict=True))
    plain = thinker(replace(THOUGHTFUL, thought=False))
    own = model.state_dict()
    assert set(own) - set(plain.state_dict()) == {name for name in own if name.startswith("thought.")}
    assert all(torch.equal(tensor, own[name]) for name, tensor in plain.state_dict().items())
    with pytest.raises(Invalid, match="not trained to think"):
        plain.think(labelled())
