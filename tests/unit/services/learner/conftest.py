"""Fixtures of the learner's tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from services.common.settings import Settings
from tests.counting import counting_settings
from tests.unit.services.learner.near import NearReplay, filled_replay


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Tiny models: more threads only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return counting_settings(tmp_path, "learner.checkpoint_every=3")


@pytest.fixture
def replay(settings: Settings) -> Iterator[NearReplay]:
    found = filled_replay(settings)
    yield found
    found.close()
