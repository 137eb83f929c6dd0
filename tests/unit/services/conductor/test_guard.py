"""A promotion that has made things worse is taken back, once, and written down."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from ramp.replay.info import EpisodeInfo
from ramp.types import Kind, Outcome
from services.clients.registry import DirectoryRegistry
from services.clients.releases import Releases
from services.common.audit import Audit
from services.common.place import ReleasePlace
from services.conductor.guard import Guard


def episodes(version: int, won: int, lost: int, table: str = "online") -> Iterator[EpisodeInfo]:
    for number in range(won + lost):
        yield EpisodeInfo(
            episode_id=f"{version}-{number}",
            task="open",
            outcome=Outcome.SUCCESS if number < won else Outcome.FAILURE,
            steps=10,
            frames=2,
            human_steps=0,
            policy_version=version,
            tables=(table,),
            seed=number,
        )


@pytest.fixture
def releases(tmp_path: Path) -> Releases:
    registry = DirectoryRegistry(tmp_path / "registry")
    for _ in range(2):
        registry.publish(Kind.POLICY, {"a": torch.zeros(2)}, {})
    return Releases(registry)


def watched(releases: Releases, folder: Path, stored: list[EpisodeInfo]) -> Guard:
    return Guard(releases, lambda: stored, ReleasePlace(), Audit(folder / "audit.jsonl"))


def promote(releases: Releases, *versions: int) -> None:
    for version in versions:
        releases.promote("stable", version, who="ada", why="better", numbers={})


def test_a_version_that_fails_is_rolled_back_once_and_it_is_told(releases: Releases, tmp_path: Path) -> None:
    promote(releases, 1, 2)
    guard = watched(releases, tmp_path, [*episodes(1, 45, 5), *episodes(2, 10, 40)])

    assert (guard(), guard()) == (True, False)

    last, line = releases.history()[-1], json.loads((tmp_path / "audit.jsonl").read_text())
    assert (last.what, last.before, last.version, last.who) == ("rollback", 2, 1, "conductor")
    assert last.numbers["after_successes"] == 10
    assert (line["what"], line["result"]) == ("ReleaseRollback", "done")
    assert len(said := guard.said()) == 1
    assert said[0].startswith("stable rolled back from 2 to 1: success fell")
    assert guard.said() == []


@pytest.mark.parametrize("promoted", [(), (2,), (1, 2)])
def test_nothing_happens_where_nothing_is_worse_or_nothing_came_before(
    releases: Releases, tmp_path: Path, promoted: tuple[int, ...]
) -> None:
    promote(releases, *promoted)
    stored = [*episodes(1, 45, 5), *episodes(2, 45, 5), *episodes(2, 0, 50, "demos")]

    assert not watched(releases, tmp_path, stored)()
    assert len(releases.history()) == len(promoted)
