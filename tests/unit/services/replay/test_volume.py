"""The volume's space is told, and a volume that is gone ends nothing."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from services.replay.volume import Volume
from tests.told import told


def test_space_is_that_of_the_directory_s_volume(tmp_path: Path) -> None:
    assert Volume(tmp_path).turn()
    assert told("ramp_replay_disk_capacity_bytes") == shutil.disk_usage(tmp_path).total
    assert told("ramp_replay_disk_free_bytes") == pytest.approx(shutil.disk_usage(tmp_path).free, rel=0.1)


def test_a_directory_that_is_gone_is_looked_at_again_later(tmp_path: Path) -> None:
    assert Volume(tmp_path / "gone").turn()
