"""Limit cases of flow matching."""

from __future__ import annotations

import torch

from ramp.models.flow import draw_tau, integrate, interpolate, masked_mean, noise_like, velocity


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_tau_zero_is_noise_and_tau_one_is_data() -> None:
    clean, noise = torch.randn(3, 2, 4), torch.randn(3, 2, 4)
    assert torch.equal(interpolate(clean, noise, torch.zeros(3)), noise)
    assert torch.equal(interpolate(clean, noise, torch.ones(3)), clean)


def test_velocity_is_the_derivative_of_the_interpolation() -> None:
    clean, noise = torch.randn(5, 3, dtype=torch.float64), torch.randn(5, 3, dtype=torch.float64)
    tau, step = torch.rand(5, dtype=torch.float64), 1e-6
    slope = (interpolate(clean, noise, tau + step) - interpolate(clean, noise, tau)) / step
    torch.testing.assert_close(slope, velocity(clean, noise), rtol=1e-6, atol=1e-6)


def test_integrating_the_true_velocity_recovers_the_target_in_any_number_of_steps() -> None:
    target, start = torch.randn(4, 8, 2), torch.randn(4, 8, 2)
    for steps in (1, 3, 10):
        reached = integrate(lambda x, tau: velocity(target, start), start, steps)
        torch.testing.assert_close(reached, target, rtol=1e-5, atol=1e-5)


def test_one_step_with_the_marginal_velocity_lands_on_the_only_data_point() -> None:
    target, start = torch.full((2, 3), 0.7), torch.randn(2, 3)

    def field(x: torch.Tensor, tau: torch.Tensor) -> torch.Tensor:
        return (target - x) / (1.0 - tau[:, None])

    torch.testing.assert_close(integrate(field, start, 1), target)
    torch.testing.assert_close(integrate(field, start, 4), target)


def test_a_share_of_tau_is_exactly_zero() -> None:
    tau = draw_tau(4000, generator(), share_zero=0.5)
    assert 0.45 < (tau == 0).float().mean() < 0.55
    assert float(tau.max()) < 1.0
    assert not (draw_tau(4000, generator()) == 0).all()


def test_noise_depends_on_the_generator_alone() -> None:
    x = torch.zeros(3, 4)
    assert torch.equal(noise_like(x, generator(7)), noise_like(x, generator(7)))
    assert not torch.equal(noise_like(x, generator(7)), noise_like(x, generator(8)))


def test_masked_mean_ignores_what_is_masked_and_is_zero_over_nothing() -> None:
    values = torch.tensor([[1.0, 2.0], [1e9, float(3)]])
    mask = torch.tensor([[True, True], [False, True]])
    assert float(masked_mean(values, mask)) == 2.0
    assert float(masked_mean(values, torch.zeros(2, 2, dtype=torch.bool))) == 0.0
