"""The spool outlives its process, whatever byte it was writing."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ramp.errors import Full, Unavailable
from services.clients.spool import HEAD, KEEP_REFUSED, Parcel, Spool
from tests.told import told

FRAMES = [b"open", b"first" * 40, b"second" * 40]


def spooled(directory: Path, *, closed: bool = False) -> Path:
    spool = Spool(directory, 10_000)
    parcel = spool.open("e0")
    for frame in FRAMES:
        parcel.add(frame)
    if closed:
        parcel.add(b"end", last=True)
    spool.close()
    return next(directory.glob("*.spool"))


def frames(parcel: Parcel) -> list[bytes]:
    return [parcel.frame(number) for number in range(len(parcel))]


def test_another_process_finds_what_was_added(tmp_path: Path) -> None:
    spooled(tmp_path, closed=True)
    found = Spool(tmp_path, 10_000).parcels
    assert [parcel.episode_id for parcel in found] == ["e0"]
    assert frames(found[0]) == [*FRAMES, b"end"]


def test_a_frame_torn_at_any_byte_costs_only_itself(tmp_path: Path) -> None:
    path = spooled(tmp_path)
    whole = path.read_bytes()
    begin = len(whole) - len(FRAMES[-1]) - HEAD.size
    for cut in (begin + 1, begin + HEAD.size - 1, begin + HEAD.size, begin + 100, len(whole) - 1):
        path.write_bytes(whole[:cut])
        spool = Spool(tmp_path, 10_000)
        assert frames(spool.parcels[0]) == FRAMES[:-1]
        assert path.stat().st_size == begin
        spool.close()


def test_a_flipped_bit_ends_what_can_be_trusted(tmp_path: Path) -> None:
    path = spooled(tmp_path)
    data = bytearray(path.read_bytes())
    data[HEAD.size + len(FRAMES[0]) + HEAD.size + 3] ^= 1
    path.write_bytes(data)
    assert frames(Spool(tmp_path, 10_000).parcels[0]) == FRAMES[:1]


def test_a_spool_belongs_to_one_process(tmp_path: Path) -> None:
    first = Spool(tmp_path, 100)
    with pytest.raises(Unavailable):
        Spool(tmp_path, 100)
    first.close()
    Spool(tmp_path, 100).close()


def test_what_is_acknowledged_leaves_the_disk_and_what_is_refused_stays_aside(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 10_000)
    parcels = [spool.open(f"e{number}") for number in range(KEEP_REFUSED + 4)]
    for parcel in parcels:
        parcel.add(b"open")
    spool.remove(parcels[0], Parcel.discard)
    for parcel in parcels[1:]:
        spool.remove(parcel, Parcel.set_aside)
    assert spool.size == 0
    assert not list(tmp_path.glob("*.spool"))
    assert len(list(tmp_path.glob("*.refused"))) == KEEP_REFUSED


def test_a_disk_without_room_leaves_nothing_of_the_frame(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = Spool(tmp_path, 10_000)
    parcel = spool.open("e0")
    parcel.add(b"open")
    true_pwrite = os.pwrite

    def half(descriptor: int, data: bytes, offset: int) -> int:
        if len(data) < 50:
            raise OSError(errno.ENOSPC, "No space left on device")
        return true_pwrite(descriptor, data[:50], offset)

    monkeypatch.setattr(os, "pwrite", half)
    with pytest.raises(Full):
        parcel.add(b"x" * 120)
    monkeypatch.undo()
    assert (len(parcel), parcel.size) == (1, HEAD.size + 4)
    parcel.add(b"next")
    spool.close()
    assert frames(Spool(tmp_path, 10_000).parcels[0]) == [b"open", b"next"]


def test_numbers_go_on_where_they_stopped(tmp_path: Path) -> None:
    spooled(tmp_path)
    spool = Spool(tmp_path, 10_000)
    spool.open("e1").add(b"open")
    assert [parcel.episode_id for parcel in spool.parcels] == ["e0", "e1"]
    assert [path.stem.partition("-")[0] for path in sorted(tmp_path.glob("*.spool"))] == ["00000001", "00000002"]


def test_memory_is_a_spool_too() -> None:
    spool = Spool(None, 50)
    parcel = spool.open("e0")
    parcel.add(b"open")
    assert spool.room_for(10)
    assert not spool.room_for(50)
    parcel.add(b"end", last=True)
    assert parcel.closed
    assert frames(parcel) == [b"open", b"end"]


@pytest.mark.parametrize("dispose", [Parcel.discard, Parcel.set_aside])
def test_a_producer_that_comes_late_writes_into_nobodys_file(tmp_path: Path, dispose: Callable[[Parcel], None]) -> None:
    """The sender disposed of the parcel while its producer was encoding; the descriptor's number is another file's."""
    spool = Spool(tmp_path / "spool", 10_000)
    parcel = spool.open("e0")
    parcel.add(b"open")
    spool.remove(parcel, dispose)
    with (tmp_path / "other").open("w+b") as other:
        parcel.add(b"batch")
        parcel.add(b"end", last=True)
        other.seek(0)
        assert other.read() == b""
    assert len(parcel) == 1


def test_what_a_power_cut_left_as_zeros_is_no_frame(tmp_path: Path) -> None:
    path = spooled(tmp_path)
    with path.open("ab") as file:
        file.write(bytes(400))

    assert frames(Spool(tmp_path, 10_000).parcels[0]) == FRAMES


def test_an_end_whose_fsync_failed_is_never_said_to_be_safe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parcel = Spool(tmp_path, 10_000).open("e0")
    parcel.add(b"open")

    def fail(descriptor: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(Full, match="Input/output"):
        parcel.add(b"end", last=True)
    monkeypatch.undo()
    with pytest.raises(Full, match="has failed"):
        parcel.add(b"end", last=True)
    assert not parcel.closed


def test_what_waits_is_told_until_it_is_acknowledged_or_left_to_another(tmp_path: Path) -> None:
    def waiting() -> tuple[float, float]:
        return told("ramp_spool_waiting_episodes") or 0.0, told("ramp_spool_waiting_bytes") or 0.0

    before = waiting()
    spooled(tmp_path, closed=True)
    assert waiting() == before
    spool = Spool(tmp_path, 10_000)
    other = spool.open("e1")
    other.add(b"open")
    size = sum(len(frame) + HEAD.size for frame in [*FRAMES, b"end"])
    assert waiting() == (before[0] + 2, before[1] + size + 4 + HEAD.size)
    spool.remove(other, Parcel.discard)
    assert waiting() == (before[0] + 1, before[1] + size)
    spool.close()
    assert waiting() == before
