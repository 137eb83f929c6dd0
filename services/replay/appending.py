"""The answer to one AppendRequest, whichever door it came through."""

from __future__ import annotations

from collections.abc import Callable

from rampwire.v1 import replay_pb2 as wire

from ramp.errors import Invalid, RampError
from ramp.replay.entry import Written
from services.common import codec, metrics
from services.common.append_codec import Batch
from services.common.errors import status_of, to_wire
from services.replay.author import Author

Request = Batch | wire.AppendRequest


def appended(author: Author, request: Request, written: list[Written], alive: Callable[[], bool]) -> wire.Appended:
    """True once `written`, which this adds to, is synced; a refusal is an answer too."""
    try:
        written.append(_apply(author, request, alive))
        return codec.progress_to_wire(request.episode_id, written[-1].progress)
    except RampError as error:
        return refusal(request.episode_id, error)


def refusal(episode_id: str, error: RampError) -> wire.Appended:
    metrics.REPLAY_REFUSED.labels(status_of(error).name).inc()
    return wire.Appended(episode_id=episode_id[:160], error=to_wire(error))


def _apply(author: Author, request: Request, alive: Callable[[], bool]) -> Written:
    if isinstance(request, Batch):
        return author.append(request.episode_id, request.number, request.arrow)
    event, episode_id = request.WhichOneof("event"), request.episode_id
    if event == "open":
        if request.open.episode_id != episode_id:
            raise Invalid("open.episode_id", request.open.episode_id[:160], "repeat the request's episode_id")
        return author.begin(codec.header_from_wire(request.open))
    if event == "batch":
        return author.append(episode_id, request.batch.number, request.batch.arrow)
    if event == "end":
        outcome = codec.outcome_from_wire(request.end.outcome)
        return author.end(episode_id, outcome, request.end.batches, alive)
    if event == "abort":
        return author.abort(episode_id)
    raise Invalid("event", "missing", "send open, batch, end or abort")
