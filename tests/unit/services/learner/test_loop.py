"""The stage machine through all stages, over its own death and over a stop."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ramp.models.agent import Agent
from ramp.types import Kind, Observation
from services.common.settings import Settings
from services.learner import relabel
from services.learner.checkpoint import Checkpoints
from services.learner.loop import Learner
from services.learner.progress import DONE
from services.learner.published import observations
from services.learner.trainer import Trainer
from tests.counting import counting_settings, teach
from tests.unit.services.learner.near import (
    Killed,
    NearReplay,
    assert_complete,
    context,
    filled_replay,
    registry,
)


def seen_by(replay: NearReplay) -> Observation:
    """What the first frame of some episode shows."""
    episode = replay.fetch(replay.query()[0].episode_id)
    return observations(episode, slice(0, 1))[0]


def test_all_stages_end_with_versions_that_an_agent_can_act_with(settings: Settings, replay: NearReplay) -> None:
    learner = Learner(context(settings, replay))
    learner.run()

    assert learner.progress.stage == DONE
    assert_complete(settings)
    policy, manifest = registry(settings).load(Kind.POLICY, "final")
    world, world_manifest = registry(settings).load(Kind.WORLD, manifest["world_version"])
    assert Agent.from_registry_parts(policy, manifest, world, world_manifest).policy.token_shape
    assert manifest["watermark"]["items"]["demos"] > 0
    assert "policy.flow" in manifest["metrics"]


def test_depth_goes_through_a_whole_run_into_a_policy_that_can_do_without(tmp_path: Path) -> None:
    settings = counting_settings(tmp_path, "env.depth=true", "policy.shift=1")
    replay = filled_replay(settings)
    Learner(context(settings, replay)).run()

    policy, manifest = registry(settings).load(Kind.POLICY, "final")
    world, world_manifest = registry(settings).load(Kind.WORLD, manifest["world_version"])
    assert float(policy["backbone.views.0.patchify.weight"][:, 3].abs().max()) > 0.0
    assert world["tokenizer.encoder.0.weight"].shape[1] == 3
    agent = Agent.from_registry_parts(policy, manifest, world, world_manifest)
    deep = seen_by(replay)
    plain = replace(deep, images={name: frame[..., :3] for name, frame in deep.images.items()})
    chunks = [agent.decide(each, generator=torch.Generator().manual_seed(0)).chunk for each in (deep, plain)]
    assert (chunks[0] != chunks[1]).any()
    replay.close()


def test_a_world_model_of_the_value_alone_serves_a_policy_that_is_not_told_of_the_future(tmp_path: Path) -> None:
    settings = counting_settings(tmp_path, "world.predicts=value", "training.algorithm=recap")
    replay = filled_replay(settings)
    Learner(context(settings, replay)).run()

    assert_complete(settings)
    assert all(table.labelled == 1.0 for table in replay.info().tables if table.items)
    policy, manifest = registry(settings).load(Kind.POLICY, "final")
    world, world_manifest = registry(settings).load(Kind.WORLD, manifest["world_version"])
    agent = Agent.from_registry_parts(policy, manifest, world, world_manifest)
    decision = agent.decide(seen_by(replay), generator=torch.Generator())
    assert 0.0 <= decision.remaining <= 1.0
    replay.close()


def test_a_policy_learns_to_think_in_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its terms of Eq. 1 fall, with the flow's gradient kept from the backbone, and it writes what it is about."""
    thinking = ("policy.thought=true", "policy.insulation=0", "policy.thought_length=24", "policy.track_stride=2")
    pace = ("stages.policy_updates=150", "stages.joint_updates=10", "training.policy_lr=3e-3", "training.ema=0.9")
    settings = counting_settings(tmp_path, *thinking, *pace)
    replay, reports = filled_replay(settings), []
    worker = context(settings, replay)
    say = worker.telemetry.updated
    monkeypatch.setattr(worker.telemetry, "updated", lambda m, r, p: (reports.append((m, r)), say(m, r, p)))
    Learner(worker).run()

    told = [report for model, report in reports if model == "policy"]
    for term in ("words", "track"):
        first, last = (sum(report[term] for report in part) / 5 for part in (told[:5], told[-5:]))
        assert last < first / 4, term
    policy, manifest = registry(settings).load(Kind.POLICY, "final")
    world, world_manifest = registry(settings).load(Kind.WORLD, manifest["world_version"])
    agent = Agent.from_registry_parts(policy, manifest, world, world_manifest)
    for task in ("count-up", "count-down"):
        episode = replay.fetch(f"{task}-0-demos")
        found = agent.think(observations(episode, slice(0, 1))[0])
        assert found.subgoal == episode.steps.subgoal[0]
        ahead = episode.steps.hand[2:21:2]
        assert abs(found.track[: len(ahead)] - ahead).mean() < 0.2  # 0.3 where nothing was learnt
    replay.close()


