"""A real replay server process for tests: started, killed, started again at the same address."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from services.common.settings import compose, save
from tests.warm import WarmProcess


class ReplayProcess:
    """`start` returns once it answers; `address` stays the same over restarts. The settings are those that lie in
    `folder`, else the counting recipe's with `overrides`; the data lie in `name` below it."""

    def __init__(self, folder: Path, *overrides: str, name: str = "replay", options: Sequence[str] = ()) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        if overrides or not (folder / "settings.yaml").exists():
            save(compose("counting", None, [f"dir={folder}", *overrides]), folder / "settings.yaml")
        self.directory, self._options = folder / name, options
        self.module = "services.replay.main"
        self.address = ""
        self._process: WarmProcess | None = None

    def start(self, *, metrics: bool = False) -> str:
        """The address."""
        self.launch(metrics=metrics)
        assert self._process is not None
        address = self._process.read_line()
        assert address, (self._folder / "log").read_text()
        assert self.address in ("", address), "a restarted server must be found where it was"
        self.address = address
        return address

    def launch(self, *, metrics: bool = False) -> None:
        """Does not wait until it answers."""
        arguments = ["--dir", str(self.directory), "--port", self.port, *self._options]
        arguments += ["--settings", str(self._folder / "settings.yaml"), *(["--metrics-port", "0"] if metrics else [])]
        self._process = WarmProcess(self.module, arguments, self._folder / "log")

    @property
    def port(self) -> str:
        """That it is told to take. With 0 it takes the one that it had before, which lies in its directory."""
        return "0"

    def forget_address(self) -> None:
        """The next start takes another port."""
        (self.directory / "address").unlink()
        self.address = ""

    def kill(self) -> None:
        """kill -9."""
        assert self._process is not None
        self._process.kill()

    def wait(self) -> int:
        """The exit status of a server that ends by itself."""
        assert self._process is not None
        return self._process.wait(60)

    def stop(self) -> int:
        """SIGTERM; the exit status."""
        assert self._process is not None
        self._process.terminate()
        return self._process.wait(30)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def close(self) -> None:
        if self._process is not None and self._process.is_alive:
            self.kill()
