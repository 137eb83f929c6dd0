"""Which version an episode began with."""

from __future__ import annotations

import threading
from collections import OrderedDict

MOST = 65_536  # sessions remembered; beyond it, whoever has been silent longest is forgotten

Key = tuple[str, str]
"""Name of the client and of its session: nobody else's token reaches it."""


class Sessions:
    """Thread-safe."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._version: OrderedDict[Key, int] = OrderedDict()
        self._lock = threading.Lock()

    def version(self, key: Key, *, start: bool, current: int, loaded: tuple[int, ...]) -> int:
        """The version that answers. A session that starts, or is not known, begins with `current`; so does one whose
        version is not `loaded` any more."""
        with self._lock:
            known = self._version.get(key, current)
            found = current if start or known not in loaded else known
            self._version[key] = found
            self._version.move_to_end(key)
            while len(self._version) > self._most:
                self._version.popitem(last=False)
            return found
