"""One table: which error of the tree is which gRPC status, both ways.

Over the wire an error keeps its field, value and remedy: as an `Error` message inside stream answers, and in the
binary trailer ERROR_TRAILER of a failed call.
"""

from __future__ import annotations

from collections.abc import Mapping

import grpc
from google.protobuf.message import DecodeError
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
BY_NAME = {code.name: code for code in grpc.StatusCode}
ERROR_TRAILER = "ramp-error-bin"
MAX_TEXT = 2000  # characters of one text of an error: trailers are bounded by gRPC


def status_of(error: errors.RampError) -> grpc.StatusCode:
    return next(code for kind, code in STATUS.items() if isinstance(error, kind)) if _known(error) else _UNKNOWN


_UNKNOWN = grpc.StatusCode.INTERNAL


def _known(error: errors.RampError) -> bool:
    return isinstance(error, tuple(STATUS))


def to_wire(error: errors.RampError) -> wire.Error:
    """The error as a message. INTERNAL where the table does not know it."""
    message = wire.Error(code=status_of(error).name, message=str(error)[:MAX_TEXT])
    if isinstance(error, errors.Invalid):
        message.field, message.value = error.field[:MAX_TEXT], error.value[:MAX_TEXT]
        message.remedy = error.remedy[:MAX_TEXT]
    return message


def from_wire(message: wire.Error) -> errors.RampError:
    """The inverse of `to_wire`."""
    return _error(BY_NAME.get(message.code, _UNKNOWN), message)


def from_call(error: grpc.RpcError) -> errors.RampError:
    """The error that a failed call stands for. Unknown statuses become Unavailable: the far side is not itself."""
    code = error.code() if isinstance(error, grpc.Call) else _UNKNOWN
    for key, value in (error.trailing_metadata() or ()) if isinstance(error, grpc.Call) else ():
        if key == ERROR_TRAILER and isinstance(value, bytes):
            try:
                return from_wire(wire.Error.FromString(value))
            except DecodeError:
                break
    details = (error.details() or "") if isinstance(error, grpc.Call) else str(error)
    return _error(code, wire.Error(message=f"{details} ({code.name})"))


def _error(code: grpc.StatusCode, message: wire.Error) -> errors.RampError:
    kind = next((kind for kind, known in STATUS.items() if known is code), errors.Unavailable)
    if issubclass(kind, errors.Invalid):
        if not message.field:
            return kind("request", message.message, "see the server's answer")
        return kind(message.field, message.value, message.remedy)
    return kind(message.message)
