"""What a stream's requests become on their way to the thread that answers them."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Iterator
from typing import Generic, TypeVar

import grpc
from rampwire.v1 import replay_pb2 as wire

logger = logging.getLogger(__name__)

T = TypeVar("T")
MAX_CREDIT = 64  # batches under way to one learner
MAX_GROUP = 32  # appends that share one fsync at most; also what lies read but not written


class Inbox(Generic[T]):
    """Reads requests ahead, so that those which arrive together can be answered together."""

    def __init__(self, requests: Iterator[T]) -> None:
        self._queue: queue.Queue[T | None] = queue.Queue(MAX_GROUP)
        self._ended = False
        threading.Thread(target=self._read, args=(requests,), name="inbox", daemon=True).start()

    def _read(self, requests: Iterator[T]) -> None:
        try:
            for request in requests:
                self._queue.put(request)
        except grpc.RpcError:
            logger.debug("a producer's stream broke")  # it will come again and resume
        finally:
            self._queue.put(None)

    def take(self) -> list[T]:
        """Wait for a request; it, and those that are there too. Empty once there will be no more."""
        found: list[T] = []
        while not self._ended and (not found or (not self._queue.empty() and len(found) < MAX_GROUP)):
            request = self._queue.get()
            if request is None:
                self._ended = True
            else:
                found.append(request)
        return found


class Credit:
    """Batches that a learner has room for: added by the thread that reads its requests, taken by the one that sends."""

    def __init__(self, count: int) -> None:
        self._count, self._closed = min(count, MAX_CREDIT), False
        self._changed = threading.Condition()

    def read(self, requests: Iterator[wire.SampleRequest]) -> None:
        try:
            for request in requests:
                with self._changed:
                    self._count = min(self._count + request.credit, MAX_CREDIT)
                    self._changed.notify()
        except grpc.RpcError:
            logger.debug("a learner's stream broke")  # closing the call is how learners leave
        finally:
            self.close()

    def take(self) -> bool:
        """Wait for credit; False once the learner sends no more."""
        with self._changed:
            self._changed.wait_for(lambda: self._count > 0 or self._closed)
            if self._count == 0:
                return False
            self._count -= 1
            return True

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify()
