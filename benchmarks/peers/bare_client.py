"""The limits, one after another: python -m benchmarks.peers.bare_client ADDRESS FOLDER

Reads requests and answers them (benchmarks/peers/lines.py).
"""

from __future__ import annotations

import mmap
import os
import sys
from pathlib import Path

from pyarrow import flight

from benchmarks.peers.bare_server import SCHEMA, repeated
from benchmarks.peers.lines import Answer, serve, timed
from services.common.memory import keep_freed

UNANSWERED = 4  # batches on their way at a time
TO = flight.FlightDescriptor.for_path("bare")


class Bare:
    """What the bench asks of it."""

    def __init__(self, address: str, folder: Path) -> None:
        self._client = flight.connect(f"grpc://{address}")
        self._file = folder / "bare"

    def get(self, size: int, count: int) -> Answer:
        """Batches of `size` bytes from the server's memory."""
        return timed(lambda: self._get(size, count))

    def _get(self, size: int, count: int) -> Answer:
        reader = self._client.do_get(flight.Ticket(f"{size} {count}".encode()))
        if sum(1 for _ in reader) != count:
            raise RuntimeError("the bare stream lost batches")
        return {"bytes": size * count}

    def put(self, size: int, count: int) -> Answer:
        """Batches of `size` bytes to the server, which answers each."""
        return timed(lambda: self._put(size, count))

    def _put(self, size: int, count: int) -> Answer:
        writer, answers = self._client.do_put(TO, SCHEMA)
        for number, batch in enumerate(repeated(size, count)):
            if number >= UNANSWERED:
                answers.read()
            writer.write_batch(batch)
        writer.done_writing()
        for _ in range(min(UNANSWERED, count)):
            answers.read()
        writer.close()
        return {"bytes": size * count}

    def disk(self, size: int, count: int) -> Answer:
        """Bytes appended to a file past the page cache, fsynced after every `size`, which is a number of blocks."""
        data = mmap.mmap(-1, size)  # lies where a disk can take it
        data.write(os.urandom(size))
        file = os.open(self._file, os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_DIRECT, 0o640)
        try:
            return timed(lambda: _write(file, data, count))
        finally:
            os.close(file)
            self._file.unlink()

    def memory(self, size: int, count: int) -> Answer:
        """Copies from one place in memory to another."""
        source, target = bytearray(size), memoryview(bytearray(size))
        return timed(lambda: _copy(source, target, count))


def _write(file: int, data: mmap.mmap, count: int) -> Answer:
    for _ in range(count):
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(file, rest) :]
        os.fsync(file)
    return {"bytes": len(data) * count}


def _copy(source: bytearray, target: memoryview, count: int) -> Answer:
    for _ in range(count):
        target[:] = source
    return {"bytes": len(source) * count}


def main() -> None:
    keep_freed()
    bare = Bare(sys.argv[1], Path(sys.argv[2]))
    serve({name: getattr(bare, name) for name in ("get", "put", "disk", "memory")})


if __name__ == "__main__":
    main()
