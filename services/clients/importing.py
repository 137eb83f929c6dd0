"""Episodes of a LeRobot folder on their way into a replay server.

What the server has already is left out, and what was sent in part is sent again as it was, so an import that was
stopped goes on when it is called again.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from ramp.datasets.dataset import Dataset, Reading
from ramp.interfaces import Replay
from ramp.replay.columns import slice_steps
from ramp.replay.info import Limits
from ramp.replay.validate import check_follows, check_header, check_steps
from ramp.types import Episode, StepBatch
from services.clients.connect import AnyClient, connect

APPEND_STEPS = 1024  # in one append
SPOOL_BYTES = 16 * 2**30  # the longest episode, decoded, has to fit
READY_S = 10.0
WAIT_S = 300.0  # for the server to have one episode
DEMOS = "demos"


def import_folder(folder: Path, reading: Reading, address: str, token: str) -> Iterator[tuple[int, bool]]:
    """(how many episodes there are, whether this one was new to the server), one after the other.

    Raises Invalid (the folder, or an episode of it; earlier ones are stored), Conflict, Unavailable, Timeout.
    """
    with (
        tempfile.TemporaryDirectory(prefix="ramp-import-") as spool,
        connect(address, name="import", spool=Path(spool), token=token, spool_bytes=SPOOL_BYTES) as client,
    ):
        client.wait_ready(READY_S)
        known = {info.episode_id for info in client.query()}
        dataset = Dataset(folder, _with_bounds(reading, client))
        for place in dataset.places:
            new = dataset.episode_id(place) not in known
            if new:
                send(client, dataset.episode(place))
            yield len(dataset.places), new


def _with_bounds(reading: Reading, client: AnyClient) -> Reading:
    """A table has one schema: where it holds episodes already, their bounds of actions are taken."""
    first = client.query(reading.table or DEMOS, limit=1)
    return replace(reading, schema=client.fetch(first[0].episode_id).header.schema) if first else reading


def send(replay: Replay, episode: Episode) -> None:
    """Durable at the server when it returns. An episode that would be refused leaves nothing behind: it is looked at
    first. Raises Invalid, Conflict, Unavailable, Timeout."""
    parts = _parts(episode)
    _check(episode, parts)
    writer = replay.open(episode.header)
    for part in parts:
        writer.append(part)
    writer.end(episode.outcome)
    writer.wait(WAIT_S)


def _parts(episode: Episode) -> list[StepBatch]:
    length = len(episode.steps)
    return [
        slice_steps(episode.steps, begin, min(begin + APPEND_STEPS, length)) for begin in range(0, length, APPEND_STEPS)
    ]


def _check(episode: Episode, parts: list[StepBatch]) -> None:
    limits, header, before = Limits(), episode.header, -np.inf
    check_header(header, limits)
    for part in parts:
        check_steps(part, header.schema, limits)
        check_follows(part, int(part.step[0]), before, header.max_steps)
        before = float(part.timestamp[-1])
