"""An arm of Table 1 in this process: what it says, and that the four are tried on the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ramp.data.transforms import fold_of
from ramp.errors import Invalid, NotFound, Unavailable
from ramp.models.world.latents import Layout
from ramp.replay.shard import Shard, ShardConfig
from services.common.settings import Settings, compose
from services.conductor.study.value_plan import ARMS
from services.learner import values
from services.learner.basis import find_basis
from services.learner.divergence import DivergedError
from tests.counting import teach
from tests.unit.services.learner.near import NearReplay

UPDATES = ("stages.world_updates=4", "stages.tokenizer_updates=2", "value.width=16", "value.channels=4")
TASKS = ("count-up", "count-down")


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    """A finished run of the counting world, as far as this process reads one."""
    settings = compose("counting", None, [])
    replay = NearReplay(tmp_path / "replay", settings)
    for task in TASKS:
        for seed in range(3):
            teach(replay, settings, task, seed, "demos")
        teach(replay, settings, task, 9, "online")
    find_basis(replay, settings.policy).write(tmp_path / "checkpoints" / "basis.json")  # type: ignore[arg-type]
    replay.shard.close()
    return tmp_path


def told(run_dir: Path, arm: str, *overrides: str) -> list[dict[str, Any]]:
    (chosen,) = (each for each in ARMS if each.name == arm)
    return list(values.measure(settings_of(*chosen.settings, *overrides), run_dir, chosen.model, 0.25))


def settings_of(*overrides: str) -> Settings:
    return compose("counting", None, [*UPDATES, *overrides])


def test_every_arm_answers_for_the_same_frames(run_dir: Path) -> None:
    truth, found = set(), {}
    for arm in [each.name for each in ARMS]:
        *progress, found[arm] = told(run_dir, arm)
        assert (progress[-1]["update"], progress[-1]["of"]) == (4, 4)
        assert found[arm]["seconds_per_frame"] > 0
        assert found[arm]["learnt_from"] == 6
        truth.add(str([(each["episode"], each["task"], each["remaining"]) for each in found[arm]["episodes"]]))
        for episode in found[arm]["episodes"]:
            assert len(episode["predicted"]) == len(episode["remaining"]) > 0
            assert 0.0 <= min(episode["predicted"]) <= max(episode["predicted"]) <= 1.0
    assert len(truth) == 1
    assert [each["task"] for each in found["vlm-scalar"]["episodes"]] == sorted(TASKS)
    assert found["wm-state+value"]["parameters"] > found["wm-value-only"]["parameters"]


@pytest.mark.parametrize("arm", ["wm-value-only", "wm-state+value"])
def test_both_outputs_of_a_world_model_are_asked_for_all_episodes(run_dir: Path, arm: str) -> None:
    found = told(run_dir, arm)[-1]
    held_out, learnt = ({each["episode"] for each in found[part]} for part in ("episodes", "learnt"))
    assert len(learnt) == found["learnt_from"] == 6
    assert not learnt & held_out
    for each in found["episodes"] + found["learnt"]:
        mean = np.mean([each["label"], each["other"]], axis=0)
        assert each["predicted"] == pytest.approx(mean, abs=1e-5)
        assert each["label"] != each["other"]


def test_a_model_of_one_output_has_no_other_to_be_compared_with(run_dir: Path) -> None:
    found = told(run_dir, "vlm-scalar")[-1]
    assert found["learnt"] == []
    assert "label" not in found["episodes"][0]


def test_the_output_that_labels_an_episode_takes_no_loss_from_its_half(
    run_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Outputs that have learnt nothing but who they are: 0.25 for the first, 0.75 for the second."""
    known = torch.tensor([0.25, 0.75])
    monkeypatch.setattr(Layout, "read_values", lambda self, s: known.expand(len(s), 2))
    for each in (found := told(run_dir, "wm-value-only")[-1])["episodes"] + found["learnt"]:
        assert set(each["label"]) == {known[fold_of(each["episode"])].item()}
        assert set(each["other"]) == {known[1 - fold_of(each["episode"])].item()}


def test_the_world_models_tokenizer_comes_first(run_dir: Path) -> None:
    lessons = [said["lesson"] for said in told(run_dir, "wm-value-only")[:-1]]
    assert list(dict.fromkeys(lessons)) == ["tokenizer", "predictor"]


def test_an_arm_is_repeated_to_the_digit(run_dir: Path) -> None:
    first, again = (told(run_dir, "vlm-scalar")[-1]["episodes"] for _ in range(2))
    assert first == again


def test_a_run_that_is_open_or_has_not_begun_is_refused(run_dir: Path, tmp_path: Path) -> None:
    shard = Shard(run_dir / "replay", ShardConfig())
    with pytest.raises(Unavailable, match="open in another process"):
        told(run_dir, "vlm-scalar")
    shard.close()
    (run_dir / "checkpoints" / "basis.json").unlink()
    with pytest.raises(NotFound, match="let it finish first"):
        told(run_dir, "vlm-scalar")


def test_another_model_is_refused_with_the_choice(run_dir: Path) -> None:
    with pytest.raises(Invalid, match="vlm or world"):
        list(values.measure(settings_of(), run_dir, "gvl", 0.25))


def test_a_training_that_is_never_finite_ends_with_an_error(run_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ramp.models.value import ValueModel

    monkeypatch.setattr(ValueModel, "forward", lambda self, _: self.head.weight.sum() * torch.full((8, 1), torch.nan))
    with pytest.raises(DivergedError, match="in a row"):
        told(run_dir, "vlm-scalar", "training.world_batch=8")
