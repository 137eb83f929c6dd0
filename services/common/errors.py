"""One table: which error of the tree is which gRPC status, both ways.

Over the wire an error keeps its field, value and remedy: as an `Error` message inside stream answers, in the binary
trailer ERROR_TRAILER of a failed call, and in the extra_info of a Flight error.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping

import grpc
from google.protobuf.message import DecodeError
from pyarrow import flight
from rampwire.v1 import replay_pb2 as wire

from ramp import errors

STATUS: Mapping[type[errors.RampError], grpc.StatusCode] = {
    errors.Conflict: grpc.StatusCode.ALREADY_EXISTS,
    errors.Invalid: grpc.StatusCode.INVALID_ARGUMENT,
    errors.NotFound: grpc.StatusCode.NOT_FOUND,
    errors.Corrupt: grpc.StatusCode.DATA_LOSS,
    errors.Full: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.Unauthenticated: grpc.StatusCode.UNAUTHENTICATED,
    errors.Unavailable: grpc.StatusCode.UNAVAILABLE,
    errors.Timeout: grpc.StatusCode.DEADLINE_EXCEEDED,
}
FLIGHT: Mapping[type[errors.RampError], type[flight.FlightError]] = {
    errors.Unauthenticated: flight.FlightUnauthenticatedError,
    errors.Unavailable: flight.FlightUnavailableError,
    errors.Timeout: flight.FlightTimedOutError,
}
"""What Flight has a class for; all others are FlightServerError, and their extra_info says which."""
BY_NAME = {code.name: code for code in grpc.StatusCode}
ERROR_TRAILER = "ramp-error-bin"
MAX_TEXT = 2000  # characters of one text of an error: trailers are bounded by gRPC


def status_of(error: errors.RampError) -> grpc.StatusCode:
    """INTERNAL where the table does not know the error."""
    return next((code for kind, code in STATUS.items() if isinstance(error, kind)), grpc.StatusCode.INTERNAL)


def to_wire(error: errors.RampError) -> wire.Error:
    """The error as a message. INTERNAL where the table does not know it."""
    message = wire.Error(code=status_of(error).name, message=str(error)[:MAX_TEXT])
    if isinstance(error, errors.Invalid):
        message.field, message.value = error.field[:MAX_TEXT], error.value[:MAX_TEXT]
        message.remedy = error.remedy[:MAX_TEXT]
    return message


def from_wire(message: wire.Error) -> errors.RampError:
    """The inverse of `to_wire`."""
    return _error(BY_NAME.get(message.code, grpc.StatusCode.INTERNAL), message)


def from_call(error: grpc.RpcError) -> errors.RampError:
    """The error that a failed call stands for. Unknown statuses become Unavailable: the far side is not itself."""
    if not isinstance(error, grpc.Call):
        return errors.Unavailable(str(error))
    trailers: Mapping[str, object] = dict(error.trailing_metadata() or ())
    packed = trailers.get(ERROR_TRAILER)
    if isinstance(packed, bytes):
        with contextlib.suppress(DecodeError):
            return from_wire(wire.Error.FromString(packed))
    return _error(error.code(), wire.Error(message=f"{error.details() or 'no details'} ({error.code().name})"))


def to_flight(error: errors.RampError) -> flight.FlightError:
    """The error as Flight sends it."""
    kind = next((known for ours, known in FLIGHT.items() if isinstance(error, ours)), flight.FlightServerError)
    return kind(str(error)[:MAX_TEXT], to_wire(error).SerializeToString())


def from_flight(error: Exception) -> errors.RampError:
    """The inverse of `to_flight`. What the far side did not say itself becomes Unavailable, or Timeout."""
    packed = error.extra_info if isinstance(error, flight.FlightError) else b""
    if packed:
        with contextlib.suppress(DecodeError):
            return from_wire(wire.Error.FromString(packed))
    kind = errors.Timeout if isinstance(error, flight.FlightTimedOutError) else errors.Unavailable
    return kind(str(error)[:MAX_TEXT])


def _error(code: grpc.StatusCode, message: wire.Error) -> errors.RampError:
    kind = next((kind for kind, known in STATUS.items() if known is code), errors.Unavailable)
    if issubclass(kind, errors.Invalid):
        if not message.field:
            return kind("request", message.message, "see the server's answer")
        return kind(message.field, message.value, message.remedy)
    return kind(message.message)
