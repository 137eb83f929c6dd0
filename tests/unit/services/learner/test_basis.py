"""Schema and normalisation, read off no more demonstrations than promised."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ramp.errors import Invalid, NotFound
from services.learner import basis
from services.learner.basis import find_basis, find_vocabulary
from services.learner.progress import Basis
from tests.counting import counting_settings, teach
from tests.unit.services.learner.near import NearReplay


def test_no_more_episodes_are_fetched_than_promised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = counting_settings(tmp_path)
    replay, fetched = NearReplay(tmp_path / "replay", settings), []
    for seed in range(7):
        teach(replay, settings, "count-up", seed, "demos")
    real = replay.fetch
    monkeypatch.setattr(replay, "fetch", lambda name, **how: fetched.append(name) or real(name, **how))
    monkeypatch.setattr(basis, "EPISODES", 4)
    found = find_basis(replay, settings.policy)  # type: ignore[arg-type]
    assert len(fetched) == 4
    assert found.schema == real(fetched[0]).header.schema
    assert found.thoughts is None
    replay.close()


def test_an_empty_table_is_refused(tmp_path: Path) -> None:
    settings = counting_settings(tmp_path)
    replay = NearReplay(tmp_path / "replay", settings)
    with pytest.raises(NotFound, match="demos"):
        find_basis(replay, settings.policy)  # type: ignore[arg-type]
    replay.close()


def test_the_words_of_thoughts_are_learnt_once_and_written_down(tmp_path: Path) -> None:
    settings = counting_settings(tmp_path, "policy.thought=true", "policy.text_vocabulary=300")
    replay = NearReplay(tmp_path / "replay", settings)
    for seed in range(4):
        teach(replay, settings, ("count-up", "count-down")[seed % 2], seed, "demos")
    found = find_basis(replay, settings.policy)  # type: ignore[arg-type]
    found.write(tmp_path / "basis.json")
    again = Basis.read(tmp_path / "basis.json")
    assert again is not None
    assert again.thoughts == found.thoughts is not None
    steps = replay.fetch("count-up-0-demos").steps
    chunk = found.normalizer.normalise_action(steps.action[:4])
    tokens, mask = found.thoughts.encode(["reach to count up"], [chunk], length=64)
    text, back = found.thoughts.read(tokens[0].tolist())
    assert text == "reach to count up"
    assert back is not None
    np.testing.assert_allclose(back, chunk, atol=found.thoughts.actions.error_bound)
    assert mask.sum() < 12, "both are few tokens, as they are common in the demonstrations"
    replay.close()


def test_unlabelled_demonstrations_teach_nobody_to_think(tmp_path: Path) -> None:
    settings = counting_settings(tmp_path, "policy.thought=true")
    replay = NearReplay(tmp_path / "replay", settings)
    teach(replay, settings, "count-up", 0, "demos")
    basis = find_basis(replay, settings.policy)  # type: ignore[arg-type]
    steps = replace(replay.fetch("count-up-0-demos").steps, subgoal=None, hand=None)
    with pytest.raises(Invalid, match="thought"):
        find_vocabulary([steps], basis.normalizer, settings.policy)
    replay.close()
