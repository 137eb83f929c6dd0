"""Closed forms of the cosine transform."""

from __future__ import annotations

import numpy as np
import pytest

from ramp.data.dct import dct, dct_matrix, inverse_dct


@pytest.mark.parametrize("length", [1, 2, 8, 50])
def test_the_transform_is_orthonormal(length: int) -> None:
    np.testing.assert_allclose(dct_matrix(length) @ dct_matrix(length).T, np.eye(length), atol=1e-12)


def test_a_constant_has_one_coefficient_of_sqrt_n_times_it() -> None:
    coefficients = dct(np.full((8, 2), 0.7))
    np.testing.assert_allclose(coefficients[0], 0.7 * np.sqrt(8))
    np.testing.assert_allclose(coefficients[1:], 0.0, atol=1e-12)


def test_a_cosine_of_one_frequency_has_one_coefficient_of_sqrt_half_n() -> None:
    wave = np.cos(np.pi * (np.arange(8) + 0.5) * 3 / 8)[:, None]
    expected = np.zeros((8, 1))
    expected[3] = np.sqrt(8 / 2)
    np.testing.assert_allclose(dct(wave), expected, atol=1e-12)


def test_two_steps_become_their_sum_and_difference() -> None:
    np.testing.assert_allclose(dct(np.array([[3.0], [1.0]])), np.array([[4.0], [2.0]]) / np.sqrt(2))


def test_energy_is_kept_and_the_inverse_gives_the_chunk_back() -> None:
    x = np.random.default_rng(0).normal(size=(5, 8, 3))
    np.testing.assert_allclose(np.square(dct(x)).sum(axis=1), np.square(x).sum(axis=1))
    np.testing.assert_allclose(inverse_dct(dct(x)), x)
