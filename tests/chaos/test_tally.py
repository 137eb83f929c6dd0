"""A long proof in pieces: what held counts, goes on where it was, and stands on the page as far as it has come."""

from __future__ import annotations

import json
import math
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.chaos import __main__ as command
from tests.chaos.progress import Row
from tests.chaos.tally import Tally

ROW: Row = {"name": "kills: lost", "value": 0, "kills": 2, "slowest_start_ms": 7, "writers": 8, "seconds": 1.5}


@pytest.fixture
def proof(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[tuple[int, int]]:
    """In the place of kills: (count, seed) of every piece; the fourth one fails."""
    asked: list[tuple[int, int]] = []

    def run(*, count: int, seed: int, folder: Path) -> list[Row]:
        asked.append((count, seed))
        if len(asked) == 4:
            raise AssertionError("lost: e7")
        return [ROW | {"kills": count, "slowest_start_ms": 10 - seed}]

    monkeypatch.setattr(command, "module_of", lambda _: SimpleNamespace(COUNT=10, PIECE=2, run=run))
    monkeypatch.setattr(command.logging, "disable", lambda _: None)
    monkeypatch.setattr(command, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(command, "PAGE", tmp_path / "page.md")
    return asked


def test_a_proof_that_was_ended_goes_on_behind_its_last_piece(proof: list[tuple[int, int]], tmp_path: Path) -> None:
    assert command.main(["kills"], tmp_path / "tallies") == 1, "the fourth piece does not hold"
    [row] = json.loads((tmp_path / "results" / "chaos.json").read_text())["rows"]
    assert (row["kills"], row["still_to_come"], row["slowest_start_ms"], row["writers"]) == (6, 4, 10, 8)

    assert command.main(["kills"], tmp_path / "tallies") == 0
    assert proof == [(2, 0), (2, 1), (2, 2), (2, 3), (2, 3), (2, 4)]
    [row] = json.loads((tmp_path / "results" / "chaos.json").read_text())["rows"]
    assert (row["kills"], row["seconds"]) == (10, 7.5)
    assert "still_to_come" not in row
    assert "kills 10" in (tmp_path / "page.md").read_text()

    assert command.main(["kills"], tmp_path / "tallies") == 0
    assert len(proof) == 6, "there was nothing left to do"


def test_one_piece_again_is_written_nowhere(proof: list[tuple[int, int]], tmp_path: Path) -> None:
    assert command.main(["kills", "--piece", "7", "--count", "1"], tmp_path / "tallies") == 0
    assert proof == [(1, 7)]
    assert list(tmp_path.iterdir()) == []


def test_no_piece_is_begun_when_the_time_is_over(proof: list[tuple[int, int]], tmp_path: Path) -> None:
    assert command.main(["kills", "--minutes", "0"], tmp_path / "tallies") == 0
    assert proof == []


def test_rows_of_other_proofs_stay_in_their_order(proof: list[tuple[int, int]], tmp_path: Path) -> None:
    for name, row in (("power", {"name": "power: lost", "value": 0}), ("kills", ROW)):
        tally = Tally()
        tally.add(2, 1.0, "0123456789ab", "2026-01-01T00:00:00", [row])
        command.publish(name, tally, 2, tmp_path / "results", tmp_path / "page.md")
    rows = json.loads((tmp_path / "results" / "chaos.json").read_text())["rows"]
    assert [row["name"] for row in rows] == ["kills: lost", "power: lost"]
    assert {row["commits"] for row in rows} == {"0123456789"}


def test_every_proof_says_its_size_and_its_piece() -> None:
    for name in command.NAMES:
        module = command.module_of(name)
        assert 0 < module.PIECE <= module.COUNT < math.inf
