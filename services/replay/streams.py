"""What a stream's requests become on their way to the thread that answers them."""

from __future__ import annotations

import logging
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
    """Reads requests ahead, so that those which arrive together can be answered together.

    Leaving its `with` ends the thread that reads, even where nobody takes what it has read.
    """

    def __init__(self, requests: Iterator[T]) -> None:
        self._waiting: list[T] = []
        self._closed = False
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, args=(requests,), name="inbox", daemon=True)
        self._reader.start()

    def _read(self, requests: Iterator[T]) -> None:
        try:
            for request in requests:
                if not self._put(request):
                    return
        except grpc.RpcError:
            logger.debug("a producer's stream broke")  # it will come again and resume
        finally:
            self.close()

    def _put(self, request: T) -> bool:
        """Wait for room; False once nobody takes any more."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or len(self._waiting) < MAX_GROUP)
            if not self._closed:
                self._waiting.append(request)
                self._changed.notify_all()
            return not self._closed

    def take(self) -> list[T]:
        """Wait for a request; it, and those that are there too. Empty once there will be no more."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or bool(self._waiting))
            found, self._waiting = self._waiting, []
            self._changed.notify_all()
            return found

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def join(self) -> None:
        """Wait until nothing more is read."""
        self._reader.join()

    def __enter__(self) -> Inbox[T]:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


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
