"""The stream a run is shown on, which may go away before the run does."""

from __future__ import annotations

from typing import IO, Any


class Screen:
    """A text stream that is silent from the first failure on (a closed pipe, a terminal that has gone), where the
    stream itself would raise OSError.

    Example: console.file = Screen(console.file)
    """

    def __init__(self, file: IO[str]) -> None:
        self._file, self._gone = file, False

    def write(self, text: str) -> int:
        if not self._gone:
            self._try(self._file.write, text)
        return len(text)

    def flush(self) -> None:
        if not self._gone:
            self._try(self._file.flush)

    def _try(self, call: Any, *arguments: str) -> None:
        try:
            call(*arguments)
        except OSError:
            self._gone = True

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)
