"""A producer that writes down, for good, what it was told: the record that a replay server is judged by.

    main([ADDRESS, DIARY, MARK, SPOOL], pulse)      until SIGTERM

SPOOL is a directory, or - for none. In the diary, a line each, fsynced: "open NAME", "batch NAME" once a batch was
acknowledged (without a spool: by the server), "ended NAME" once the END was. A byte goes into `pulse` with every
acknowledgement. A diary that is there already is gone on with.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

from ramp.errors import Timeout
from ramp.types import Outcome
from services.clients import replay
from services.clients.replay import ReplayClient
from tests.experience import make_header, make_steps

BATCH = 6  # steps
BATCHES = 4  # in an episode
SPOOL_BYTES = 200_000  # some episodes ahead of the server, not thousands
PATIENCE_S = 300.0  # for an answer: the server is killed again and again, on a busy machine


@dataclass
class Diary:
    """What a producer was told."""

    batches: dict[str, int] = field(default_factory=dict)  # acknowledged, by episode
    ended: list[str] = field(default_factory=list)

    @classmethod
    def read(cls, path: Path) -> Diary:
        diary = cls()
        for line in path.read_text().splitlines() if path.exists() else ():
            word, name = line.split()
            if word == "open":
                diary.batches[name] = 0
            elif word == "batch":
                diary.batches[name] += 1
            else:
                diary.ended.append(name)
        return diary


def main(arguments: list[str], pulse: Connection) -> None:
    address, diary, mark, spool = arguments
    replay.CALL_TIMEOUT_S = PATIENCE_S
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    number, place = len(Diary.read(Path(diary)).batches), None if spool == "-" else Path(spool)
    file = os.open(diary, os.O_CREAT | os.O_APPEND | os.O_WRONLY)

    def write(word: str, name: str) -> None:
        os.write(file, f"{word} {name}\n".encode())
        os.fsync(file)
        if word != "open":
            os.write(pulse.fileno(), b".")

    with ReplayClient(address, name=f"p{mark}", spool=place, spool_bytes=SPOOL_BYTES, patience_s=PATIENCE_S) as client:
        while not stop.is_set():
            produce(client, f"p{mark}-{number}", int(mark), write)
            number += 1
        if not client.flush(120):
            raise Timeout("the spool is not empty after 120 s")


def produce(client: ReplayClient, name: str, mark: int, write: Callable[[str, str], None]) -> None:
    write("open", name)
    writer = client.open(make_header(name, seed=mark))
    for number in range(BATCHES):
        writer.append(make_steps(BATCH * number, BATCH * (number + 1), mark=mark))
        write("batch", name)
    writer.end(Outcome.SUCCESS)
    write("ended", name)