def test_everything_is_labelled_by_the_published_world_model(settings: Settings, replay: NearReplay) -> None:
    Learner(context(settings, replay)).run()

    assert replay.annotated[0][0] == 1
    assert not replay.annotated[0][2]
    assert all(table.labelled == 1.0 for table in replay.info().tables if table.items)


def test_demonstrations_are_complete_when_each_task_has_its_own(tmp_path: Path) -> None:
    """A surplus of one task does not make up for another."""
    settings = counting_settings(tmp_path)
    replay, each = NearReplay(tmp_path / "replay", settings), settings.demos.episodes_per_task
    for seed in range(each + 1):
        teach(replay, settings, "count-up", seed, "demos")
    for seed in range(each - 1):
        teach(replay, settings, "count-down", seed, "demos")
    learner = Learner(context(settings, replay))
    assert not learner._read_demonstrations()
    teach(replay, settings, "count-down", each, "demos")
    assert learner._read_demonstrations()
    replay.close()


def test_a_late_episode_is_labelled_too_while_the_training_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relabel, "PAUSE_S", 0.0)
    settings = counting_settings(tmp_path, "stages.joint_updates=400", "training.relabel_every=1000")
    replay, late = filled_replay(settings), []

    class Late(Learner):
        def _joint_update(self, chunks, windows):
            if not late and self.progress.update == 2:
                late.append(teach(replay, settings, "count-up", 77, "online", policy_version=1))
            if late and self.progress.update < 398 and not replay.query(unlabelled_by=1):
                self.progress.update = 398  # seen what was to be seen
            return super()._joint_update(chunks, windows)

    Late(context(settings, replay)).run()

    assert (1, 1, True) in replay.annotated
    replay.close()


@pytest.mark.parametrize("at", [3, 4, 10, 26])
def test_a_death_at_any_update_is_survived_and_nothing_is_published_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    settings = counting_settings(tmp_path, "learner.checkpoint_every=4")
    replay, real, left = filled_replay(settings), Trainer.update, [at]

    def dying(self, name, sampled, world=None):
        left[0] -= 1
        if left[0] == 0:
            raise Killed
        return real(self, name, sampled, world)

    monkeypatch.setattr(Trainer, "update", dying)
    with pytest.raises(Killed):
        Learner(context(settings, replay)).run()
    learner = Learner(context(settings, replay))
    learner.run()

    assert learner.progress.stage == DONE
    assert_complete(settings)
    replay.close()


def test_a_checkpoint_after_the_tokenizer_s_last_update_brings_the_tokenizer_back(
    settings: Settings, replay: NearReplay, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The checkpoint holds the tokenizer alone, the predictor's engine is made later. Die before the next one."""
    real, calls = Trainer.update, []

    def dying(self, name, sampled, world=None):
        calls.append(name)
        if len(calls) == settings.stages.tokenizer_updates + 2:
            raise Killed
        return real(self, name, sampled, world)

    monkeypatch.setattr(Trainer, "update", dying)
    with pytest.raises(Killed):
        Learner(context(settings, replay)).run()
    learner = Learner(context(settings, replay))
    learner.run()

    assert settings.stages.tokenizer_updates == settings.learner.checkpoint_every
    assert registry(settings).load(Kind.WORLD, 1)[0]["tokenizer.mean"].abs().sum() > 0.0


def test_a_done_run_does_nothing_more(settings: Settings, replay: NearReplay) -> None:
    Learner(context(settings, replay)).run()
    before = registry(settings).versions(Kind.POLICY)
    Learner(context(settings, replay)).run()

    assert registry(settings).versions(Kind.POLICY) == before


def test_a_damaged_checkpoint_is_passed_over(settings: Settings, replay: NearReplay) -> None:
    Learner(context(settings, replay)).run()
    folder = Path(settings.dir) / "checkpoints"
    newest, before = Checkpoints(folder).numbers()[-1], Checkpoints(folder).numbers()[-2]
    path = folder / f"{newest:08d}" / "policy.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 0xFF
    path.write_bytes(content)

    assert Checkpoints(folder).newest() == before
    learner = Learner(context(settings, replay))
    learner.run()
    assert learner.progress.stage == DONE
    assert_complete(settings)


def test_a_stop_is_heeded_where_the_learner_waits_for_data_and_can_be_resumed(tmp_path: Path) -> None:
    settings = counting_settings(tmp_path)
    replay = NearReplay(tmp_path / "replay", settings)
    for task in settings.tasks:
        for seed in range(settings.demos.episodes_per_task):
            teach(replay, settings, task, seed, "demos")
    stopped = context(settings, replay)
    asked = iter([False] * 30)
    stopped.telemetry.stop_requested = lambda: next(asked, True)  # type: ignore[method-assign]
    learner = Learner(stopped)
    learner.run()
    assert learner.progress.stage == "joint", "online is empty, so the joint stage waits"

    for seed in range(3):
        teach(replay, settings, "count-up", seed, "online")
    resumed = Learner(context(settings, replay))
    resumed.run()
    assert resumed.progress.stage == DONE
    assert_complete(settings)
    replay.close()
