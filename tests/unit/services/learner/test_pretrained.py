"""Rounds of the joint stage: from the pre-trained models where that is wanted, whoever died in between."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from ramp.types import Kind
from services.common.settings import Settings
from services.learner.checkpoint import States
from services.learner.context import Context
from services.learner.loop import Learner
from services.learner.trainer import Trainer
from tests.counting import counting_settings
from tests.unit.services.learner.near import Killed, NearReplay, assert_complete, context, filled_replay, registry


class Rounds(Learner):
    """Remembers what its rounds began with."""

    def __init__(self, at: Context) -> None:
        super().__init__(at)
        self.began: list[States] = []
        real = self._pretrained.begin_round

        def remembered(trainer: Trainer) -> None:
            real(trainer)
            self.began.append(trainer.states())

        self._pretrained.begin_round = remembered  # type: ignore[method-assign]


def published(settings: Settings, kind: Kind, version: int | str) -> dict[str, torch.Tensor]:
    return {f"model.{name}": tensor for name, tensor in registry(settings).load(kind, version)[0].items()}


def assert_same(state: dict[str, torch.Tensor], weights: dict[str, torch.Tensor]) -> None:
    assert all(torch.equal(state[name], tensor) for name, tensor in weights.items())


def test_every_round_begins_from_the_pretrained_models(tmp_path: Path) -> None:
    settings = counting_settings(tmp_path, "training.restart=pretrained")
    replay = filled_replay(settings)
    learner = Rounds(context(settings, replay))
    learner.run()

    assert_complete(settings)
    assert len(learner.began) == 2, "one at the joint stage's beginning, one with the world model in its middle"
    for states in learner.began:
        assert_same(states["policy"], published(settings, Kind.POLICY, "stage2"))
        assert_same(states["predictor"], published(settings, Kind.WORLD, 1))
        assert not any(bool(t.any()) for name, t in states["policy"].items() if name.startswith("exp_avg"))
    stages, length = settings.stages, settings.training.relabel_every
    assert learner._models.engine("policy").plan.spans == (stages.policy_updates, length, length)
    assert learner._models.engine("predictor").plan.spans == (stages.world_updates, 2, 3)
    parents = {
        v: registry(settings).manifest(Kind.POLICY, v)["parent"] for v in registry(settings).versions(Kind.POLICY)
    }
    assert parents == {1: None} | dict.fromkeys(range(2, len(parents) + 1), 1)
    replay.close()


def test_rounds_go_on_from_each_other_unless_told_otherwise(settings: Settings, replay: NearReplay) -> None:
    learner = Rounds(context(settings, replay))
    learner.run()
    assert any(bool(t.any()) for name, t in learner.began[1]["policy"].items() if name.startswith("exp_avg"))
    assert [registry(settings).manifest(Kind.POLICY, v)["parent"] for v in (1, 2, 3)] == [None, 1, 2]


def test_a_learner_killed_in_a_later_round_comes_back_to_the_weights_that_this_round_began_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = counting_settings(tmp_path, "training.restart=pretrained", "learner.checkpoint_every=1")
    replay, real = filled_replay(settings), Trainer.update

    def dying(self, name, sampled, world=None):
        if len(learner.began) == 2:
            raise Killed
        return real(self, name, sampled, world)

    monkeypatch.setattr(Trainer, "update", dying)
    learner = Rounds(context(settings, replay))
    with pytest.raises(Killed):
        learner.run()
    monkeypatch.setattr(Trainer, "update", real)
    resumed = Learner(context(settings, replay))
    resumed._restore()
    for name, state in learner.began[1].items():
        again = resumed._models.engine(name).state()
        assert set(again) == set(state)
        assert_same(again, state)
    Learner(context(settings, replay)).run()
    assert_complete(settings)
    replay.close()
