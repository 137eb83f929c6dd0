"""The learning rate over a model's stages."""

from __future__ import annotations

from itertools import pairwise

import pytest

from services.learner.schedule import lr_factor, rounds


def course(spans: tuple[int, ...], warmup: int = 10, final: float = 0.1) -> list[float]:
    return [lr_factor(update, spans, warmup=warmup, final=final) for update in range(sum(spans) + 3)]


def test_a_span_rises_to_the_full_rate_and_falls_to_the_final_one() -> None:
    rates = course((100,))
    assert rates[0] == pytest.approx(0.1)
    assert rates[9] == rates[10] == 1.0
    assert rates[99] == pytest.approx(0.1, abs=0.01)
    assert all(a >= b for a, b in pairwise(rates[10:]))


def test_a_later_span_rises_from_the_final_rate_again() -> None:
    rates = course((100, 50))
    assert 0.1 < rates[100] < 0.25
    assert rates[110] == 1.0
    assert rates[150] == rates[152] == 0.1


def test_a_short_span_has_a_short_warm_up() -> None:
    assert max(course((8,), warmup=100)) == 1.0
    assert course((0, 4), warmup=100)[0] == 1.0


def test_no_warm_up_begins_at_the_full_rate() -> None:
    assert course((100,), warmup=0)[0] == 1.0


def test_a_stage_is_cut_into_rounds_and_what_is_left() -> None:
    assert rounds(2400, 1000) == (1000, 1000, 400)
    assert rounds(2000, 1000) == (1000, 1000)
    assert rounds(10, 10) == rounds(10, 99) == (10,)
    assert rounds(0, 10) == ()


def test_updates_of_a_model_that_is_updated_now_and_then_fall_into_the_same_rounds() -> None:
    assert rounds(2400, 1000, every=3) == (333, 333, 134)
    assert sum(rounds(17, 5, every=4)) == 17 // 4
