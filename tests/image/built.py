"""A built image, run as a hardened cluster runs it: read-only root, no capabilities, no new privileges, uid 10001."""

from __future__ import annotations

import json
import subprocess
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

HARDENED = ("--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--tmpfs=/tmp", "--shm-size=1g")
UNTIMED = "--no-healthcheck"  # podman's timers of health checks need systemd; `healthy` asks by itself


class BuiltImage:
    """`engine` is docker or podman, `name` the image's."""

    def __init__(self, engine: str, name: str) -> None:
        self.engine, self.name = engine, name

    def run(self, *argv: str, options: Sequence[str] = (), hardened: bool = True) -> str:
        """What a command prints inside. AssertionError with that and its standard error where it fails."""
        words = ["run", "--rm", UNTIMED, *(HARDENED if hardened else ()), *options, self.name, *argv]
        done = subprocess.run([self.engine, *words], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    @contextmanager
    def started(self, *argv: str, options: Sequence[str] = ()) -> Iterator[str]:
        """A container that runs in the background, by its name; removed at the end."""
        name = f"ramp-test-{uuid.uuid4().hex[:8]}"
        try:
            self._tell("run", "--detach", UNTIMED, "--name", name, *HARDENED, *options, self.name, *argv)
            yield name
        finally:
            self._tell("rm", "--force", name)

    @contextmanager
    def volume(self) -> Iterator[str]:
        """An empty named volume; removed at the end."""
        name = f"ramp-test-{uuid.uuid4().hex[:8]}"
        self._tell("volume", "create", name)
        try:
            yield name
        finally:
            self._tell("volume", "rm", "--force", name)

    def described(self) -> dict[str, object]:
        """The image's configuration: user, entry point, labels."""
        found: dict[str, object] = json.loads(self._tell("image", "inspect", self.name))[0]["Config"]
        return found

    def lines(self, name: str) -> Iterator[str]:
        """What a started container prints, as it prints it."""
        log = subprocess.Popen(
            [self.engine, "logs", "--follow", name], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert log.stdout is not None
        with log:
            try:
                yield from log.stdout
            finally:
                log.kill()

    def healthy(self, name: str) -> bool:
        """What the image's own health check finds now in a started container."""
        check = ["bash", "-c", self.health_command()]
        return subprocess.run([self.engine, "exec", name, *check], capture_output=True).returncode == 0

    def health_command(self) -> str:
        """The HEALTHCHECK as a shell gets it."""
        form = "{{json .HealthCheck}}" if self.engine == "podman" else "{{json .Config.Healthcheck}}"
        test: list[str] = json.loads(self._tell("image", "inspect", "--format", form, self.name))["Test"]
        assert test[0] == "CMD-SHELL"
        return test[1]

    def _tell(self, *words: str) -> str:
        return subprocess.run([self.engine, *words], capture_output=True, text=True, check=True).stdout
