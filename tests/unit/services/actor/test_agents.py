"""Which weights act: the latest ones that fit, or exactly those asked for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from ramp.data.normalize import Normalizer
from ramp.errors import Corrupt, Invalid, NotFound
from ramp.models.manifest import policy_manifest, weights
from ramp.models.vla.config import Told
from ramp.models.vla.policy import VLAPolicy
from ramp.models.world.model import WorldModel
from ramp.types import Kind, Observation, StepSchema
from services.actor.agents import KEPT, Agents
from services.clients.registry import WEIGHTS, DirectoryRegistry
from tests.policies import ENV, RECIPE, publish


@pytest.fixture
def registry(tmp_path: Path) -> DirectoryRegistry:
    return DirectoryRegistry(tmp_path)


def test_the_latest_version_acts_from_the_next_episode_on(registry: DirectoryRegistry) -> None:
    agents = Agents(registry)
    publish(registry)
    first = agents.get(0, ENV.schema)
    assert agents.get(0, ENV.schema) is first
    publish(registry)

    assert (first.version, agents.get(0, ENV.schema).version) == (1, 2)


def test_an_agent_from_the_registry_decides(registry: DirectoryRegistry) -> None:
    publish(registry)
    now = ENV.reset(0)
    observation = Observation(images=ENV.render(), proprio=now.proprio, instruction=ENV.instruction)

    decision = Agents(registry).get(0, ENV.schema).decide(observation, generator=torch.Generator())

    assert decision.chunk.shape == (RECIPE.policy.chunk, ENV.schema.action_width)


def test_a_version_asked_for_by_number_is_that_version(registry: DirectoryRegistry) -> None:
    agents = Agents(registry)
    for _ in range(KEPT + 2):
        publish(registry)

    assert agents.get(0, ENV.schema).version == KEPT + 2
    assert [agents.get(version, ENV.schema).version for version in range(1, KEPT + 2)] == list(range(1, KEPT + 2))
    assert len(agents._kept) == KEPT
    assert KEPT + 2 in agents._kept


def test_without_any_policy_the_error_says_so(registry: DirectoryRegistry) -> None:
    with pytest.raises(NotFound, match="latest"):
        Agents(registry).get(0, ENV.schema)


@pytest.mark.parametrize(
    "other",
    [
        replace(ENV.schema, proprio_width=5),
        replace(ENV.schema, action_low=(-1.0,), action_high=(1.0,)),
        replace(ENV.schema, action_low=(-2.0, -2.0), action_high=(2.0, 2.0)),
    ],
    ids=["sensors", "actions", "bounds"],
)
def test_weights_of_another_robot_never_act(registry: DirectoryRegistry, other: StepSchema) -> None:
    agents = Agents(registry)
    publish(registry, other)
    with pytest.raises(Invalid, match="schema"):
        agents.get(0, ENV.schema)
    good = publish(registry)
    assert agents.get(0, ENV.schema).version == good
    publish(registry, other)

    assert agents.get(0, ENV.schema).version == good
    assert agents.get(0, ENV.schema).version == good


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"action_low": (-1.0,) * 3, "action_high": (1.0,) * 3}, "schema.action_width"),
        ({"action_high": (1.0, 2.0)}, "schema.action_high"),
        ({"cameras": {"front": ENV.schema.cameras["front"]}}, "schema.cameras"),
        ({"proprio_width": 5}, "schema.proprio_width"),
    ],
)
def test_what_differs_between_the_robots_is_named(
    registry: DirectoryRegistry, change: dict[str, object], field: str
) -> None:
    version = publish(registry, replace(ENV.schema, **change))
    with pytest.raises(Invalid, match=f"of policy {version}; this robot has") as refused:
        Agents(registry).get(version, ENV.schema)
    assert refused.value.field == field


def test_damaged_weights_leave_the_last_good_ones_acting(registry: DirectoryRegistry, tmp_path: Path) -> None:
    agents = Agents(registry)
    good = publish(registry)
    agents.get(0, ENV.schema)
    bad = publish(registry)
    (tmp_path / "policy" / f"{bad:08d}" / WEIGHTS).write_bytes(b"rust")

    assert agents.get(0, ENV.schema).version == good
    with pytest.raises(Corrupt):
        agents.get(bad, ENV.schema)


def test_a_policy_without_its_world_model_is_refused(registry: DirectoryRegistry) -> None:
    world = WorldModel(RECIPE.world, ENV.schema)
    policy = VLAPolicy(RECIPE.policy, ENV.schema, world.token_shape)
    normalizer = Normalizer.fit(np.random.rand(50, ENV.schema.proprio_width), np.random.rand(50, 2))
    version = registry.publish(Kind.POLICY, weights(policy), policy_manifest(policy, normalizer, Told()))

    with pytest.raises(Invalid, match="world_version"):
        Agents(registry).get(version, ENV.schema)
