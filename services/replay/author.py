"""Who appends: each stream's own view of the core, which it may use as far as its token and its quota go."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ramp.errors import OverQuota, RampError
from ramp.replay.entry import Written
from ramp.types import EpisodeHeader, Outcome
from services.common.access import Client
from services.common.quotas import Quotas
from services.common.tokens import Role
from services.replay.core import ReplayCore

PENALTY_S = 0.5  # in which nothing more is read from a stream that is over its quota


class Author:
    """One client's appends. Its methods are the core's, and raise Denied and OverQuota as well. No gRPC here."""

    def __init__(self, core: ReplayCore, quotas: Quotas, client: Client) -> None:
        self._core, self._quotas, self._client = core, quotas, client
        self.over_quota = False  # whether steps were refused for that

    def begin(self, header: EpisodeHeader) -> Written:
        self._client.check_author(header.robot)
        known = self._quotas.opening(self._client, header.episode_id)
        try:
            return self._core.begin(header)
        except RampError:
            if not known:
                self._quotas.closed(self._client, header.episode_id)
            raise

    def append(self, episode_id: str, number: int, arrow: bytes | memoryview) -> Written:
        self._check(episode_id)
        try:
            self._quotas.spend(self._client, len(arrow))
        except OverQuota:
            self.over_quota = True
            raise
        return self._core.append(episode_id, number, arrow)

    def end(self, episode_id: str, outcome: Outcome, batches: int, alive: Callable[[], bool]) -> Written:
        self._check(episode_id)
        written = self._core.end(episode_id, outcome, batches, alive)
        self._quotas.closed(self._client, episode_id)
        return written

    def abort(self, episode_id: str) -> Written:
        self._check(episode_id)
        written = self._core.abort(episode_id)
        self._quotas.closed(self._client, episode_id)
        return written

    def sync(self, written: Sequence[Written]) -> None:
        self._core.sync(written)

    def slow_down(self, wait: Callable[[float], object]) -> None:
        """Between two groups: whoever goes on sending above its quota is read more slowly, and keeps nobody busy."""
        if self.over_quota:
            self.over_quota = False
            wait(PENALTY_S)

    def _check(self, episode_id: str) -> None:
        """Robots alone are bound to their own episodes; for the others nothing has to be looked up."""
        if self._client.role is Role.ROBOT:
            self._client.check_author(self._core.shard.header(episode_id).robot)
