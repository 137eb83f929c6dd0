"""What the server says of its door for bulk data."""

from __future__ import annotations

from pathlib import Path

from services.replay.bulk import NONCE, announced


def test_a_learner_that_sees_the_files_finds_the_nonce_there(tmp_path: Path) -> None:
    assert announced(tmp_path, 1).nonce == (tmp_path / NONCE).read_text()


def test_a_disk_that_refuses_the_nonce_costs_the_maps_and_not_the_door(tmp_path: Path) -> None:
    bulk = announced(tmp_path / "not there", 7)

    assert (bulk.nonce, bulk.flight_port) == ("", 7)
