"""A power cut at every moment of a shard's life, and of a producer's spool: whatever had been promised is there, whole.

A tape of a random life (story.py) is cut at random places; each cut is laid out as a disk in one of the ways of
outage.py, and opened. Of the cuts, one in five is of a spool.
"""

from __future__ import annotations

import os
import random
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from ramp.errors import NotFound
from ramp.replay import pen
from ramp.replay.shard import Shard
from ramp.types import Outcome
from services.clients.spool import Spool
from tests.chaos.outage import WAYS, after
from tests.chaos.progress import Progress, Row
from tests.chaos.promises import Act, Promises, told
from tests.chaos.story import BATCH, Story, header_of, is_known, labels, mark_of, shard_of, steps_of, values_of
from tests.chaos.tape import Note, Tape
from tests.experience import CAMERAS, make_steps

COUNT = 10_000
PIECE = 500
CUTS_PER_TAPE = 100
ACTS = 30
THOROUGH = 3  # one cut in so many


def run(*, count: int, seed: int, folder: Path) -> list[Row]:
    """So many cuts. Raises AssertionError with the tape's and the cut's numbers; its disk stays in `folder`."""
    progress, ways, notes, began = Progress("power cuts", count), Counter[str](), 0, time.monotonic()
    for tape_number in range(-(-count // CUTS_PER_TAPE)):
        draw = random.Random(f"{seed} {tape_number}")
        is_spool = tape_number % 5 == 4
        found = record(folder / "life", draw, write_spool if is_spool else write_shard)
        notes += len(found)
        for _ in range(min(CUTS_PER_TAPE, count - progress.done)):
            place, way = draw.randrange(len(found) + 1), draw.choice(WAYS)
            ways[way] += 1
            cut(found[:place], way, draw, folder / "cut", check_spool if is_spool else check_shard)
            progress.step()
    row: Row = {"name": "power: cuts with something acknowledged lost, doubled or half", "value": 0, "cuts": count}
    row |= {f"{way}": ways[way] for way in WAYS}
    return [row | {"acts_on_files": notes, "seconds": round(time.monotonic() - began, 1)}]


def record(folder: Path, draw: random.Random, write: Callable[[Tape, random.Random], None]) -> list[Note]:
    """The notes of one life; what they amount to is compared with what is really there."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with Tape(folder) as tape, small_blocks():
        write(tape, draw)
    copy = folder.with_name("copy")
    shutil.rmtree(copy, ignore_errors=True)
    copy.mkdir()
    after(tape.notes, "all", draw).lay_out(copy)
    assert content(copy) == content(folder), "the tape has missed something"
    return tape.notes


@contextmanager
def small_blocks() -> Iterator[None]:
    """Pictures of a few hundred bytes take the way past the page cache too, as cameras' do."""
    with pytest.MonkeyPatch.context() as patch:
        for home, name, value in ((pen, "BLOCK", 64), (pen, "DIRECT_BYTES", 512), (os, "O_DIRECT", 0)):
            patch.setattr(home, name, value)
        yield


def content(folder: Path) -> dict[str, bytes | None]:
    return {
        str(path.relative_to(folder)): None if path.is_dir() else path.read_bytes()
        for path in sorted(folder.rglob("*"))
    }


def cut(
    notes: list[Note], way: str, draw: random.Random, folder: Path, check: Callable[[Path, list[Note], str], None]
) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    after(notes, way, draw).lay_out(folder)
    try:
        check(folder, notes, way)
    except Exception as error:
        raise AssertionError(f"a cut after {len(notes)} acts on files ({way}): {error!r}; see {folder}") from error


# ----------------------------------------------------------------------------------------------- a shard


def write_shard(tape: Tape, draw: random.Random) -> None:
    Story(tape, draw.randrange(2**32)).tell(ACTS)


def check_shard(folder: Path, notes: list[Note], way: str) -> None:
    """Every third cut with its snapshots, and twice: what the first start has mended, the second must find."""
    promises, pending = told(note.said for note in notes if note.kind == "say")
    shard = shard_of(folder / "shard")
    check_promises(shard, promises, promises.with_(pending))
    if way != "scattered":  # else a hole may lie before what counts, and is rightly told of
        assert shard.info().quarantined_segments == 0
    if len(notes) % THOROUGH:
        shard.close()
        return
    check_snapshots(shard, promises, promises.with_(pending))
    alive = [info.episode_id for info in shard.query()]
    go_on(shard, promises, pending)
    shard.close()
    shard = shard_of(folder / "shard")
    again = [info.episode_id for info in shard.query()]
    assert again[: len(alive)] == alive, "what was served after the cut is served no more"
    for name in again:
        check_episode(shard, name)
    shard.close()


def check_promises(shard: Shard, sure: Promises, most: Promises) -> None:
    """Between what was acknowledged and what was asked for."""
    found = [info.episode_id for info in shard.query()]
    assert len(found) == len(set(found)), "an episode is there twice"
    assert set(sure.alive) - most.deleted <= set(found) <= set(most.alive) | (most.deleted - sure.deleted)
    assert found == [name for name in most.ended if name in found], "the order is another"
    for name in found:
        check_episode(shard, name)
    for name in sure.deleted:
        with pytest.raises(NotFound, match="deleted"):
            shard.fetch(name)
    assert labels(shard) in (sure.labels, most.labels), "labels of another moment"
    check_labels(shard)
    there = {each.name for each in shard.snapshots()}
    assert sure.snapshots.keys() & most.snapshots.keys() <= there <= sure.snapshots.keys() | most.snapshots
    check_views(shard, sure, most)


def check_views(shard: Shard, sure: Promises, most: Promises) -> None:
    """Each names what it was made of, but for what was deleted since."""
    there = {each.name for each in shard.views()}
    assert sure.views.keys() & most.views.keys() <= there <= sure.views.keys() | most.views.keys()
    for name in there:
        ids = set((sure.views | most.views)[name])
        shown = {info.episode_id for info in shard.query(name)}
        assert ids - most.deleted <= shown <= ids - sure.deleted, f"view {name} shows {sorted(shown)}"


def check_episode(shard: Shard, name: str) -> None:
    found = shard.fetch(name).steps
    assert len(found) % BATCH == 0
    assert len(found) > 0
    sent = make_steps(0, len(found), mark=mark_of(name))
    for column in ("step", "proprio", "frame_row"):
        np.testing.assert_array_equal(getattr(found, column), getattr(sent, column))
    for camera in CAMERAS:
        np.testing.assert_array_equal(found.images[camera], sent.images[camera])


def check_labels(shard: Shard) -> None:
    version = shard._annotations.version
    for name, (steps, remaining) in shard._annotations.values.items():
        for found, sent in zip((steps, remaining), values_of(name, version, 4 * len(steps)), strict=True):
            np.testing.assert_array_equal(found, sent)


def check_snapshots(shard: Shard, sure: Promises, most: Promises) -> None:
    """Each is that moment, whole."""
    for each in shard.snapshots():
        copy = shard_of(shard._directory / "snapshots" / each.name)
        episodes, labelled = (sure.snapshots | most.snapshots)[each.name]
        assert [info.episode_id for info in copy.query()] == episodes
        assert labels(copy) == labelled
        for episode in episodes:
            check_episode(copy, episode)
        copy.close()


def go_on(shard: Shard, promises: Promises, pending: Act | None) -> None:
    """Every producer whose episode was open goes on where the shard says, which is not before what it acknowledged."""
    in_doubt = {pending.what} if pending and pending.kind in ("abort", "end") else set()
    for name in set(promises.open) - in_doubt:
        first = shard.begin(header_of(name)).next_batch
        assert first >= promises.batches[name], f"{name}: batch {first} is wanted after {promises.batches[name]}"
    for name in in_doubt & set(promises.open):
        if pending and pending.kind == "end" and not shard.begin(header_of(name)).ended:
            finish(shard, name, promises.batches[name])
    for name in sorted(set(promises.open) - in_doubt)[:2]:
        finish(shard, name, promises.batches[name] + 1)
    if not is_known(shard, "e999"):
        finish(shard, "e999", 2)


def finish(shard: Shard, name: str, batches: int) -> None:
    first = shard.begin(header_of(name)).next_batch
    for number in range(first, batches):
        shard.append(name, number, steps_of(name, number))
    shard.end(name, Outcome.SUCCESS, max(first, batches))
    assert len(shard.fetch(name).steps) == BATCH * max(first, batches)


# ----------------------------------------------------------------------------------------------- a spool


def write_spool(tape: Tape, draw: random.Random) -> None:
    """Parcels filled, ended, acknowledged and refused; now and then the process begins anew."""
    spool = Spool(tape.root / "spool", 2**20)
    for number in range(ACTS):
        if number and draw.random() < 0.1:
            spool.close()
            spool = Spool(tape.root / "spool", 2**20)
        parcel = spool.open(f"e{number}")
        for part in range(draw.randint(1, 4)):
            parcel.add(frame_of(number, part))
        if draw.random() < 0.8:
            parcel.add(frame_of(number, 9), last=True)
            tape.say(("ended", f"e{number}", len(parcel)))
        if spool.parcels and draw.random() < 0.6:
            chosen = draw.choice(spool.parcels)
            tape.say(("removed", chosen.episode_id, 0))
            spool.remove(chosen, draw.choice([type(chosen).discard, type(chosen).set_aside]))
    spool.close()


def frame_of(number: int, part: int) -> bytes:
    return f"{number} {part} ".encode() * (10 + 50 * part)


def check_spool(folder: Path, notes: list[Note], way: str) -> None:
    """An episode whose END was spooled is there with all its frames; of others there is a beginning, or nothing."""
    said = [note.said for note in notes if note.kind == "say"]
    removed = {name for word, name, _ in said if word == "removed"}
    spool = Spool(folder / "spool", 2**20)
    found = {parcel.episode_id: parcel for parcel in spool.parcels}
    assert len(found) == len(spool.parcels)
    for word, name, frames in said:
        if word == "ended" and name not in removed:
            assert name in found, f"{name} was spooled and is lost"
            assert len(found[name]) == frames, f"{name} has {len(found[name])} of {frames} frames"
    order = [int(parcel.episode_id[1:]) for parcel in spool.parcels]
    assert order == sorted(order)
    for name, parcel in found.items():
        for part in range(len(parcel)):
            number = int(name[1:])
            assert parcel.frame(part) in (frame_of(number, part), frame_of(number, 9))
    spool.close()
