"""How much one client may use, so that a greedy one leaves the others theirs."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from ramp.errors import Invalid, OverQuota
from services.common.access import Client
from services.common.tokens import Role

BURST_S = 2.0  # of its bytes a client may use at once after a rest
MAX_RETRY_S = 30.0
DONE_RETRY_S = 1.0  # for what becomes free when the client itself is done with something
MIB = 2**20


@dataclass(frozen=True, kw_only=True, slots=True)
class Quota:
    """What one client may use. 0: no bound."""

    mib_s: float = 0.0  # MiB a second, each way: appends above it are refused for a while, reads wait; 0: no bound
    episodes: int = 0  # open at once; 0: no bound
    calls: int = 0  # at once, streams among them; 0: no bound


def parse_quotas(texts: Sequence[str]) -> dict[str, Quota]:
    """Quotas of named clients, each NAME:MIB_S:EPISODES:CALLS. Raises Invalid."""
    found: dict[str, Quota] = {}
    for text in texts:
        name, _, numbers = text.partition(":")
        quota = _quota(numbers.split(":"))
        if quota is None or not name or name in found:
            remedy = "write NAME:MIB_S:EPISODES:CALLS, each name once, e.g. arm-7:64:4:4"
            raise Invalid("replay.quotas.clients", text, remedy)
        found[name] = quota
    return found


def _quota(numbers: Sequence[str]) -> Quota | None:
    """None where they are none."""
    try:
        mib_s, episodes, calls = numbers
        quota = Quota(mib_s=float(mib_s), episodes=int(episodes), calls=int(calls))
    except ValueError:
        return None
    return quota if math.isfinite(quota.mib_s) and min(quota.mib_s, quota.episodes, quota.calls) >= 0 else None


@dataclass(slots=True)
class _Account:
    """What one client uses. `level` is the bytes it may use at once; below 0 it is in debt."""

    quota: Quota
    level: float
    filled: float  # monotonic time of that level
    calls: int = 0
    episodes: set[str] = field(default_factory=set)

    @property
    def rate(self) -> float:
        return self.quota.mib_s * MIB

    def fill(self, now: float) -> None:
        self.level = min(self.level + (now - self.filled) * self.rate, BURST_S * self.rate)
        self.filled = now


class Quotas:
    """The accounts of all clients of one server, whatever door they come by. Thread-safe."""

    def __init__(
        self,
        by_role: Mapping[Role, Quota] | None = None,
        by_name: Mapping[str, Quota] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """A named client's quota replaces that of its role."""
        self._by_role, self._by_name, self._clock = by_role or {}, by_name or {}, clock
        self._accounts: dict[str, _Account] = {}
        self._lock = threading.Lock()

    # ------------------------------------------------------------------------------------------ calls

    @contextmanager
    def call(self, client: Client) -> Iterator[None]:
        """One call of the client, for as long as the body lasts. Raises OverQuota."""
        with self._lock:
            account = self._account(client)
            if 0 < account.quota.calls <= account.calls:
                raise _over(client, "calls", f"{account.calls} at once", "end one first", DONE_RETRY_S)
            account.calls += 1
        try:
            yield
        finally:
            with self._lock:
                account.calls -= 1

    # ------------------------------------------------------------------------------------------ bytes

    def spend(self, client: Client, count: int) -> None:
        """The client sent so many bytes. Raises OverQuota while it is in debt; then they are not counted."""
        with self._lock:
            account = self._account(client)
            if not account.rate:
                return
            account.fill(self._clock())
            if account.level <= 0:
                wait = min((BURST_S / 2 * account.rate - account.level) / account.rate, MAX_RETRY_S)
                raise _over(client, "mib_s", f"{account.quota.mib_s:g} MiB/s", "send less", wait)
            account.level -= count

    def charge(self, client: Client, count: int) -> None:
        """The client was sent so many bytes; `debt_s` says how long it then has to wait for more."""
        with self._lock:
            account = self._account(client)
            if account.rate:
                account.fill(self._clock())
                account.level -= count

    def debt_s(self, client: Client) -> float:
        """Seconds until the client has paid what it used; 0 where it may go on."""
        with self._lock:
            account = self._account(client)
            if not account.rate:
                return 0.0
            account.fill(self._clock())
            return max(-account.level / account.rate, 0.0)

    # --------------------------------------------------------------------------------------- episodes

    def opening(self, client: Client, episode_id: str) -> bool:
        """The client opens an episode; whether it had it open already. Raises OverQuota."""
        with self._lock:
            account = self._account(client)
            known = episode_id in account.episodes
            if not known and 0 < account.quota.episodes <= len(account.episodes):
                some = ", ".join(sorted(account.episodes)[:3])
                raise _over(client, "episodes", f"{len(account.episodes)} open ({some})", "end one first", DONE_RETRY_S)
            account.episodes.add(episode_id)
            return known

    def closed(self, client: Client, episode_id: str) -> None:
        """The client has ended or withdrawn it, or it was refused."""
        with self._lock:
            self._account(client).episodes.discard(episode_id)

    # ---------------------------------------------------------------------------------------- accounts

    def _account(self, client: Client) -> _Account:
        if client.name not in self._accounts:
            quota = self._by_name.get(client.name) or self._by_role.get(client.role) or Quota()
            self._accounts[client.name] = _Account(quota, BURST_S * quota.mib_s * MIB, self._clock())
        return self._accounts[client.name]


def _over(client: Client, field: str, value: str, what: str, retry_after_s: float) -> OverQuota:
    remedy = f"{what}, or raise {field} of {client.role} {client.name} in replay.quotas"
    return OverQuota(field, value, remedy, max(retry_after_s, 0.05))
