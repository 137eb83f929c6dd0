"""A TCP relay that can fall silent: both ends stay connected, and nothing gets through any more; or vanish, as a
machine without power does: its sockets are gone, and nobody was told."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading

REPAIR = 19  # TCP_REPAIR, which Python does not name


class Relay:
    """In front of `address`; listens at its own. One thread."""

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self._target = (host, int(port))
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listening.getsockname()[1]}"
        self._pairs: dict[socket.socket, socket.socket] = {}
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listening, selectors.EVENT_READ)
        self._silent, self._restored, self._closed = threading.Event(), threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="relay", daemon=True)
        self._thread.start()

    def silence(self) -> None:
        """From now on not a byte, not even a FIN, either way."""
        self._silent.set()

    def restore(self) -> None:
        """Both ends learn that their connection is over, and new ones are passed on."""
        self._restored.set()
        self._silent.clear()

    def vanish(self) -> None:
        """Instead of `close`. Raises PermissionError where this process may not."""
        self._closed.set()
        self._thread.join()
        for each in self._pairs:
            each.setsockopt(socket.IPPROTO_TCP, REPAIR, 1)  # a socket that is mended is closed without a word
        self.close()

    def close(self) -> None:
        self._closed.set()
        self._thread.join()
        for each in (self._listening, *self._pairs):
            each.close()
        self._selector.close()

    def _run(self) -> None:
        while not self._closed.is_set():
            ready = self._selector.select(0.02)
            if self._silent.is_set():
                self._closed.wait(0.02)
                continue
            if self._restored.is_set():
                self._restored.clear()
                for each in list(self._pairs):
                    self._drop(each)
                continue
            for key, _ in ready:
                self._accept() if key.fileobj is self._listening else self._pass_on(key.fileobj)  # type: ignore[arg-type]

    def _accept(self) -> None:
        near, _ = self._listening.accept()
        far = socket.create_connection(self._target)
        for one, other in ((near, far), (far, near)):
            self._pairs[one] = other
            self._selector.register(one, selectors.EVENT_READ)

    def _pass_on(self, source: socket.socket) -> None:
        target = self._pairs.get(source)
        data = b""
        with contextlib.suppress(OSError):
            data = source.recv(65536)
            if data and target:
                target.sendall(data)
        if not data:
            for each in (source, target):
                self._drop(each)

    def _drop(self, each: socket.socket | None) -> None:
        if each is not None and self._pairs.pop(each, None) is not None:
            self._selector.unregister(each)
            each.close()
