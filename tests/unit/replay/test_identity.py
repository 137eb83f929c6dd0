"""A shard's name and the mark of its data."""

from __future__ import annotations

from pathlib import Path

import pytest

from ramp.errors import Corrupt, Invalid
from ramp.replay.identity import FILE, identify


def test_an_identity_is_made_once_and_belongs_to_the_directory(tmp_path: Path) -> None:
    first, other = tmp_path / "first", tmp_path / "other"
    first.mkdir()
    other.mkdir()
    found = identify(first, "shard-0")
    assert identify(first, "shard-0") == found
    assert identify(other, "shard-0").data != found.data
    with pytest.raises(Invalid, match="holds the shard shard-0"):
        identify(first, "shard-1")


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"name": "shard-0"}'])
def test_an_identity_that_cannot_be_read_is_not_made_up(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_text(text)
    with pytest.raises(Corrupt, match=FILE):
        identify(tmp_path, "shard-0")
