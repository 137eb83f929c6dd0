"""The discrete cosine transform over the steps of an action chunk: what is smooth needs few numbers."""

from __future__ import annotations

from functools import cache

import numpy as np


@cache
def dct_matrix(length: int) -> np.ndarray:
    """float64 [length, length], orthonormal DCT-II: row k holds sqrt(2 / n) cos(pi (i + 1/2) k / n), row 0 1 / sqrt(n).

    The inverse is the transpose. Read-only, since it is shared.
    """
    step, frequency = np.arange(length), np.arange(length)[:, None]
    matrix = np.sqrt(2.0 / length) * np.cos(np.pi * (step + 0.5) * frequency / length)
    matrix[0] = np.sqrt(1.0 / length)
    matrix.flags.writeable = False
    return matrix


def dct(x: np.ndarray) -> np.ndarray:
    """Coefficients float64 [..., H, A] of x [..., H, A], lowest frequency first, each dimension by itself."""
    return dct_matrix(x.shape[-2]) @ x


def inverse_dct(coefficients: np.ndarray) -> np.ndarray:
    """x float64 [..., H, A] of its coefficients [..., H, A]."""
    return dct_matrix(coefficients.shape[-2]).T @ coefficients
