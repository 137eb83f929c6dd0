"""Chunks to tokens and back."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ramp.data.action_tokens import LIMIT, ActionTokenizer, alphabet
from ramp.errors import Invalid

H, A = 8, 3


def smooth(count: int, seed: int = 0) -> np.ndarray:
    """Chunks as an arm moves: a start, a slope, a little curvature."""
    start, slope, curve = (
        np.random.default_rng(seed).normal(0, (0.4, 0.1, 0.01), (count, 1, A, 3)).transpose(3, 0, 1, 2)
    )
    step = np.arange(H)[None, :, None]
    return (start + slope * step + curve * step**2).astype(np.float32)


def fitted(scale: float = 10.0) -> ActionTokenizer:
    return ActionTokenizer.fit(smooth(200), size=alphabet(H, scale) + 100, scale=scale)


TOKENIZER = fitted()
NUMBERS = st.floats(-LIMIT, LIMIT, width=32)
CHUNKS = st.lists(NUMBERS, min_size=H * A, max_size=H * A).map(lambda x: np.array(x, np.float32).reshape(1, H, A))


@settings(max_examples=50)
@given(CHUNKS)
def test_any_chunk_comes_back_within_the_bound(chunk: np.ndarray) -> None:
    back = TOKENIZER.decode(TOKENIZER.encode(chunk)[0])
    assert back.dtype == np.float32
    assert np.abs(back - chunk[0]).max() <= TOKENIZER.error_bound + 1e-6
    assert np.sqrt(np.square(back - chunk[0]).mean(axis=0)).max() <= 0.5 / TOKENIZER.scale + 1e-6


@settings(max_examples=50)
@given(CHUNKS)
def test_tokens_of_a_decoded_chunk_are_the_same_tokens(chunk: np.ndarray) -> None:
    """Chunks in the middle of the range: at its edge the decoded chunk may leave it and is cut."""
    ids = TOKENIZER.encode(chunk / 2)[0]
    assert TOKENIZER.encode(TOKENIZER.decode(ids)[None])[0] == ids


def test_the_bound_of_a_single_step_is_half_a_step_of_the_quantiser_and_can_be_reached() -> None:
    single = ActionTokenizer.fit(np.zeros((1, 1, 1), np.float32), size=100, scale=10.0)
    assert single.error_bound == pytest.approx(0.05)
    assert abs(single.decode(single.encode(np.full((1, 1, 1), 0.0499))[0])[0, 0] - 0.0499) == pytest.approx(0.0499)


def test_the_bound_is_no_wider_than_that_of_cauchy_and_schwarz() -> None:
    assert 0.5 / TOKENIZER.scale < TOKENIZER.error_bound <= np.sqrt(H) / (2 * TOKENIZER.scale)


@pytest.mark.parametrize("scale", [1.0, 10.0, 100.0])
def test_a_finer_scale_brings_the_chunk_back_more_exactly(scale: float) -> None:
    tokenizer, chunks = fitted(scale), smooth(20, seed=1)
    back = np.stack([tokenizer.decode(ids) for ids in tokenizer.encode(chunks)])
    assert np.sqrt(np.square(back - chunks).mean()) <= 0.5 / scale


def test_smooth_chunks_become_far_fewer_tokens_than_numbers() -> None:
    lengths = [len(ids) for ids in TOKENIZER.encode(smooth(100, seed=2))]
    assert np.mean(lengths) < 0.5 * H * A


def test_low_frequencies_of_all_dimensions_come_first() -> None:
    plain = ActionTokenizer.fit(np.zeros((1, H, A), np.float32), size=alphabet(H, 10.0))
    constant = np.broadcast_to(np.array([0.1, -0.2, 0.3], np.float32), (1, H, A))
    zero = plain.pairs.symbols // 2
    expected = [zero + round(10 * np.sqrt(H) * value) for value in (0.1, -0.2, 0.3)] + [zero] * (H * A - A)
    assert plain.encode(constant) == [expected]


def test_what_lies_beyond_the_limit_is_cut_and_nothing_else_changes() -> None:
    chunk = np.full((1, H, A), 100.0, np.float32)
    assert TOKENIZER.encode(chunk) == TOKENIZER.encode(np.full((1, H, A), LIMIT, np.float32))


def test_a_tokenizer_survives_json() -> None:
    assert ActionTokenizer.from_dict(json.loads(json.dumps(TOKENIZER.to_dict()))) == TOKENIZER


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: ActionTokenizer.fit(np.zeros((0, H, A)), size=500),
        lambda: ActionTokenizer.fit(np.full((1, H, A), np.nan), size=500),
        lambda: ActionTokenizer.fit(np.zeros((1, H, A)), size=alphabet(H, 10.0) - 1),
        lambda: TOKENIZER.encode(np.zeros((1, H, A + 1))),
        lambda: TOKENIZER.encode(np.full((1, H, A), np.inf)),
        lambda: TOKENIZER.decode([0]),
        lambda: TOKENIZER.decode([TOKENIZER.size]),
        lambda: ActionTokenizer.from_dict({**TOKENIZER.to_dict(), "chunk": H + 1}),
        lambda: ActionTokenizer.from_dict({**TOKENIZER.to_dict(), "scale": 0.0}),
        lambda: ActionTokenizer.from_dict({"chunk": H}),
    ],
)
def test_what_does_not_fit_is_refused(wrong) -> None:
    with pytest.raises(Invalid):
        wrong()
