"""Forward nothing changes; backward a share comes through."""

from __future__ import annotations

import pytest
import torch

from ramp.models.insulation import insulate


@pytest.mark.parametrize("alpha", [0.0, 0.1, 0.5, 1.0])
def test_the_value_is_kept_and_the_gradient_scaled(alpha: float) -> None:
    x = torch.tensor([1.0, -2.0, 3.0], requires_grad=True)
    y = insulate(x, alpha)
    assert torch.equal(y, x)
    (y**2).sum().backward()
    torch.testing.assert_close(x.grad, alpha * 2.0 * x.detach())


def test_without_insulation_there_is_nothing_in_between() -> None:
    x = torch.ones(2, requires_grad=True)
    assert insulate(x, 1.0) is x


def test_hard_insulation_agrees_with_detaching() -> None:
    weight = torch.tensor(3.0, requires_grad=True)
    x = torch.tensor(2.0, requires_grad=True)
    (insulate(weight * x, 0.0) * x).backward()
    assert float(weight.grad) == 0.0  # type: ignore[arg-type]
    assert float(x.grad) == 6.0  # type: ignore[arg-type]


def test_a_second_path_keeps_its_own_gradient() -> None:
    x = torch.tensor(2.0, requires_grad=True)
    (insulate(x, 0.25) * 4.0 + x * 3.0).backward()
    assert float(x.grad) == 0.25 * 4.0 + 3.0  # type: ignore[arg-type]
