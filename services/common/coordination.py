"""Redis as the run's notice board: who is there, what they report, what they are asked to do.

Never the only copy of anything. Every method survives Redis being away or flushed: it answers False, None or
empty within about a second, counts a metric, and works again once Redis does. What this process has announced or
asked for is written anew by a heartbeat thread.

    ramp:<run>:presence:<role>:<name>   hash with a time to live
    ramp:<run>:stream:<name>            stream, bounded
    ramp:<run>:shard:<name>             hash address, data with a time to live: the lease of a replay shard's name
    ramp:<run>:stop                     why the run shall stop
    ramp:<run>:aliases                  hash "<kind>/<alias>" -> version; changes go to the stream "aliases"
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

import redis
from redis.backoff import NoBackoff
from redis.client import Pipeline
from redis.retry import Retry

from ramp.errors import Conflict
from ramp.types import Kind
from services.common.directory import Shard
from services.common.host import reachable
from services.common.metrics import COORDINATION_FAILURES, COORDINATION_SECONDS, REPLAY_NAME_TAKEN, timed
from services.common.settings import Settings, redis_url

logger = logging.getLogger(__name__)

Result = TypeVar("Result")
Value = str | int | float

PRESENCE_TTL_S = 15
HEARTBEAT_S = 4.0
STREAM_LENGTH = 2000  # entries kept; older ones are forgotten
_ANSWER_S = 0.5  # longest wait for a connection and for an answer
_PAUSE_S = 0.5  # after a failure no call is tried for so long, so that a hot loop does not pay for each
_SLICE_S = 0.25  # one blocking read; shorter than _ANSWER_S


def run_key(run_dir: Path) -> str:
    """What a run is called on the notice board: its directory's name, told apart from others of that name."""
    path = run_dir.resolve()
    return f"{path.name}-{sha256(str(path).encode()).hexdigest()[:8]}"


def without_password(url: str) -> str:
    """A Redis URL as a log may show it."""
    parts = urlsplit(url)
    _, at, host = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"***@{host}" if at else host, query=""))


@dataclass(frozen=True, kw_only=True, slots=True)
class Presence:
    """A process that has been heard of in the last PRESENCE_TTL_S seconds.

    Example: Presence(role="actor", name="actor-0", fields={"pid": "4711", "metrics_port": "40513"})
    """

    role: str
    name: str
    fields: Mapping[str, str] = field(default_factory=dict)


