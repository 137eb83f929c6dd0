"""What the conductor asks of replay: every shard for itself, and what they hold together."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ramp.errors import Unavailable
from ramp.replay.info import ReplayInfo
from services.clients.connect import AnyClient
from services.clients.replay import ReplayClient
from services.common.metrics import CONDUCTOR_AWAY


class ShardLook:
    """Called by a probe. `shards` is what each said this time, None of one that gave no answer; empty for a single
    server, of which the probe itself knows whether it answers."""

    def __init__(self, client: Callable[[], AnyClient], timeout_s: float) -> None:
        self._client, self._timeout_s = client, timeout_s
        self.shards: Mapping[str, ReplayInfo | None] = {}

    def __call__(self) -> ReplayInfo:
        """All together, those that are away with what they said last. Raises Unavailable where none answers."""
        client = self._client()
        if isinstance(client, ReplayClient):
            return client.info(self._timeout_s)
        self.shards = client.infos(self._timeout_s)
        CONDUCTOR_AWAY.set(sum(each is None for each in self.shards.values()))
        if not any(self.shards.values()):
            raise Unavailable("no replay shard answers")
        return client.total()

    @property
    def complete(self) -> bool:
        """Whether every shard answered, the last time."""
        return None not in self.shards.values()

    def answers(self, name: str) -> bool:
        """Whether that shard of several did, the last time; True before it was asked."""
        return self.shards.get(name, True) is not None
