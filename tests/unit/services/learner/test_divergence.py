"""Updates, weights and checkpoints that are no numbers, or lost: left out, counted, gone back from, and given up."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from prometheus_client import Counter

from ramp.types import Kind
from services.common import metrics
from services.common.settings import Settings
from services.learner.checkpoint import Checkpoints
from services.learner.divergence import DivergedError
from services.learner.loop import Learner
from services.learner.progress import DONE
from services.learner.rewinds import MAX_REWINDS
from services.learner.trainer import BAD_IN_A_ROW, Trainer
from tests.counting import counting_settings
from tests.unit.services.learner.near import NearReplay, assert_complete, context, filled_replay, registry


def test_a_predictor_that_stays_bad_is_noticed_between_good_policy_updates(
    settings: Settings, replay: NearReplay, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, bad = Trainer.update, []

    def poisoned(self, name, sampled, world=None):
        if name == "predictor" and self._settings.stages.world_updates <= self.engine(name).updates and len(bad) < 3:
            bad.append(name)
            sampled.tensors["proprio"].fill_(float("nan"))
        return real(self, name, sampled, world)

    monkeypatch.setattr(Trainer, "update", poisoned)
    learner = Learner(context(settings, replay))
    learner.run()

    assert learner._rewinds.count == 1


def test_three_bad_updates_in_a_row_go_back_to_the_checkpoint(
    settings: Settings, replay: NearReplay, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = Trainer.update, []

    def poisoned(self, name, sampled, world=None):
        calls.append(name)
        if len(calls) in (4, 15, 16, 17):
            sampled.tensors["proprio"].fill_(float("nan"))
        return real(self, name, sampled, world)

    monkeypatch.setattr(Trainer, "update", poisoned)
    learner = Learner(context(settings, replay))
    learner.run()

    assert learner.progress.stage == DONE
    assert learner._rewinds.count == 1
    assert_complete(settings)
    assert all(torch.isfinite(t).all() for t in registry(settings).load(Kind.POLICY, "final")[0].values())


def counted(metric: Counter, *labels: str) -> float:
    """What a counter has come to in this process."""
    found = metric.labels(*labels) if labels else metric
    return float(found._value.get())


def poisoned_at(call: int, monkeypatch: pytest.MonkeyPatch, poison: Callable[[Trainer], None]) -> None:
    """Before its so-many-th update of the policy in the joint stage the trainer is given the poison, once."""
    real, left = Trainer.update, [call]

    def poisoned(self, name, sampled, world=None):
        if name == "policy" and self.engine(name).updates >= self._settings.stages.policy_updates:
            left[0] -= 1
            if left[0] == 0:
                poison(self)
        return real(self, name, sampled, world)

    monkeypatch.setattr(Trainer, "update", poisoned)


@torch.no_grad()
def spoil_the_expert(trainer: Trainer) -> None:
    next(trainer.policy.expert.parameters()).view(-1)[0] = torch.nan


@torch.no_grad()
def spoil_what_no_loss_uses(trainer: Trainer) -> None:
    """Without a method that is told of the future, nothing asks this part."""
    trainer.policy.place.view(-1)[0] = torch.inf


def assert_published_are_numbers(settings: Settings) -> None:
    for kind in Kind:
        for version in registry(settings).versions(kind):
            assert all(torch.isfinite(t).all() for t in registry(settings).load(kind, version)[0].values())


def test_weights_that_turn_bad_are_counted_noticed_and_left_for_the_last_good_ones(
    settings: Settings, replay: NearReplay, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = [counted(metrics.LEARNER_SKIPPED, "policy"), counted(metrics.LEARNER_REWINDS)]
    poisoned_at(8, monkeypatch, spoil_the_expert)
    Learner(context(settings, replay)).run()

    assert counted(metrics.LEARNER_SKIPPED, "policy") - before[0] == BAD_IN_A_ROW
    assert counted(metrics.LEARNER_REWINDS) - before[1] == 1
    assert_complete(settings)
    assert_published_are_numbers(settings)


def test_bad_weights_that_no_loss_uses_are_neither_published_nor_checkpointed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = counting_settings(tmp_path, "learner.checkpoint_every=3", "training.algorithm=bc")
    replay, before = filled_replay(settings), counted(metrics.LEARNER_SKIPPED, "policy")
    poisoned_at(8, monkeypatch, spoil_what_no_loss_uses)
    learner = Learner(context(settings, replay))
    learner.run()

    assert counted(metrics.LEARNER_SKIPPED, "policy") == before, "no update was bad"
    assert learner._rewinds.count == 1
    assert_complete(settings)
    assert_published_are_numbers(settings)
    replay.close()


def test_a_checkpoint_that_the_training_diverges_from_again_gives_way_to_the_one_before(
    settings: Settings, replay: NearReplay, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was written too late: its weights are numbers still, and no loss of theirs is."""
    real, spoilt = Checkpoints.save, []

    def spoiling(self, progress, states):
        if progress["stage"] == "joint" and progress["update"] == 9 and not spoilt:
            policy = {n: t * 1e30 if n.startswith("model.") else t for n, t in states["policy"].items()}
            spoilt.append(real(self, progress, {**states, "policy": policy}))
            return spoilt[0]
        return real(self, progress, states)

    monkeypatch.setattr(Checkpoints, "save", spoiling)
    poisoned_at(11, monkeypatch, spoil_the_expert)
    learner = Learner(context(settings, replay))
    learner.run()

    assert len(spoilt) == 1
    assert learner._rewinds.count == 2, "once to the spoilt one, once to the one before"
    assert_complete(settings)
    assert_published_are_numbers(settings)


def test_a_training_that_always_diverges_ends_and_can_be_resumed_where_it_was_good(
    settings: Settings, replay: NearReplay, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, bad = Trainer.update, []

    def poisoned(self, name, sampled, world=None):
        if name == "policy" and self.engine(name).updates >= settings.stages.policy_updates + 4:
            bad.append(name)
            sampled.tensors["proprio"].fill_(float("nan"))
        return real(self, name, sampled, world)

    monkeypatch.setattr(Trainer, "update", poisoned)
    with pytest.raises(DivergedError, match=r"diverged 6 times.*learning rate"):
        Learner(context(settings, replay)).run()
    assert len(bad) == (MAX_REWINDS + 1) * BAD_IN_A_ROW

    monkeypatch.setattr(Trainer, "update", real)
    resumed = Learner(context(settings, replay))
    resumed._restore()
    assert resumed.progress.stage == "joint", "at its beginning or later: stages 1 and 2 are not lost"
    Learner(context(settings, replay)).run()
    assert_complete(settings)