class Coordination:
    """One process's door to the notice board. An empty `url` means: no board; calls answer as if Redis were away."""

    def __init__(self, url: str, run: str) -> None:
        self.url, self.run = url, run
        self._redis = _connect(url) if url else None
        self._announced: dict[tuple[str, str], dict[str, str]] = {}
        self._shards: dict[str, Shard] = {}
        self._stop_reason = ""
        self._quiet_until = 0.0
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._heartbeat: threading.Thread | None = None

    # ------------------------------------------------------------------------------------- presence

    def announce(self, role: str, name: str, fields: Mapping[str, Value] | None = None) -> bool:
        """This process is there, with its status. Kept alive until `withdraw` or `close`; call again to change it."""
        with self._lock:
            self._announced[role, name] = {key: str(value) for key, value in (fields or {}).items()}
        self._ensure_heartbeat()
        return self._write_presence(role, name)

    def withdraw(self, role: str, name: str) -> bool:
        """Not there any more."""
        with self._lock:
            self._announced.pop((role, name), None)
        return self._call("withdraw", lambda r: bool(r.delete(self._presence_key(role, name))), False)

    def presence(self) -> list[Presence] | None:
        """Everybody, sorted by role and name; None where Redis does not answer, which says nothing about anybody."""

        def read(board: redis.Redis) -> list[Presence]:
            keys = sorted(board.scan_iter(match=self._presence_key("*", "*"), count=500))
            answers = board.pipeline(transaction=False)
            for key in keys:
                answers.hgetall(key)
            found = zip(keys, answers.execute() if keys else [], strict=True)
            return [_presence(fields) for _, fields in found if fields]

        return self._call("presence", read, None)

    # ----------------------------------------------------------------------------- the shard directory

    def announce_shard(self, shard: Shard) -> bool:
        """This process serves the shard. The lease is renewed until `close`, and taken anew after a flush; False where
        Redis does not answer now.

        Raises Conflict where a server with other data holds the name. Later, when the lease is to be renewed, that is
        an error in the log and in a metric: whoever knows the shard keeps to its data.
        """
        written = self._write_shard(shard)
        with self._lock:
            self._shards[shard.name] = shard
        self._ensure_heartbeat()
        return written

    def shards(self) -> dict[str, Shard] | None:
        """Every shard that has been heard of lately, by name; None where Redis does not answer. One that is missing is
        away, not gone: keep the address that was known."""

        def read(board: redis.Redis) -> dict[str, Shard]:
            keys = sorted(board.scan_iter(match=self._key("shard", "*"), count=500))
            answers = board.pipeline(transaction=False)
            for key in keys:
                answers.hgetall(key)
            found = zip(keys, answers.execute() if keys else [], strict=True)
            named = ((key.rpartition(":")[2], fields) for key, fields in found if fields)
            return {name: Shard(name, fields["address"], fields["data"]) for name, fields in named}

        return self._call("shards", read, None)

    def _write_shard(self, shard: Shard) -> bool:
        key = self._key("shard", shard.name)

        def claim(pipeline: Pipeline) -> None:
            held: Any = pipeline.hgetall(key)
            if held and held["data"] != shard.data:
                remedy = "give every shard a name of its own"
                raise Conflict("shard", f"{shard.name} is served at {held['address']} from other data", remedy)
            pipeline.multi()
            pipeline.hset(key, mapping={"address": shard.address, "data": shard.data})
            pipeline.expire(key, PRESENCE_TTL_S)

        return self._call("announce_shard", lambda r: bool(r.transaction(claim, key)), False)

    def _renew_shards(self) -> None:
        for shard in list(self._shards.values()):
            try:
                self._write_shard(shard)
                REPLAY_NAME_TAKEN.set(0)
            except Conflict as error:
                REPLAY_NAME_TAKEN.set(1)
                logger.error("this shard is not in the directory: %s", error)

    def _withdraw_shard(self, shard: Shard) -> bool:
        """Leave the name to others, unless it is theirs already."""
        key = self._key("shard", shard.name)

        def leave(pipeline: Pipeline) -> None:
            ours = pipeline.hget(key, "data") == shard.data
            pipeline.multi()
            if ours:
                pipeline.delete(key)

        return self._call("withdraw_shard", lambda r: r.transaction(leave, key) is not None, False)

    # -------------------------------------------------------------------------------------- streams

    def emit(self, stream: str, fields: Mapping[str, Value], length: int = STREAM_LENGTH) -> bool:
        """Append an entry to a bounded stream."""
        entry: dict[Any, Any] = {key: str(value) for key, value in fields.items()} or {"empty": ""}
        key = self._key("stream", stream)
        return self._call("emit", lambda r: bool(r.xadd(key, entry, maxlen=length, approximate=True)), False)

    def tail(self, stream: str, after: str = "0", block_s: float = 0.0) -> list[tuple[str, dict[str, str]]]:
        """Entries after the id `after`, oldest first; waits up to `block_s` seconds for the first one.

        Without Redis it waits as long and answers empty, so that a reading loop does not spin.
        """
        until = time.monotonic() + block_s
        while True:
            wait_s = max(0.0, min(_SLICE_S, until - time.monotonic()))
            entries = self._call("tail", partial(self._read, stream, after, wait_s), None)
            if entries or time.monotonic() >= until or self._closed.is_set():
                return entries or []
            if entries is None:
                self._closed.wait(max(0.0, min(_SLICE_S, until - time.monotonic())))

    def _read(
        self, stream: str, after: str, wait_s: float, board: redis.Redis
    ) -> list[tuple[str, dict[str, str]]] | None:
        block_ms = int(wait_s * 1000) or None  # 0 would mean: for ever
        answer: Any = board.xread({self._key("stream", stream): after}, count=STREAM_LENGTH, block=block_ms)
        pairs = list(answer.items()) if isinstance(answer, dict) else list(answer or [])
        entries = pairs[0][1] if pairs else []
        if entries and isinstance(entries[0], list) and entries[0] and isinstance(entries[0][0], tuple | list):
            entries = entries[0]  # the RESP3 shape: one more list around the entries
        return [(entry_id, dict(fields)) for entry_id, fields in entries]

    # ------------------------------------------------------------------------------- stop and aliases

    def request_stop(self, reason: str = "asked to stop") -> bool:
        """Ask every process of the run to stop in order; asked again after a flush as long as this process lives."""
        self._stop_reason = reason
        self._ensure_heartbeat()
        return self._write_stop()

    def clear(self) -> bool:
        """Forget all that an earlier life of this run has left; who is there says so again by itself."""
        self._stop_reason = ""

        def forget(board: redis.Redis) -> bool:
            keys = list(board.scan_iter(match=self._key("*"), count=500))
            return not keys or bool(board.delete(*keys))

        return self._call("clear", forget, False)

    def stop_requested(self) -> bool:
        """Whether the run shall stop; False where Redis does not answer."""
        return self._call("stop_requested", lambda r: bool(r.exists(self._key("stop"))), False)

    def publish_alias(self, kind: Kind, alias: str, version: int) -> bool:
        """Tell everyone that an alias has moved. The registry is the truth; this saves them polling it."""
        name = f"{kind.value}/{alias}"
        key = self._key("aliases")
        known = self._call("publish_alias", lambda r: r.hset(key, name, str(version)) is not None, False)
        return known and self.emit("aliases", {"kind": kind.value, "alias": alias, "version": version})

    def aliases(self) -> dict[str, int]:
        """Newest known version by "<kind>/<alias>"; empty where Redis does not answer or was flushed."""

        def read(board: redis.Redis) -> dict[str, int]:
            found: Any = board.hgetall(self._key("aliases"))
            return {name: int(version) for name, version in found.items()}

        return self._call("aliases", read, {})

    def watch(self, after: str = "0", block_s: float = 1.0) -> list[tuple[str, dict[str, str]]]:
        """Alias changes after the id `after`: fields kind, alias, version."""
        return self.tail("aliases", after, block_s)

    # ------------------------------------------------------------------------------------- lifetime

    def ping(self) -> bool:
        """Whether Redis answers."""
        return self._call("ping", lambda r: bool(r.ping()), False)

    def close(self) -> None:
        """Withdraw what was announced and stop the heartbeat."""
        self._closed.set()
        if self._heartbeat:
            self._heartbeat.join(timeout=2.0)
        for role, name in list(self._announced):
            self.withdraw(role, name)
        for shard in self._shards.values():
            self._withdraw_shard(shard)
        if self._redis:
            self._redis.close()

    def _ensure_heartbeat(self) -> None:
        with self._lock:
            if self._redis and self._heartbeat is None:
                self._heartbeat = threading.Thread(target=self._beat, name="coordination", daemon=True)
                self._heartbeat.start()

    def _beat(self) -> None:
        while not self._closed.wait(HEARTBEAT_S):
            self.reannounce()

    def reannounce(self) -> None:
        """Write anew all that this process stands for; the heartbeat does it every HEARTBEAT_S seconds."""
        for role, name in list(self._announced):
            self._write_presence(role, name)
        self._renew_shards()
        if self._stop_reason:
            self._write_stop()

    def _write_presence(self, role: str, name: str) -> bool:
        with self._lock:
            fields = self._announced.get((role, name))
        if fields is None:
            return False

        entry: dict[Any, Any] = {**fields, "role": role, "name": name}

        def write(board: redis.Redis) -> bool:
            key, batch = self._presence_key(role, name), board.pipeline(transaction=True)
            batch.delete(key)
            batch.hset(key, mapping=entry)
            batch.expire(key, PRESENCE_TTL_S)
            return bool(batch.execute())

        return self._call("announce", write, False)

    def _write_stop(self) -> bool:
        return self._call("request_stop", lambda r: bool(r.set(self._key("stop"), self._stop_reason)), False)

    # ----------------------------------------------------------------------------------------- calls

    def _call(self, method: str, body: Callable[[redis.Redis], Result], otherwise: Result) -> Result:
        """Run `body`; where Redis does not answer, count it and return `otherwise`."""
        if self._redis is None or time.monotonic() < self._quiet_until:
            return otherwise
        try:
            with timed(COORDINATION_SECONDS.labels(method)):
                return body(self._redis)
        except (redis.RedisError, OSError):
            self._quiet_until = time.monotonic() + _PAUSE_S
            COORDINATION_FAILURES.labels(method).inc()
            return otherwise

    def _key(self, *parts: str) -> str:
        return ":".join(("ramp", self.run, *parts))

    def _presence_key(self, role: str, name: str) -> str:
        return self._key("presence", role, name)


def serving(host: str, metrics_port: int) -> dict[str, Value]:
    """The fields of presence by which Prometheus finds a process that serves its metrics on `host`."""
    return {"host": reachable(host), "metrics_port": metrics_port}


def board_of(settings: Settings, child: str = "") -> Coordination:
    """The notice board of a run: in the Redis that its settings name, else in the conductor's `child`."""
    name = settings.redis.run or run_key(Path(settings.dir))
    return Coordination(redis_url(settings) or child, name)


def _connect(url: str) -> redis.Redis:
    """Connects lazily; one immediate retry, because the pooled connection may be that of a Redis that was restarted."""
    return redis.Redis.from_url(
        url,
        decode_responses=True,
        socket_connect_timeout=_ANSWER_S,
        socket_timeout=_ANSWER_S,
        retry=Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,)),
    )


def _presence(fields: Mapping[str, str]) -> Presence:
    rest = {name: value for name, value in fields.items() if name not in ("role", "name")}
    return Presence(role=fields["role"], name=fields["name"], fields=rest)
