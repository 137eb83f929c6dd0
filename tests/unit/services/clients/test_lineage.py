"""A version is named where it may have drawn from an episode, or came of one that may have; no other is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from ramp.types import Kind
from services.clients.lineage import Retracted, touched
from services.clients.registry import DirectoryRegistry

DEMO = Retracted(tables=("demos",), ended_at=100.0)
ONLINE = Retracted(tables=("online", "corrections"), ended_at=250.0)


def manifest(ended_by: float, *tables: str, **more: Any) -> dict[str, Any]:
    return {"watermark": {"ended_by": ended_by}, "tables": list(tables), "parent": None, **more}


@pytest.fixture
def registry(tmp_path: Path) -> DirectoryRegistry:
    """World 1 and policy 1 of demonstrations; world 2 and policies 2 to 4 of later, mixed stages."""
    registry, weights = DirectoryRegistry(tmp_path), {"w": torch.ones(1)}
    registry.publish(Kind.WORLD, weights, manifest(200, "demos", world_version=0))
    registry.publish(Kind.POLICY, weights, manifest(210, "demos", world_version=1))
    registry.publish(Kind.WORLD, weights, manifest(300, "demos", "online", parent=1, world_version=1))
    registry.publish(Kind.POLICY, weights, manifest(220, "demos", "online", parent=1, world_version=1))
    registry.publish(Kind.POLICY, weights, manifest(240, "demos", "online", parent=1, world_version=2))
    registry.publish(Kind.POLICY, weights, manifest(245, "demos", parent=3, world_version=1))
    registry.alias(Kind.POLICY, "stable", 3)
    return registry


def named(registry: DirectoryRegistry, *episodes: Retracted) -> dict[str, str]:
    return {f"{each.kind} {each.version}": each.why for each in touched(registry, episodes)}


def test_a_demonstration_is_in_everything(registry: DirectoryRegistry) -> None:
    assert set(named(registry, DEMO)) == {"world 1", "world 2", "policy 1", "policy 2", "policy 3", "policy 4"}


def test_an_episode_is_in_what_came_after_it_and_of_that(registry: DirectoryRegistry) -> None:
    found = named(registry, ONLINE)

    assert found == {
        "world 2": "may have drawn 1 of them",
        "policy 3": "with the tokens of world 2",
        "policy 4": "from policy 3",
    }
    assert [each.aliases for each in touched(registry, [ONLINE]) if each.version == 3] == [("stable",)]


def test_a_table_that_nobody_drew_from_is_in_nothing(registry: DirectoryRegistry) -> None:
    assert named(registry, Retracted(tables=("imagined",), ended_at=1.0)) == {}


def test_a_version_that_does_not_say_is_named(registry: DirectoryRegistry) -> None:
    registry.publish(Kind.POLICY, {"w": torch.ones(1)}, {"watermark": {}, "parent": None})

    assert "policy 5" in named(registry, Retracted(tables=("imagined",), ended_at=1.0))


def test_a_damaged_manifest_is_named(registry: DirectoryRegistry, tmp_path: Path) -> None:
    (tmp_path / "policy" / "00000001" / "manifest.json").write_text("{}")

    assert "damaged" in named(registry, ONLINE)["policy 1"]
