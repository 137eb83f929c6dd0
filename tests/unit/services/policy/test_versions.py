"""Which weights are served: those that the alias points to, if they are good."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from ramp.errors import NotFound, Unavailable
from ramp.models.agent import Agent
from ramp.models.vla import PaliGemmaConfig
from ramp.types import Kind
from services.clients.agents import read_agent
from services.clients.registry import WEIGHTS, DirectoryRegistry
from services.clients.releases import Releases
from services.policy.versions import Following, Versions
from tests.policies import ENV, RECIPE, observation, publish, statistics
from tests.unit.services.common.test_metrics import exported

FOLLOWING = Following(aliases=("stable", "latest"), config=RECIPE.policy)


@pytest.fixture
def registry(tmp_path: Path) -> DirectoryRegistry:
    return DirectoryRegistry(tmp_path)


def following(registry: DirectoryRegistry, what: Following = FOLLOWING) -> Versions:
    versions = Versions(registry, what)
    versions.look()
    return versions


def spoil(registry: DirectoryRegistry, version: int) -> None:
    (registry.root / "policy" / f"{version:08d}" / WEIGHTS).write_bytes(b"rust")


def test_without_a_version_there_is_nothing_to_serve(registry: DirectoryRegistry) -> None:
    with pytest.raises(Unavailable, match="stable or latest"):
        following(registry).served()


def test_what_is_stable_goes_before_what_is_latest(registry: DirectoryRegistry) -> None:
    first, second = publish(registry), publish(registry)
    versions = following(registry)
    assert (versions.served().version, versions.alias()) == (second, "latest")
    Releases(registry).promote("stable", first, who="ada", why="tried", numbers={})

    versions.look()

    assert (versions.served().version, versions.alias()) == (first, "stable")
    assert versions.loaded == (second, first)


def test_the_oldest_version_is_let_go_of(registry: DirectoryRegistry) -> None:
    versions = Versions(registry, replace(FOLLOWING, kept=2))
    for _ in range(3):
        publish(registry)
        versions.look()

    assert versions.loaded == (2, 3)
    assert versions.get(2).version == 2
    with pytest.raises(NotFound, match="policy 1 is not loaded; these are: 2, 3"):
        versions.get(1)


@pytest.mark.parametrize("fault", ["rust", "schema", "statistics"])
def test_a_bad_version_leaves_the_last_good_one_serving_and_is_counted_once(
    registry: DirectoryRegistry, fault: str
) -> None:
    good = publish(registry)
    versions = following(registry)
    if fault == "rust":
        spoil(registry, publish(registry))
    elif fault == "schema":
        publish(registry, replace(ENV.schema, proprio_width=5))
    else:
        publish(registry, normalizer=statistics(ENV.schema, seed=1))
    code = "DATA_LOSS" if fault == "rust" else "INVALID_ARGUMENT"
    before = exported("ramp_policy_refused_total", {"code": code})

    versions.look()
    versions.look()

    assert versions.served().version == good
    assert exported("ramp_policy_refused_total", {"code": code}) == before + 1
    mended = publish(registry)
    versions.look()
    assert versions.served().version == mended
    assert exported("ramp_policy_version") == mended


def test_weights_of_another_architecture_are_refused_before_they_are_read(registry: DirectoryRegistry) -> None:
    spoil(registry, publish(registry))
    before = exported("ramp_policy_refused_total", {"code": "INVALID_ARGUMENT"})

    versions = following(registry, replace(FOLLOWING, config=PaliGemmaConfig()))

    assert versions.current is None
    assert exported("ramp_policy_refused_total", {"code": "INVALID_ARGUMENT"}) == before + 1


def test_numbers_that_overflow_in_use_are_refused(registry: DirectoryRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    good = publish(registry)
    versions = following(registry)
    publish(registry)

    def overflowing(*args: Any, **options: Any) -> Agent:
        agent = read_agent(*args, **options)
        for weight in agent.policy.parameters():
            weight.data.fill_(torch.finfo(torch.float32).max)
        return agent

    monkeypatch.setattr("services.policy.versions.read_agent", overflowing)
    versions.look()

    assert versions.served().version == good


def test_a_server_that_starts_beside_a_bad_version_serves_the_one_before(registry: DirectoryRegistry) -> None:
    good = publish(registry)
    spoil(registry, publish(registry))

    assert following(registry).served().version == good


def test_a_server_that_starts_beside_a_bad_stable_version_serves_what_was_stable_before(
    registry: DirectoryRegistry,
) -> None:
    first, never, bad = (publish(registry) for _ in range(3))
    releases = Releases(registry)
    for version in (first, bad):
        releases.promote("stable", version, who="ada", why="tried", numbers={})
    spoil(registry, bad)

    assert following(registry).served().version == first != never


def test_efficient_serving_needs_no_weights_of_a_world_model(registry: DirectoryRegistry) -> None:
    version = publish(registry)
    number = registry.manifest(Kind.POLICY, version)["world_version"]
    weights = registry.root / "world" / f"{number:08d}" / WEIGHTS
    weights.unlink()
    assert following(registry).current is None

    agent = following(registry, replace(FOLLOWING, efficient=True)).served()

    assert agent.world is None
    assert agent.decide(observation(), generator=torch.Generator()).chunk.shape == (RECIPE.policy.chunk, 2)
