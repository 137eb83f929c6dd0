"""The model-based test at the size of every test run."""

from __future__ import annotations

from tests.chaos.operations import OverTheWire, agree


def test_a_shard_does_what_its_model_does() -> None:
    assert agree(2500, seed=7) >= 2500


def test_a_server_does_what_the_model_of_its_shard_does() -> None:
    assert agree(150, seed=7, machine=OverTheWire) >= 150
