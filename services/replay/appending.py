"""The answer to one AppendRequest, whichever door it came through."""

from __future__ import annotations

from collections.abc import Callable

from rampwire.v1 import replay_pb2 as wire

from ramp.errors import Invalid, RampError
from ramp.replay.entry import Written
from services.common import codec, metrics
from services.common.errors import status_of, to_wire
from services.replay.core import ReplayCore


def appended(
    core: ReplayCore,
    request: wire.AppendRequest,
    written: list[Written],
    alive: Callable[[], bool],
    arrow: bytes | None = None,
) -> wire.Appended:
    """True once `written`, which this adds to, is synced; a refusal is an answer too. `arrow` stands for the batch's
    own, where it came beside the request."""
    try:
        written.append(_apply(core, request, alive, arrow))
        return codec.progress_to_wire(request.episode_id, written[-1].progress)
    except RampError as error:
        return refusal(request.episode_id, error)


def refusal(episode_id: str, error: RampError) -> wire.Appended:
    metrics.REPLAY_REFUSED.labels(status_of(error).name).inc()
    return wire.Appended(episode_id=episode_id[:160], error=to_wire(error))


def _apply(core: ReplayCore, request: wire.AppendRequest, alive: Callable[[], bool], arrow: bytes | None) -> Written:
    event, episode_id = request.WhichOneof("event"), request.episode_id
    if event == "open":
        if request.open.episode_id != episode_id:
            raise Invalid("open.episode_id", request.open.episode_id[:160], "repeat the request's episode_id")
        return core.begin(codec.header_from_wire(request.open))
    if event == "batch":
        return core.append(episode_id, request.batch.number, request.batch.arrow if arrow is None else arrow)
    if event == "end":
        outcome = codec.outcome_from_wire(request.end.outcome)
        return core.end(episode_id, outcome, request.end.batches, alive)
    if event == "abort":
        return core.abort(episode_id)
    raise Invalid("event", "missing", "send open, batch, end or abort")
