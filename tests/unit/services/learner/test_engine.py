"""The DeepSpeed engine does what plain PyTorch does, and its state outlives the number of workers."""

from __future__ import annotations

import copy
import multiprocessing
import os
import socket
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ramp.errors import Invalid, RampError
from services.learner.engine import DivergedError, Engine, Plan, rank

PLAN = Plan(lr=1e-2, weight_decay=0.1, grad_clip=0.5, spans=(20, 20), warmup=4, final_lr=0.1, ema=0.9)


def build(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 2), nn.BatchNorm1d(2))
    model[0].bias.requires_grad_(False)
    return model.eval()


def batch(update: int, share: slice = slice(None)) -> dict[str, Tensor]:
    x = torch.randn(8, 3, generator=torch.Generator().manual_seed(update))
    return {"x": x[share], "y": x[share, :2] * 2 + 1}


class Regression:
    def loss(
        self, model: nn.Module, batch: Mapping[str, Tensor], *, generator: torch.Generator
    ) -> tuple[Tensor, dict[str, float]]:
        loss = (model(batch["x"]) - batch["y"]).square().mean()
        return loss, {"error": float(loss.detach())}


def train(engine: Engine, first: int, last: int, share: slice = slice(None)) -> None:
    for update in range(first, last):
        loss, _ = engine.loss(Regression(), batch(update, share), generator=torch.Generator())
        assert engine.step(loss)


class Spared(nn.Module):
    """Has a part that no loss uses, as a policy has one for tokens that it is not told."""

    def __init__(self) -> None:
        super().__init__()
        self.used, self.spare = nn.Linear(3, 2), nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.used(x)


def test_a_part_that_no_loss_uses_is_kept_as_it_is() -> None:
    engine = Engine(Spared(), PLAN)
    before = engine.model.spare.weight.detach().clone()
    train(engine, 0, 3)
    state = engine.state()
    again = Engine(Spared(), PLAN)
    again.load(state)
    train(again, 3, 5)
    assert torch.equal(again.model.spare.weight.detach(), before)
    assert float(state["exp_avg.spare.weight"].abs().sum()) == 0.0


class Placeless(nn.Module):
    """Has a parameter without a number in it, as a policy has beside a world model that predicts the value alone."""

    def __init__(self) -> None:
        super().__init__()
        self.used, self.place = nn.Linear(3, 2), nn.Parameter(torch.zeros(0, 4))

    def forward(self, x: Tensor) -> Tensor:
        return self.used(x)


def test_a_parameter_without_a_number_is_no_hindrance() -> None:
    engine = Engine(Placeless(), PLAN)
    train(engine, 0, 3)
    again = Engine(Placeless(), PLAN)
    again.load(engine.state())
    train(again, 3, 5)
    assert again.weights(averaged=True)["place"].shape == (0, 4)


def plainly(model: nn.Module, updates: int) -> None:
    """The same by hand."""
    from services.learner.schedule import lr_factor

    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=PLAN.lr, weight_decay=PLAN.weight_decay)
    for update in range(updates):
        lr = PLAN.lr * lr_factor(update, PLAN.spans, warmup=PLAN.warmup, final=PLAN.final_lr)
        optimizer.param_groups[0]["lr"] = lr
        Regression().loss(model, batch(update), generator=torch.Generator())[0].backward()
        torch.nn.utils.clip_grad_norm_(trained, PLAN.grad_clip)
        optimizer.step()
        optimizer.zero_grad()


