"""The learner group through all stages: Ray Train, DeepSpeed, a replay server process and a real Redis."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ramp.models.agent import Agent
from ramp.types import Kind
from services.learner.checkpoint import Checkpoints
from services.learner.progress import DEMOS, DONE, JOINT, POLICY, WORLD
from tests.counting import counting_settings
from tests.loop.fleet import local_ray
from tests.loop.learning import Classroom, classroom
from tests.waiting import eventually

pytestmark = [pytest.mark.loop, pytest.mark.timeout(900), pytest.mark.xdist_group("learner")]


@pytest.fixture(scope="module", autouse=True)
def _ray() -> Iterator[None]:
    with local_ray():
        yield


def assert_taught(room: Classroom) -> None:
    """All versions that the recipe promises, once each; everything labelled; an agent can act with the last ones."""
    stages, training, registry = room.settings.stages, room.settings.training, room.registry
    first, last = stages.policy_updates, stages.policy_updates + stages.joint_updates
    between = range(first + training.publish_every, last, training.publish_every)
    assert room.updates(Kind.POLICY) == [first, *between, last]
    assert len(room.updates(Kind.WORLD)) == 1 + (stages.joint_updates - 1) // training.relabel_every
    assert registry.aliases(Kind.POLICY) == {"stage2": 1, "latest": len(between) + 2, "final": len(between) + 2}
    policy, manifest = registry.load(Kind.POLICY, "final")
    world, world_manifest = registry.load(Kind.WORLD, "final")
    assert manifest["world_version"] == world_manifest["version"]
    Agent.from_registry_parts(policy, manifest, world, world_manifest)


def test_a_learner_group_goes_through_all_stages(tmp_path: Path) -> None:
    """Two workers, and the policy thinks, as this is when most is asked of a batch. One worker: every whole run."""
    thought = ("policy.thought=true", "policy.insulation=0.1")
    settings = counting_settings(tmp_path, "learner.workers=2", "learner.threads=1", *thought)
    with classroom(settings) as room:
        room.learn()

        assert_taught(room)
        info = room.client.info()
        assert info.annotation_version >= 1
        assert all(table.labelled == 1.0 for table in info.tables if table.items)
        said = [fields for _, fields in room.board.tail("learner")]
        stages = list(dict.fromkeys(fields["stage"] for fields in said))
        assert stages == [stage for stage in (DEMOS, WORLD, POLICY, JOINT, DONE) if stage in stages]
        curves = {"policy.flow", "policy.words", "policy.track", "predictor.value", "tokenizer.reconstruction"}
        assert curves <= {name for fields in said for name in fields}
        assert room.board.aliases()["policy/final"] == room.registry.resolve(Kind.POLICY, "final")


def test_a_stopped_learner_goes_on_with_another_number_of_workers(tmp_path: Path) -> None:
    rhythm = ("stages.joint_updates=100000", "training.publish_every=20", "learner.checkpoint_every=10000")
    settings = counting_settings(tmp_path, *rhythm, "learner.threads=1")
    with classroom(settings) as room:
        with room.learning():
            eventually(lambda: (room.registry.resolve(Kind.POLICY, "latest") or 0) > 1, timeout_s=240)
            assert room.board.request_stop()
        _, states = Checkpoints(tmp_path / "checkpoints").load(Checkpoints(tmp_path / "checkpoints").newest())
        reached = int(states["policy"]["updates"])
        assert reached >= settings.stages.policy_updates + 20, "it wrote a checkpoint where it stopped"
        room.board.clear()

        last = reached - settings.stages.policy_updates + 5
        room.settings = counting_settings(tmp_path, f"stages.joint_updates={last}", "learner.workers=2", *rhythm[1:2])
        room.learn()
        assert room.updates(Kind.POLICY)[-1] == reached + 5
        assert len(set(room.updates(Kind.POLICY))) == len(room.updates(Kind.POLICY))
