"""Episodes of a LeRobot folder on their way into a replay server, through its Flight door where that answers.

What the server has already is left out, and what was sent in part is sent again as it was, so an import that was
stopped goes on when it is called again.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from ramp.data.images import QUALITY, encode_steps
from ramp.datasets.dataset import Dataset, Reading
from ramp.interfaces import Replay
from ramp.replay.columns import slice_steps
from ramp.replay.info import Limits
from ramp.replay.validate import check_follows, check_header, check_steps
from ramp.types import Encoding, Episode, StepBatch, StepSchema
from services.clients.connect import AnyClient, connect
from services.clients.credentials import Credentials
from services.clients.flight import answers, open_flight
from services.clients.rendezvous import home
from services.clients.replay import pieces
from services.clients.sharded import ShardedClient
from services.clients.uploading import Uploader

APPEND_STEPS = 1024  # in one append
SPOOL_BYTES = 16 * 2**30  # the longest episode, decoded, has to fit
READY_S = 10.0
WAIT_S = 300.0  # for the server to have one episode
DEMOS = "demos"


def import_folder(
    folder: Path,
    reading: Reading,
    address: str,
    credentials: Credentials,
    encoding: Encoding = Encoding.RAW,
    quality: int = QUALITY,
) -> Iterator[tuple[int, bool]]:
    """(how many episodes there are, whether this one was new to the server), one after the other. Frames are stored as
    those of the table, or where it is empty, in this encoding; JPEGs in this quality.

    Raises Invalid (the folder, or an episode of it; earlier ones are stored), Conflict, Unavailable, Timeout.
    """
    with ExitStack() as stack:
        spool = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ramp-import-")))
        client = connect(address, name="import", credentials=credentials, spool=spool, spool_bytes=SPOOL_BYTES)
        stack.callback(client.close)
        client.wait_ready(READY_S)
        known = {info.episode_id for info in client.query()}
        present, put = _table_schema(reading, client), _road(client, credentials, quality, stack)
        dataset = Dataset(folder, replace(reading, schema=present) if present else reading)
        for place in dataset.places:
            new = dataset.episode_id(place) not in known
            if new:
                put(_stored(dataset.episode(place), present, encoding))
            yield len(dataset.places), new


def _road(client: AnyClient, credentials: Credentials, quality: int, stack: ExitStack) -> Callable[[Episode], None]:
    """How an episode is sent: to the shard it belongs to, through its Flight door where that answers."""
    if isinstance(client, ShardedClient):
        roads = {name: _road(part, credentials, quality, stack) for name, part in client.parts().items()}
        return lambda episode: roads[home(episode.header.episode_id, roads)](episode)
    bulk = client.bulk()
    if bulk.flight_port:
        door = stack.enter_context(open_flight(client.address, bulk, credentials))
        if answers(door, credentials.metadata()):
            return partial(upload, Uploader(door, credentials.metadata()), quality=quality)
    return partial(send, client, quality=quality)


def _table_schema(reading: Reading, client: AnyClient) -> StepSchema | None:
    """A table has one schema: where it holds episodes already, their bounds of actions and encodings are taken."""
    first = client.query(reading.table or DEMOS, limit=1)
    return client.fetch(first[0].episode_id, decode=False).header.schema if first else None


def _stored(episode: Episode, present: StepSchema | None, encoding: Encoding) -> Episode:
    """The episode, its header saying how its frames are to be stored."""
    schema = episode.header.schema.encoded(encoding)
    if present is not None:
        encodings = {camera: each for camera, each in present.encodings.items() if camera in schema.cameras}
        schema = replace(schema, encodings=encodings)
    return replace(episode, header=replace(episode.header, schema=schema))


def send(replay: Replay, episode: Episode, quality: int = QUALITY) -> None:
    """Durable at the server when it returns, its frames stored as its header says. An episode that would be refused
    leaves nothing behind: it is looked at first. Raises Invalid, Conflict, Unavailable, Timeout."""
    parts = _parts(episode, quality)
    _check(episode, parts)
    writer = replay.open(episode.header)
    for part in parts:
        writer.append(part)
    writer.end(episode.outcome)
    writer.wait(WAIT_S)


def upload(uploader: Uploader, episode: Episode, quality: int = QUALITY) -> None:
    """As `send`, through the Flight door, in the very batches in which `send` would."""
    parts = _parts(episode, quality)
    _check(episode, parts)
    uploader.send(episode, [piece for part in parts for piece in pieces(part)], WAIT_S)


def _parts(episode: Episode, quality: int) -> list[StepBatch]:
    """The steps as they travel."""
    steps, schema = episode.steps, episode.header.schema
    begins = range(0, len(steps), APPEND_STEPS)
    parts = [slice_steps(steps, begin, min(begin + APPEND_STEPS, len(steps))) for begin in begins]
    return [encode_steps(part, schema, quality) for part in parts]


def _check(episode: Episode, parts: list[StepBatch]) -> None:
    limits, header, before = Limits(), episode.header, -np.inf
    check_header(header, limits)
    for part in parts:
        check_steps(part, header.schema, limits)
        check_follows(part, int(part.step[0]), before, header.max_steps)
        before = float(part.timestamp[-1])
