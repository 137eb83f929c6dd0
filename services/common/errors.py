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
    errors.Denied: grpc.StatusCode.PERMISSION_DENIED,
    errors.Unavailable: grpc.StatusCode.UNAVAILABLE,
    errors.Timeout: grpc.StatusCode.DEADLINE_EXCEEDED,
}
"""OverQuota is a Full: RESOURCE_EXHAUSTED that names a time to come again."""
HANDSHAKES: Mapping[str, tuple[type[errors.RampError], str]] = {
    "CERTIFICATE_VERIFY_FAILED": (
        errors.Unauthenticated,
        "the server's certificate is not of the CA that this client trusts, or has expired: give that CA's file "
        "(replay.tls.ca), or renew the certificate",
    ),
    "Hostname Verification": (
        errors.Unauthenticated,
        "the server's certificate is for another host: call it by a name or address in its subjectAltName",
    ),
    "WRONG_VERSION_NUMBER": (
        errors.Unavailable,
        "the server does not speak TLS: start it with replay.tls.certificate, or leave this client's CA out",
    ),
    "Socket closed": (
        errors.Unavailable,
        "the server closed the connection: it may want TLS (give its CA, replay.tls.ca) or a client certificate of its "
        "CA (replay.tls.client_certificate), or hold as many connections as it takes (replay.connections)",
    ),
}
"""What gRPC says of a connection that did not come about, and what that means. The first that fits counts."""
NOT_CONNECTED = "failed to connect"
FLIGHT: Mapping[type[errors.RampError], type[flight.FlightError]] = {
    errors.Unauthenticated: flight.FlightUnauthenticatedError,
    errors.Denied: flight.FlightUnauthorizedError,
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
    if isinstance(error, errors.OverQuota):
        message.field, message.value = error.field[:MAX_TEXT], error.value[:MAX_TEXT]
        message.remedy, message.retry_after_s = error.remedy[:MAX_TEXT], error.retry_after_s
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
    details = error.details() or "no details"
    return _connection(details) or _error(error.code(), wire.Error(message=f"{details} ({error.code().name})"))


def _connection(details: str) -> errors.RampError | None:
    """Why there is no connection, where gRPC's words say so."""
    if NOT_CONNECTED not in details:
        return None
    found = (known for words, known in HANDSHAKES.items() if words in details)
    return next((kind(f"{remedy} ({details})") for kind, remedy in found), None)


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
    if kind is errors.Full and message.retry_after_s > 0:
        return errors.OverQuota(message.field, message.value, message.remedy, message.retry_after_s)
    return kind(message.message)
