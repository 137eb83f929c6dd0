"""The closed forms count what PyTorch's own counter sees, forward and backward."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.gpu.flops import world_flops
from benchmarks.gpu.sizes import FULL, SMALL, noise_batch
from benchmarks.gpu.subjects import PolicySubject, Subject, WorldSubject

ROWS = 2
FLOAT = replace(
    SMALL,
    dtype=torch.float32,
    policy=replace(SMALL.policy, checkpointing=False),
    world=replace(SMALL.world, checkpointing=False),
)


def counted(subject: Subject) -> tuple[float, float]:
    """Forward and backward FLOPs per sample of the training step, by PyTorch; attention as plain products, because the
    counter does not know the processor's own."""
    cpu = torch.device("cpu")
    model, batch = subject.new(cpu), noise_batch(subject.size, ROWS, cpu)
    with sdpa_kernel(SDPBackend.MATH):
        forward = FlopCounterMode(display=False)
        with forward:
            loss = loss_of(subject, model, batch)
        backward = FlopCounterMode(display=False)
        with backward:
            loss.backward()
    return forward.get_total_flops() / ROWS, backward.get_total_flops() / ROWS


def loss_of(subject: Subject, model: torch.nn.Module, batch: dict[str, Tensor]) -> Tensor:
    return subject.algorithm.loss(model, batch, generator=torch.Generator().manual_seed(0))[0]


def test_the_policys_closed_form_is_what_pytorch_counts() -> None:
    flops = PolicySubject(FLOAT).flops()
    assert counted(PolicySubject(FLOAT)) == (flops.forward, flops.backward)


def test_the_world_models_closed_form_is_what_pytorch_counts() -> None:
    """With the zeros before and behind a frame, which the tokenizer's convolutions multiply too."""
    flops = world_flops(FLOAT.world, FLOAT.layout, pixels=(32, 32), words=FLOAT.policy.prompt, moments=3)
    assert counted(WorldSubject(FLOAT)) == (flops.forward, flops.backward)


def test_products_with_padding_are_no_achievement() -> None:
    """What is achieved leaves them out, in the frozen tokenizer and nowhere else."""
    whole = world_flops(FLOAT.world, FLOAT.layout, pixels=(32, 32), words=FLOAT.policy.prompt, moments=3)
    counts = WorldSubject(FLOAT).flops()
    assert counts.forward < whole.forward
    assert counts.backward == whole.backward


@pytest.mark.parametrize("kind", [PolicySubject, WorldSubject], ids=["policy", "world model"])
def test_what_checkpointing_computes_twice_is_counted_once(kind: type[PolicySubject | WorldSubject]) -> None:
    assert kind(SMALL).flops() == kind(FLOAT).flops()


def test_at_full_size_nearly_all_is_six_times_weights_and_tokens() -> None:
    """The usual estimate, 2 forward and 4 backward, over the language model's and the world model's layers."""
    world = WorldSubject(FULL)
    estimate = 6 * 4_999_787_712 * world.tokens()
    assert 0.95 < world.flops().step / estimate < 1.2
    policy = PolicySubject(FULL)
    estimate = 6 * 2_024_517_888 * (policy.tokens() - 51)
    assert 1.0 < policy.flops().step / estimate < 1.4
