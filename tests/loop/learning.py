"""A learner group for tests: real Redis, a replay server with demonstrations in it, Ray Train, the counting world."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ramp.types import Kind
from services.clients.registry import DirectoryRegistry
from services.clients.replay import ReplayClient
from services.common.coordination import Coordination, run_key
from services.common.settings import Settings
from services.learner.group import run_learner
from tests.counting import teach
from tests.loop.fleet import replay_process
from tests.replay_process import ReplayProcess
from tests.unit.services.common.redis_process import RedisProcess


@dataclass
class Classroom:
    """All that a learner group needs, and the eyes on it."""

    settings: Settings
    server: ReplayProcess
    client: ReplayClient
    redis_url: str
    board: Coordination

    @property
    def registry(self) -> DirectoryRegistry:
        return DirectoryRegistry(Path(self.settings.dir) / "registry")

    def learn(self) -> None:
        """Blocks until the learner group has ended."""
        run_learner(f"{self.settings.dir}/settings.yaml", self.server.address, self.redis_url)

    @contextlib.contextmanager
    def learning(self) -> Iterator[threading.Thread]:
        """The group in a thread, as the conductor has it; joined at the end, its error raised. Where the test fails
        first, the group is asked to stop, and its error stands beside the test's."""
        errors: list[BaseException] = []

        def body() -> None:
            try:
                self.learn()
            except BaseException as error:
                errors.append(error)

        thread = threading.Thread(target=body, daemon=True)
        thread.start()
        try:
            yield thread
        except BaseException as failed:
            self.board.request_stop()
            thread.join(60)
            failed.add_note(f"the learner group: {errors or 'no error'}")
            raise
        thread.join(240)
        assert not thread.is_alive(), "the learner group does not end"
        if errors:
            raise errors[0]

    def workers(self) -> dict[str, dict[str, str]]:
        """What the learner workers say of themselves, by name."""
        return {each.name: dict(each.fields) for each in self.board.presence() or () if each.role == "learner"}

    def updates(self, kind: Kind) -> list[int]:
        """At which updates versions were published, in their order."""
        return [self.registry.manifest(kind, number)["update"] for number in self.registry.versions(kind)]


@contextlib.contextmanager
def classroom(settings: Settings) -> Iterator[Classroom]:
    """With all demonstrations and some fresh experience in the tables. Needs Ray, which has to be started before:
    it forks, and gRPC does not like that once it has threads."""
    folder = Path(settings.dir)
    with contextlib.ExitStack() as stack:
        redis = RedisProcess(folder)
        stack.callback(redis.kill)
        server, client = stack.enter_context(replay_process(folder))
        for task in settings.tasks:
            for seed in range(settings.demos.episodes_per_task):
                teach(client, settings, task, seed, "demos")
            for seed in range(3):
                teach(client, settings, task, seed + 100, "online")
        board = stack.enter_context(contextlib.closing(Coordination(redis.url, run_key(folder))))
        yield Classroom(settings, server, client, redis.url, board)
