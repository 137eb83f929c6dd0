"""The model-based test at the size of every test run."""

from __future__ import annotations

from tests.chaos.operations import run


def test_a_shard_does_what_its_model_does() -> None:
    assert run(2500, seed=7)["operations"] >= 2500
