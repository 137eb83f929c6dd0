"""What a process does again and again beside its work."""

from __future__ import annotations

import threading


class Periodic:
    """A thread that takes a turn every `period_s` until it is stopped, or until a turn says that it was the last."""

    def __init__(self, name: str, period_s: float) -> None:
        self._period_s = period_s
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Returns when the turn that is being taken is over. Right also where it was never started."""
        self._stopped.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        while not self._stopped.wait(self._period_s):
            if not self.turn():
                return

    def turn(self) -> bool:
        """False where there shall be no other."""
        raise NotImplementedError
