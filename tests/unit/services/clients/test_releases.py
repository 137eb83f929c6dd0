"""The history of releases: what was promoted holds, whatever dies in between."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from ramp.errors import Corrupt, Invalid, NotFound
from ramp.types import Kind
from services.clients.registry import DirectoryRegistry
from services.clients.releases import FILE, Releases
from tests.unit.services.common.test_metrics import exported


@pytest.fixture
def releases(tmp_path: Path) -> Releases:
    registry = DirectoryRegistry(tmp_path)
    for value in range(5):
        registry.publish(Kind.POLICY, {"a": torch.full((2,), float(value))}, {})
    return Releases(registry)


def promote(releases: Releases, *versions: int) -> None:
    for version in versions:
        releases.promote("stable", version, who="ada", why=f"{version} is better", numbers={"gain": 0.1})


def stable(folder: Path) -> int | None:
    return DirectoryRegistry(folder).resolve(Kind.POLICY, "stable")


def test_a_promotion_moves_the_alias_and_is_written_down(releases: Releases, tmp_path: Path) -> None:
    promote(releases, 2, 3)

    last = releases.history()[-1]

    assert stable(tmp_path) == 3
    assert (last.who, last.what, last.alias, last.before, last.version) == ("ada", "promote", "stable", 2, 3)
    assert (last.why, last.numbers) == ("3 is better", {"gain": 0.1})


def test_a_rollback_goes_back_one_release_at_a_time(releases: Releases, tmp_path: Path) -> None:
    promote(releases, 1, 2, 3)
    gone = [releases.rollback("stable", who="ada", why="it drops things").version for _ in range(2)]

    assert gone == [2, 1]
    assert stable(tmp_path) == 1
    with pytest.raises(NotFound, match="never pointed to another"):
        releases.rollback("stable", who="ada", why="again")


def test_what_was_rolled_back_is_not_what_one_goes_back_to(releases: Releases) -> None:
    promote(releases, 1, 2)
    releases.rollback("stable", who="ada", why="bad")
    promote(releases, 4)

    assert releases.past("stable") == [1]


def test_a_release_that_cannot_be_is_refused_and_leaves_no_trace(releases: Releases) -> None:
    promote(releases, 1)
    with pytest.raises(Invalid, match="points to it already"):
        promote(releases, 1)
    with pytest.raises(NotFound):
        promote(releases, 9)
    with pytest.raises(Invalid, match="choose candidate or stable"):
        releases.promote("latest", 2, who="ada", why="?", numbers={})

    assert len(releases.history()) == 1


def test_what_a_writer_wrote_down_and_did_not_do_is_done_by_the_next(releases: Releases, tmp_path: Path) -> None:
    promote(releases, 1, 2)
    DirectoryRegistry(tmp_path).alias(Kind.POLICY, "stable", 1)  # as if it had died before it came to that

    assert releases.rollback("stable", who="ada", why="bad").before == 2
    assert stable(tmp_path) == 1


def test_half_a_line_is_no_change_and_the_next_one_takes_its_place(releases: Releases, tmp_path: Path) -> None:
    promote(releases, 1)
    with (tmp_path / FILE).open("a") as file:
        file.write('{"time": "2026')

    assert len(releases.history()) == 1
    promote(releases, 2)
    assert [change.version for change in releases.history()] == [1, 2]


def test_a_damaged_history_is_told(releases: Releases, tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("rust\n")
    with pytest.raises(Corrupt, match="line 1"):
        releases.history()


def test_metrics_tell_of_aliases_and_changes(releases: Releases) -> None:
    what = {"alias": "stable", "what": "promote"}
    before = exported("ramp_registry_promotions_total", what)
    promote(releases, 1, 4)

    releases.observe()
    releases.observe()

    assert exported("ramp_registry_promotions_total", what) == before + 2
    assert exported("ramp_registry_alias_version", {"kind": "policy", "alias": "stable"}) == 4
    assert exported("ramp_registry_promoted_seconds", {"alias": "stable"}) == releases.history()[-1].at
