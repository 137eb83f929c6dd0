"""Schema and normalisation, read off no more demonstrations than promised."""

from __future__ import annotations

from pathlib import Path

import pytest

from ramp.errors import NotFound
from services.learner import basis
from services.learner.basis import find_basis
from tests.counting import counting_settings, teach
from tests.unit.services.learner.near import NearReplay


def test_no_more_episodes_are_fetched_than_promised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = counting_settings(tmp_path)
    replay, fetched = NearReplay(tmp_path / "replay", settings), []
    for seed in range(7):
        teach(replay, settings, "count-up", seed, "demos")
    real = replay.fetch
    monkeypatch.setattr(replay, "fetch", lambda name: fetched.append(name) or real(name))
    monkeypatch.setattr(basis, "EPISODES", 4)
    found = find_basis(replay)  # type: ignore[arg-type]
    assert len(fetched) == 4
    assert found.schema == real(fetched[0]).header.schema
    replay.close()


def test_an_empty_table_is_refused(tmp_path: Path) -> None:
    replay = NearReplay(tmp_path / "replay", counting_settings(tmp_path))
    with pytest.raises(NotFound, match="demos"):
        find_basis(replay)  # type: ignore[arg-type]
    replay.close()
