"""Generations switch whole or not at all, also where the process dies in between."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ramp.errors import Invalid
from ramp.replay import annotations
from ramp.replay.annotations import Annotations, Values


def some(name: str, count: int = 3) -> Values:
    return {name: (np.arange(count, dtype=np.int32) * 4, np.linspace(1, 0, count, dtype=np.float32))}


def test_a_generation_is_read_back_as_it_was(tmp_path: Path) -> None:
    first = Annotations(tmp_path)
    first.commit(3, some("a") | some("b", 5), extends=False)
    first.commit(3, some("c"), extends=True)
    again = Annotations(tmp_path)
    assert again.version == 3
    assert list(again.values) == ["a", "b", "c"]
    np.testing.assert_array_equal(again.values["b"][1], np.linspace(1, 0, 5, dtype=np.float32))


def test_an_empty_generation_is_one_too(tmp_path: Path) -> None:
    Annotations(tmp_path).commit(2, {}, extends=False)
    again = Annotations(tmp_path)
    assert (again.version, again.values) == (2, {})


@pytest.mark.parametrize("extends", [True, False])
def test_a_death_before_the_rename_leaves_the_old_generation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, extends: bool
) -> None:
    held = Annotations(tmp_path)
    held.commit(1, some("a"), extends=False)

    class Killed(BaseException):
        """Not an OSError: nothing tidies up behind it, as behind a kill."""

    def die(self: Path, target: Path) -> Path:
        raise Killed

    monkeypatch.setattr(Path, "rename", die)
    with pytest.raises(Killed):
        held.commit(1 if extends else 2, some("b"), extends=extends)
    monkeypatch.undo()
    again = Annotations(tmp_path)
    assert (again.version, list(again.values)) == (1, ["a"])
    assert not list(tmp_path.rglob(".*"))


def test_a_full_disk_leaves_the_old_generation_in_force(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held = Annotations(tmp_path)
    held.commit(1, some("a"), extends=False)

    def refuse(path: Path, values: Values) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(annotations, "_write", refuse)
    with pytest.raises(OSError, match="No space"):
        held.commit(2, some("b"), extends=False)
    assert (held.version, list(held.values)) == (1, ["a"])


def test_extending_needs_the_same_world_model(tmp_path: Path) -> None:
    held = Annotations(tmp_path)
    with pytest.raises(Invalid, match="extends"):
        held.commit(1, some("a"), extends=True)


def test_old_generations_are_swept_but_for_the_last_few(tmp_path: Path) -> None:
    held = Annotations(tmp_path)
    for version in range(1, 8):
        held.commit(version, some("a"), extends=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["g000005-v5", "g000006-v6", "g000007-v7"]


def test_a_flipped_bit_makes_a_part_unlabelled_not_wrong(tmp_path: Path) -> None:
    held = Annotations(tmp_path)
    held.commit(1, some("a", 50), extends=False)
    held.commit(1, some("b"), extends=True)
    part = tmp_path / "g000001-v1" / "part-0001.arrow"
    data = bytearray(part.read_bytes())
    place = data.index(np.linspace(1, 0, 50, dtype=np.float32).tobytes()[4:12])
    data[place] ^= 1
    part.write_bytes(data)
    again = Annotations(tmp_path)
    assert (list(again.values), again.damaged) == (["b"], 1)


def test_a_flipped_bit_in_where_rows_end_is_found_too(tmp_path: Path) -> None:
    """The lists stay ascending and the flattened columns as they were; only the episodes' shares differ."""
    Annotations(tmp_path).commit(1, some("a") | some("b", 5), extends=False)
    part = tmp_path / "g000001-v1" / "part-0001.arrow"
    data = bytearray(part.read_bytes())
    data[data.index(np.array([0, 3, 8], np.int32).tobytes()) + 4] ^= 1
    part.write_bytes(data)
    again = Annotations(tmp_path)
    assert (again.values, again.damaged) == ({}, 1)
