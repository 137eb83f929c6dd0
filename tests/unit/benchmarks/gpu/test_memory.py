"""A training step is planned before it is tried, and nothing is left out silently."""

from __future__ import annotations

import pytest
import torch

from benchmarks.gpu import training
from benchmarks.gpu.memory import Need, TooLargeError, fit
from benchmarks.gpu.sizes import FULL
from benchmarks.gpu.subjects import PolicySubject, Subject, WorldSubject

NEED = Need(layers=10, batch=1, trained=1_000_000_000, frozen=0, kept=1_000_000_000)
BATCHES = (32, 16, 8, 4, 2, 1)


def test_weights_moments_gradients_and_the_cast_are_eighteen_bytes_a_number() -> None:
    assert NEED.peak == 18e9 + 1e9
    assert Need(**{**vars(NEED), "batch": 32}).peak == 18e9 + 32e9
    assert Need(**{**vars(NEED), "frozen": 1_000_000_000}).peak == 18e9 + 6e9 + 1e9


@pytest.mark.parametrize(("room", "batch"), [(100e9, 32), (40e9, 16), (25e9, 4)])
def test_the_largest_batch_that_fits_is_taken(room: float, batch: int) -> None:
    found = fit(NEED, 90_000_000, int(room), BATCHES)
    assert (found.layers, found.batch) == (10, batch)
    assert found.peak < room


def test_where_the_model_does_not_fit_fewer_layers_are_taken_and_named() -> None:
    found = fit(NEED, 90_000_000, int(20e9), BATCHES)
    assert (found.layers, found.batch) == (9, 2)
    assert found.trained == 1_000_000_000 - 90_000_000
    assert str(found).startswith("9 layers")


def test_a_card_for_which_one_layer_is_too_large_is_refused() -> None:
    with pytest.raises(TooLargeError, match=r"1\.0 GB"):
        fit(NEED, 90_000_000, int(1e9), BATCHES)


@pytest.mark.parametrize("subject", [PolicySubject(FULL), WorldSubject(FULL)], ids=lambda subject: subject.name)
def test_the_full_size_fits_whole_on_a_card_of_141_gb(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "free_bytes", lambda device: 139 * 2**30)
    need = training.planned(subject, torch.device("cuda"), 0)
    assert (need.layers, need.batch) == (subject.layers, 32)
