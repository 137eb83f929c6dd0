"""Eq. 1, term by term."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from ramp.advantage.config import AdvantageConfig
from ramp.algorithms import BehaviourCloningAlgorithm, policy_algorithm
from ramp.algorithms.thought import thought_terms
from ramp.data.thoughts import SPECIAL
from ramp.errors import Invalid
from ramp.models.vla import VLAPolicy
from tests.unit.models.samples import generator, policy
from tests.unit.models.thinking import THINKING, labelled, thinker

SIZE = SPECIAL + THINKING.text_vocabulary + THINKING.action_vocabulary
LABELS = ("thought_tokens", "thought_mask", "track", "track_valid")
METHODS = ("ramp", "recap", "awr", "bc")


def loss_of(model: VLAPolicy, batch: dict[str, Tensor], method: str = "bc") -> tuple[Tensor, dict[str, float]]:
    return policy_algorithm(method, AdvantageConfig()).loss(model, batch, generator=generator(1))


def terms_of(model: VLAPolicy, batch: dict[str, Tensor]) -> dict[str, Tensor]:
    assert model.thought is not None
    ones = torch.ones(len(batch["action"]), dtype=torch.int64)
    return thought_terms(model, batch, model.observe(batch, None, ones))


def unlabelled(batch: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in batch.items() if name not in LABELS}


@pytest.mark.parametrize("method", METHODS)
def test_the_loss_is_the_sum_of_its_three_terms(method: str) -> None:
    loss, report = loss_of(thinker(track_weight=3.0), labelled(), method)
    assert float(loss.detach()) == pytest.approx(report["flow"] + report["words"] + 3.0 * report["track"])
    assert min(report["flow"], report["words"], report["track"]) > 0.0


@pytest.mark.parametrize("method", METHODS)
def test_without_heads_labels_have_no_say_and_the_loss_is_the_flow(method: str) -> None:
    with_labels, without = (loss_of(policy(), b, method) for b in (labelled(), unlabelled(labelled())))
    assert torch.equal(with_labels[0], without[0])
    assert with_labels[1] == without[1]
    assert float(without[0].detach()) == without[1]["flow"]
    assert not {"words", "track"} & set(without[1])


def test_a_batch_without_labels_goes_without_their_terms() -> None:
    loss, report = loss_of(thinker(), unlabelled(labelled()))
    assert float(loss.detach()) == report["flow"]
    half = {name: tensor for name, tensor in labelled().items() if not name.startswith("thought")}
    assert set(loss_of(thinker(), half)[1]) == {"flow", "track"}


def test_a_writer_that_knows_nothing_is_surprised_by_the_logarithm_of_the_vocabulary() -> None:
    model = thinker()
    for parameter in model.thought.writer.out.parameters():  # type: ignore[union-attr]
        torch.nn.init.zeros_(parameter)
    assert float(terms_of(model, labelled())["words"].detach()) == pytest.approx(math.log(SIZE))


def test_a_writer_that_foretells_every_label_is_not_surprised() -> None:
    model, batch = thinker(), labelled()
    model.thought.writer.forward = (
        lambda written, *_: (
            100.0
            * torch.nn.functional.one_hot(  # type: ignore
                batch["thought_tokens"][:, 1:], SIZE
            )
        )
    )
    assert float(terms_of(model, batch)["words"]) == pytest.approx(0.0, abs=1e-6)


def test_tokens_that_the_mask_leaves_out_take_no_loss() -> None:
    model, batch = thinker(), labelled()
    batch["thought_mask"][:, 5:] = False
    first = terms_of(model, batch)["words"]
    batch["thought_tokens"][:, 5:] = 11
    assert torch.equal(first, terms_of(model, batch)["words"])
    batch["thought_mask"][:] = False
    assert float(terms_of(model, batch)["words"].detach()) == 0.0


def test_the_tracks_error_is_the_mean_square_over_its_valid_points() -> None:
    model, batch = thinker(), labelled(2)
    model.thought.tracker.forward = lambda *_: batch["track"] + torch.tensor([0.5, 0.0])  # type: ignore
    assert float(terms_of(model, batch)["track"]) == pytest.approx(0.125)
    batch["track"] = batch["track"].clone()
    batch["track_valid"][:, 4:] = False
    model.thought.tracker.forward = lambda *_: torch.full((2, 10, 2), 2.0)  # type: ignore
    batch["track"][:, :4], batch["track"][:, 4:] = 1.0, -77.0
    assert float(terms_of(model, batch)["track"]) == pytest.approx(1.0)


def test_a_track_of_other_points_is_refused() -> None:
    batch = labelled()
    batch["track"] = batch["track"][:, :4]
    with pytest.raises(Invalid, match="track"):
        loss_of(thinker(), batch)


def gradients(model: VLAPolicy, loss: Tensor) -> dict[str, Tensor]:
    model.zero_grad()
    loss.backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("alpha", [0.0, 0.1, 0.5])
def test_insulation_lets_alpha_of_the_flows_gradient_into_the_backbone_and_all_of_the_thoughts(alpha: float) -> None:
    free, insulated, batch = thinker(shift=0), thinker(shift=0, insulation=alpha), labelled()
    flow = gradients(free, loss_of(free, unlabelled(batch))[0])
    thought = gradients(free, sum(terms_of(free, batch).values(), start=torch.zeros(())))
    loss, _ = loss_of(insulated, batch)
    assert torch.equal(loss, loss_of(free, batch)[0])
    joint = gradients(insulated, loss)
    for name in joint:
        if name.startswith("backbone."):
            torch.testing.assert_close(joint[name], alpha * flow[name] + thought[name], atol=1e-6, rtol=1e-4)
        elif not name.startswith("thought."):
            assert torch.equal(joint[name], flow[name])
    assert any(float(thought[name].abs().max()) > 1e-6 for name in joint if name.startswith("backbone.views"))


def test_with_hard_insulation_the_flow_alone_leaves_the_backbone_as_it_is() -> None:
    model = thinker(insulation=0.0)
    found = gradients(model, BehaviourCloningAlgorithm().loss(model, unlabelled(labelled()), generator=generator())[0])
    assert all(not bool(g.any()) for name, g in found.items() if name.startswith("backbone."))
    assert any(bool(g.any()) for name, g in found.items() if name.startswith("expert."))
