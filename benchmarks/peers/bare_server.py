"""The limit: an Arrow Flight server that does nothing but move bytes: python -m benchmarks.peers.bare_server"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
from pyarrow import flight

from services.common.memory import keep_freed

SCHEMA = pa.schema([pa.field("bytes", pa.large_binary(), nullable=False)])


class Bare(flight.FlightServerBase):
    """DoGet sends `SIZE COUNT` batches of zeros; DoPut answers every batch with a byte."""

    def do_get(self, _: Any, ticket: flight.Ticket) -> flight.GeneratorStream:
        size, count = map(int, ticket.ticket.split())
        return flight.GeneratorStream(SCHEMA, repeated(size, count))

    def do_put(self, _: Any, __: Any, reader: Any, writer: Any) -> None:
        for _ in reader:
            writer.write(b"1")


def repeated(size: int, count: int) -> Iterator[pa.RecordBatch]:
    """The same batch of `size` bytes, `count` times."""
    batch = pa.record_batch([pa.array([bytes(size)], pa.large_binary())], schema=SCHEMA)
    return (batch for _ in range(count))


def main() -> None:
    keep_freed()
    server = Bare("grpc://127.0.0.1:0")
    print(f"127.0.0.1:{server.port}", flush=True)
    server.serve()


if __name__ == "__main__":
    main()
