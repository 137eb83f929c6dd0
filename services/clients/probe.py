"""Whether a server serves: the health check of gRPC, for probes where Kubernetes' own cannot be used (TLS).

    python -m services.clients.probe 127.0.0.1:7001 --ca /etc/ramp/tls/ca.crt --name ramp-replay

Exit code 0 for SERVING, else 1, and one line that says why. Imports gRPC and nothing else: it starts often.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import grpc

CHECK = "/grpc.health.v1.Health/Check"
STATUS = {b"": "UNKNOWN", b"\x08\x01": "SERVING", b"\x08\x02": "NOT_SERVING", b"\x08\x03": "SERVICE_UNKNOWN"}
"""HealthCheckResponse as it is on the wire: one enum, which is left out where it is 0."""


def main(arguments: list[str] | None = None) -> int:
    """0 where the server says SERVING."""
    options = _parse(arguments)
    try:
        with _channel(options) as channel:
            said = _check(channel, options.service, options.timeout)
    except grpc.RpcError as error:
        said = f"{error.code().name}: {error.details()}"
    except (OSError, ValueError) as error:
        said = str(error)
    print(f"{options.address} {said}")
    return 0 if said == "SERVING" else 1


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m services.clients.probe", description="Does a gRPC server serve?")
    parser.add_argument("address", help="host:port")
    parser.add_argument("--service", default="", help="one of its services; default: the server as a whole")
    parser.add_argument("--ca", type=Path, help="PEM by which the server is known; default: no TLS")
    parser.add_argument("--certificate", type=Path, help="PEM to show where the server asks for one, with --key")
    parser.add_argument("--key", type=Path, help="its private key")
    parser.add_argument("--name", default="", help="host that the server's certificate is for, if not the address's")
    parser.add_argument("--timeout", type=float, default=2.0, help="seconds; default: 2")
    return parser.parse_args(arguments)


def _channel(options: argparse.Namespace) -> grpc.Channel:
    """Raises OSError for files that cannot be read."""
    if options.ca is None:
        return grpc.insecure_channel(options.address)
    key = options.key.read_bytes() if options.key else None
    chain = options.certificate.read_bytes() if options.certificate else None
    shown = grpc.ssl_channel_credentials(options.ca.read_bytes(), key, chain)
    named = [("grpc.ssl_target_name_override", options.name)] if options.name else []
    return grpc.secure_channel(options.address, shown, options=named)


def _check(channel: grpc.Channel, service: str, timeout_s: float) -> str:
    """The status in words."""
    ask = channel.unary_unary(CHECK, request_serializer=None, response_deserializer=None)
    name = service.encode()
    if len(name) > 127:
        raise ValueError("no service has so long a name")
    answer: bytes = ask(b"\x0a" + bytes([len(name)]) + name if name else b"", timeout=timeout_s)
    return STATUS.get(answer, "an answer that is none")


if __name__ == "__main__":
    sys.exit(main())
