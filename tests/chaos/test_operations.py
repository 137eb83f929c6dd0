"""The model-based test at the size of every test run."""

from __future__ import annotations

from tests.chaos.operations import OverTheWire, run


def test_a_shard_does_what_its_model_does() -> None:
    assert run(2500, seed=7)["operations"] >= 2500


def test_a_server_does_what_the_model_of_its_shard_does() -> None:
    assert run(150, seed=7, machine=OverTheWire)["operations"] >= 150