def difference(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> float:
    assert set(a) == set(b)
    return max(float((a[name].double() - b[name].double()).abs().max()) for name in a)


def test_updates_are_those_of_plain_pytorch() -> None:
    engine, plain = Engine(build(), PLAN), build()
    train(engine, 0, 12)
    plainly(plain, 12)
    assert difference(engine.weights(), plain.state_dict()) < 1e-6


def test_frozen_parameters_stay_and_two_engines_do_not_touch_each_other() -> None:
    first, second = Engine(build(0), PLAN), Engine(build(1), PLAN)
    bias, other = first.weights()["0.bias"], second.weights()
    train(first, 0, 3)
    assert torch.equal(first.weights()["0.bias"], bias)
    assert difference(second.weights(), other) == 0.0


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_changes_nothing(bad: float) -> None:
    engine = Engine(build(), PLAN)
    train(engine, 0, 2)
    before = engine.state()
    loss, _ = engine.loss(Regression(), batch(2), generator=torch.Generator())
    assert not engine.step(loss * bad)
    assert difference(engine.state(), before) == 0.0
    train(engine, 2, 3)
    assert engine.updates == 3


def test_averaged_weights_follow_the_weights() -> None:
    engine = Engine(build(), PLAN)
    start = engine.weights()["2.weight"]
    assert torch.equal(engine.weights(averaged=True)["2.weight"], start)
    train(engine, 0, 10)
    now, mean = engine.weights()["2.weight"], engine.weights(averaged=True)["2.weight"]
    assert 0.0 < float((now - mean).norm()) < float((now - start).norm())


def test_a_loaded_engine_goes_on_as_if_nothing_had_happened() -> None:
    whole, half = Engine(build(), PLAN), Engine(build(), PLAN)
    train(whole, 0, 8)
    train(half, 0, 5)
    resumed = Engine(build(7), PLAN)
    resumed.load(copy.deepcopy(half.state()))
    train(resumed, 5, 8)
    assert resumed.updates == 8
    assert difference(resumed.state(), whole.state()) < 1e-7


def test_a_fresh_engine_can_be_saved_and_loaded() -> None:
    engine = Engine(build(7), PLAN)
    engine.load(Engine(build(), PLAN).state())
    assert engine.updates == 0
    assert difference(engine.weights(), build().state_dict()) == 0.0


def test_a_state_of_another_model_is_refused() -> None:
    engine = Engine(build(), PLAN)
    state = engine.state()
    del state["model.2.weight"]
    with pytest.raises(Invalid, match="settings"):
        engine.load(state)


@pytest.mark.parametrize("name", ["model.2.weight", "ema.0.weight", "exp_avg.2.bias", "exp_avg_sq.0.weight"])
def test_a_state_of_another_model_is_refused_by_name(name: str) -> None:
    engine = Engine(build(), PLAN)
    train(engine, 0, 1)
    state = engine.state()
    for other in ({k: v for k, v in state.items() if k != name}, state | {name: torch.zeros(5, 5)}):
        with pytest.raises(Invalid, match=name):
            Engine(build(), PLAN).load(other)


def test_zero_stage_3_is_refused() -> None:
    with pytest.raises(Invalid, match="zero_stage"):
        Engine(build(), Plan(**{**vars(PLAN), "zero_stage": 3}))


# --------------------------------------------------------------------------------------------- bfloat16


class Halved(Regression):
    """The same of a model in bfloat16."""

    def loss(
        self, model: nn.Module, batch: Mapping[str, Tensor], *, generator: torch.Generator
    ) -> tuple[Tensor, dict[str, float]]:
        loss = (model(batch["x"].bfloat16()).float() - batch["y"]).square().mean()
        return loss, {}


def halved(engine: Engine, first: int, last: int) -> Engine:
    for update in range(first, last):
        assert engine.step(engine.loss(Halved(), batch(update), generator=torch.Generator())[0])
    return engine


@pytest.mark.parametrize("stage", [1, 2])
def test_a_model_in_bfloat16_adds_its_updates_up_in_float32(stage: int) -> None:
    """Updates of 1e-5 are below bfloat16's resolution of weights near 0.5: only float32 weights keep them."""
    plan = Plan(**{**vars(PLAN), "lr": 1e-5, "zero_stage": stage, "weight_decay": 0.0, "warmup": 1})
    engine = Engine(build().bfloat16(), plan)
    before = engine.state()
    halved(engine, 0, 4)
    moved = engine.state()["model.2.weight"] - before["model.2.weight"]
    assert engine.model[2].weight.dtype == torch.bfloat16
    assert 0.0 < float(moved.abs().max()) < 1e-4
    assert bool(moved.any())
    assert torch.equal(engine.weights(averaged=True)["2.weight"].float(), engine.weights()["2.weight"].float())


def test_a_loaded_engine_in_bfloat16_goes_on_as_if_nothing_had_happened() -> None:
    plan = Plan(**{**vars(PLAN), "zero_stage": 1})
    whole, half, resumed = (Engine(build(seed).bfloat16(), plan) for seed in (0, 0, 7))
    halved(whole, 0, 8)
    resumed.load(copy.deepcopy(halved(half, 0, 5).state()))
    halved(resumed, 5, 8)
    assert difference(resumed.state(), whole.state()) < 1e-7


def test_bfloat16_without_zero_is_refused() -> None:
    with pytest.raises(Invalid, match=r"zero_stage.*bfloat16"):
        Engine(build().bfloat16(), PLAN)


# --------------------------------------------------------------------------------------------- two workers


def _worker(index: int, count: int, port: int, folder: str) -> None:
    """Train 4 updates at each ZeRO stage, resume from them, train 3 more; worker 0 writes what came out."""
    names = {"RANK": index, "LOCAL_RANK": index, "WORLD_SIZE": count, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    os.environ.update({name: str(value) for name, value in names.items()})
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo")
    share = slice(index * 8 // count, (index + 1) * 8 // count)
    for stage in (0, 1, 2):
        plan = Plan(**{**vars(PLAN), "zero_stage": stage})
        engine = Engine(build(index), plan)
        train(engine, 0, 4, share)
        _write(engine, f"{folder}/half-{stage}-{count}")
        loss, _ = engine.loss(Regression(), batch(4, share), generator=torch.Generator())
        assert not engine.step(loss * (float("nan") if index == count - 1 else 1.0)), "one worker's nan concerns all"
        resumed = Engine(build(5), plan)
        resumed.load(load_file(f"{folder}/half-{(stage + 1) % 3}-{count}") if stage == 2 else engine.state())
        train(resumed, 4, 7, share)
        _write(resumed, f"{folder}/whole-{stage}-{count}")
    torch.distributed.destroy_process_group()


def _write(engine: Engine, path: str) -> None:
    state = engine.state()
    if rank() == 0:
        save_file({name: tensor.contiguous() for name, tensor in state.items()}, path)
    torch.distributed.barrier()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one and two workers came to."""
    path = tmp_path_factory.mktemp("engine")
    context = multiprocessing.get_context("spawn")
    for count in (1, 2):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        processes = [
            context.Process(target=_worker, args=(i, count, port, str(path)), daemon=True) for i in range(count)
        ]
        try:
            for process in processes:
                process.start()
            for process in processes:
                process.join(120)
            assert [process.exitcode for process in processes] == [0] * count
        finally:
            for process in processes:
                process.kill()
    return path


@pytest.mark.parametrize("stage", [0, 1, 2])
@pytest.mark.parametrize("count", [1, 2])
def test_workers_and_zero_stages_come_to_the_same_weights_across_a_resume(folder: Path, count: int, stage: int) -> None:
    plain = build()
    plainly(plain, 7)
    state = load_file(folder / f"whole-{stage}-{count}")
    weights = {name.removeprefix("model."): tensor for name, tensor in state.items() if name.startswith("model.")}
    assert int(state["updates"]) == 7
    assert difference(weights, plain.state_dict()) < 1e-5


@pytest.mark.parametrize("stage", [0, 1, 2])
def test_what_two_workers_saved_one_worker_goes_on_from(folder: Path, stage: int) -> None:
    engine, plain = Engine(build(3), PLAN), build()
    engine.load(load_file(folder / f"half-{stage}-2"))
    train(engine, 4, 7)
    plainly(plain, 7)
    assert difference(engine.weights(), plain.state_dict()) < 1e-5


def test_diverged_is_an_error_of_the_product() -> None:
    assert issubclass(DivergedError, RampError)
