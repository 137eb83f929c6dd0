"""Stage 1's losses."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from ramp.algorithms import TokenizerAlgorithm, WorldModelAlgorithm
from ramp.models.world import WorldModel
from ramp.models.world.latents import out_of_fold
from tests.unit.models.samples import SCHEMA, WORLD, generator, tensors, world


def test_a_tiny_batch_is_reconstructed_better_and_better() -> None:
    model, items = world(), tensors(2)
    items["images"] = items["images"] // 64 * 64
    model.train_only("tokenizer")
    optimizer = torch.optim.Adam(model.tokenizer.parameters(), lr=3e-3)
    errors = []
    for update in range(40):
        loss, report = TokenizerAlgorithm().loss(model, items, generator=generator(update))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        errors.append(report["reconstruction"])
    assert errors[-1] < 0.75 * errors[0]
    assert float(model.tokenizer.mean.abs().sum()) > 0.0


def test_the_value_head_of_a_fold_takes_no_loss_from_it() -> None:
    model, items = world(), tensors(4)
    items["fold"] = torch.zeros(4, dtype=torch.int64)
    changed = dict(items)
    losses = []
    for batch in (items, changed):
        _, report = WorldModelAlgorithm().loss(model, batch, generator=generator(1))
        losses.append(report["value"])
        changed["remaining"] = 1.0 - items["remaining"]
    assert losses[0] != losses[1]


@pytest.mark.parametrize("fold", [0, 1])
def test_gradients_of_a_folds_episodes_do_not_reach_its_value_head(fold: int) -> None:
    model, items = world(), tensors(3)
    model.train_only("predictor")
    items["fold"] = torch.full((3,), fold)
    captured = {}
    model.predictor.register_forward_hook(lambda _m, _i, out: captured.update(clean=out) or out.retain_grad())
    loss, _ = WorldModelAlgorithm().loss(model, items, generator=generator())
    loss.backward()
    gradient = model.layout.split(captured["clean"].grad)[2]
    assert torch.equal(gradient[:, fold], torch.zeros_like(gradient[:, fold]))
    assert float(gradient[:, 1 - fold].abs().sum()) > 0.0


def test_a_future_that_nobody_knows_takes_no_loss() -> None:
    model, items = world(), tensors(3)
    items["future_valid"][1, 1] = False
    changed = items | {name: items[name].clone() for name in ("future_images", "future_proprio")}
    changed["future_images"][1, 1] = 255
    changed["future_proprio"][1, 1] = 1.0
    captured = {}
    model.predictor.register_forward_hook(lambda _m, _i, out: captured.update(clean=out) or out.retain_grad())
    WorldModelAlgorithm().loss(model, changed, generator=generator())[0].backward()
    visual, proprio, _ = model.layout.split(captured["clean"].grad)
    views = model.layout.views
    reached = visual.unflatten(1, (-1, views)).abs().sum(dim=(2, 3, 4)) > 0.0
    assert reached.tolist() == [[True, True], [True, False], [True, True]]
    assert ((proprio.abs().sum(dim=(2, 3)) > 0.0) == reached).all()


def test_the_tokenizer_takes_no_gradient_from_the_predictors_loss() -> None:
    model = world()
    WorldModelAlgorithm().loss(model, tensors(2), generator=generator())[0].backward()
    assert all(parameter.grad is None for parameter in model.tokenizer.parameters())


def test_a_predictor_that_knows_the_answer_has_no_loss() -> None:
    model, items = world(), tensors(3)
    remaining = items["remaining"][:, None].expand(-1, 2)
    s = model.layout.join(model.tokenize(items["future_images"]), items["future_proprio"], remaining)
    model.predictor.forward = lambda *_: s  # type: ignore[method-assign]
    loss, _ = WorldModelAlgorithm().loss(model, items, generator=generator())
    assert float(loss) < 1e-9


def test_a_tiny_batch_is_learnt_and_its_values_read_out_in_one_step() -> None:
    model, items = world(), tensors(4)
    items["fold"] = torch.tensor([0, 1, 0, 1])
    model.train_only("predictor")
    optimizer = torch.optim.Adam(model.predictor.parameters(), lr=3e-3)
    for update in range(200):
        loss, _ = WorldModelAlgorithm().loss(model, items, generator=generator(update))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    values = model.predict(items, generator=generator(999)).remaining
    learnt = values.gather(1, 1 - items["fold"][:, None])[:, 0]
    assert float((learnt - items["remaining"]).abs().max()) < 0.15


def test_the_value_alone_is_learnt_without_any_future() -> None:
    torch.manual_seed(0)
    model, items = WorldModel(replace(WORLD, predicts="value"), SCHEMA), tensors(4, horizons=0)
    items["fold"] = torch.tensor([0, 1, 0, 1])
    model.train_only("predictor")
    optimizer = torch.optim.Adam(model.predictor.parameters(), lr=3e-3)
    for update in range(200):
        loss, report = WorldModelAlgorithm().loss(model, items, generator=generator(update))
        assert set(report) == {"value"}
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    values = model.predict(items, generator=generator(999)).remaining
    learnt = values.gather(1, 1 - items["fold"][:, None])[:, 0]
    assert float((learnt - items["remaining"]).abs().max()) < 0.15


def test_what_one_value_output_memorises_reaches_the_other_through_the_weights_they_share() -> None:
    """The limit that docs/recipe.md names, at its worst: labels that nothing in the frame explains, so that whoever
    errs less than on new frames must remember these. An output errs no more on those that only the other has learnt."""
    torch.manual_seed(0)
    model = WorldModel(replace(WORLD, predicts="value"), SCHEMA)
    learnt, new = (tensors(32, horizons=0, seed=seed) for seed in (1, 2))
    for items, seed in ((learnt, 3), (new, 4)):
        items["remaining"], items["fold"] = torch.rand(32, generator=generator(seed)), torch.arange(32) % 2
    model.train_only("predictor")
    optimizer = torch.optim.Adam(model.predictor.parameters(), lr=3e-3)
    for update in range(300):
        loss, _ = WorldModelAlgorithm().loss(model, learnt, generator=generator(update))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    def error(items: dict[str, torch.Tensor], output: torch.Tensor) -> float:
        both = model.predict(items, generator=generator(7)).remaining
        return float((out_of_fold(both, output) - items["remaining"]).abs().mean())

    own, other, neither = error(learnt, 1 - learnt["fold"]), error(learnt, learnt["fold"]), error(new, new["fold"])
    assert own < 0.75 * neither
    assert other < 0.75 * neither
    assert other == pytest.approx(own, abs=0.25 * neither)
