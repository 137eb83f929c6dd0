"""Bytes past the page cache are the bytes that were given, wherever blocks begin; what a full disk took can go."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ramp.replay.pen import BLOCK, DIRECT_BYTES, STAGE_BYTES, Pen, Stage

LARGE = 3 * STAGE_BYTES
SIZES = (1, BLOCK - 1, DIRECT_BYTES - 1, DIRECT_BYTES, 7, DIRECT_BYTES + BLOCK, STAGE_BYTES, LARGE, 3)


def parts_of(size: int, seed: int) -> list[bytes]:
    """So many bytes in parts of all lengths, one of none, and most of them in one."""
    generator = np.random.default_rng(seed)
    data, cuts = generator.bytes(size), np.sort(generator.integers(0, size // 9 + 1, 5)).tolist()
    return [data[begin:end] for begin, end in zip([0, *cuts, cuts[-1]], [*cuts, cuts[-1], size], strict=True)]


def write(pen: Pen) -> bytes:
    """What was written by one call for each size."""
    whole = b""
    for seed, size in enumerate(SIZES):
        parts = parts_of(size, seed)
        assert pen.write(parts, len(whole)) == size
        whole += b"".join(parts)
    pen.sync()
    pen.close()
    return whole


def test_a_file_holds_what_was_written_in_order(tmp_path: Path) -> None:
    pen = Pen(tmp_path / "file", Stage())
    assert write(pen) == (tmp_path / "file").read_bytes()


def test_a_file_system_without_a_way_past_its_cache_is_written_through_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    really = os.open

    def refuse(path: Any, flags: int, *rest: Any) -> int:
        if flags & os.O_DIRECT:
            raise OSError(errno.EINVAL, "no")
        return really(path, flags, *rest)

    monkeypatch.setattr(os, "open", refuse)
    monkeypatch.setattr(os, "pwrite", None)
    assert write(Pen(tmp_path / "file", Stage())) == (tmp_path / "file").read_bytes()


def test_who_reads_the_last_page_sees_what_is_written_behind_it(tmp_path: Path) -> None:
    """A record ends within a page that is mapped when the next one begins there."""
    path, first, second = tmp_path / "file", parts_of(2 * DIRECT_BYTES + 9, 0), parts_of(2 * DIRECT_BYTES + 9, 1)
    pen = Pen(path, Stage())
    size = pen.write(first, 0)
    mapped = np.memmap(path, np.uint8, "r")
    assert bytes(mapped) == b"".join(first)
    pen.write(second, size)
    assert bytes(np.memmap(path, np.uint8, "r")) == b"".join(first + second)
    assert bytes(mapped) == b"".join(first)
    pen.close()


def test_what_a_full_disk_took_can_be_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pen = Pen(tmp_path / "file", Stage())
    first, second = parts_of(2 * DIRECT_BYTES + 9, 0), parts_of(LARGE, 1)
    size, really, calls = pen.write(first, 0), os.pwrite, []

    def fill(descriptor: int, data: Any, place: int) -> int:
        calls.append(place)
        if len(calls) > 1:
            raise OSError(errno.ENOSPC, "full")
        return really(descriptor, data, place)

    with monkeypatch.context() as patched:
        patched.setattr(os, "pwrite", fill)
        with pytest.raises(OSError, match="full"):
            pen.write(second, size)
    pen.truncate(size)
    pen.write(second, size)
    pen.close()
    assert (tmp_path / "file").read_bytes() == b"".join(first + second)
