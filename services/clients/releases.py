"""What was let on robots, when, by whom and why: the history of the registry's release aliases.

    <registry>/releases.jsonl     a JSON object a line, appended and fsynced, never rewritten

A change is written down first and made then, by one writer at a time. Whoever finds that the last line was not carried
out, because its writer died in between, carries it out: the history is what holds.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from ramp.errors import Corrupt, Invalid, NotFound
from ramp.replay import durable
from ramp.types import Kind
from services.clients.registry import DirectoryRegistry
from services.common import metrics

CANDIDATE, STABLE = ALIASES = ("candidate", "stable")
PROMOTE, ROLLBACK = "promote", "rollback"
FILE = "releases.jsonl"


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """One line of the history."""

    time: str  # ISO 8601, UTC
    who: str
    what: str  # promote or rollback
    alias: str
    before: int  # version; 0: none
    version: int  # from now on
    why: str
    numbers: Mapping[str, Any] = field(default_factory=dict)  # that it was decided by

    @property
    def at(self) -> float:
        """Seconds since 1970."""
        return datetime.fromisoformat(self.time).timestamp()


class Releases:
    """The release aliases of one registry.

    Example: Releases(registry).promote("stable", 7, who="ada", why="better by 4 points", numbers={})
    """

    def __init__(self, registry: DirectoryRegistry) -> None:
        self._registry, self._path = registry, registry.root / FILE
        self._seen = 0  # changes that the metrics tell of

    def history(self) -> list[Change]:
        """Oldest first. A line that its writer did not finish is none. Raises Corrupt."""
        if not self._path.exists():
            return []
        lines = self._path.read_bytes().split(b"\n")[:-1]
        return [self._parsed(number, line) for number, line in enumerate(lines, start=1)]

    def past(self, alias: str) -> list[int]:
        """What the alias pointed to before now, newest first, each version once. What was rolled back is none of it."""
        now, before = 0, list[int]()
        for change in self.history():
            if change.alias != alias:
                continue
            if change.what == ROLLBACK:
                before = before[: before.index(change.version)] if change.version in before else before
            elif now and now != change.version:
                before = [each for each in before if each != now] + [now]
            now = change.version
        return before[::-1]

    def promote(self, alias: str, version: int, *, who: str, why: str, numbers: Mapping[str, Any]) -> Change:
        """Let `alias` point to a version. Raises Invalid (no such release alias, nothing would change), NotFound."""
        if alias not in ALIASES:
            raise Invalid("alias", alias, f"choose {' or '.join(ALIASES)}")
        with self._changing():
            self._registry.manifest(Kind.POLICY, version)
            return self._change(PROMOTE, alias, version, who, why, numbers)

    def rollback(self, alias: str, *, who: str, why: str, numbers: Mapping[str, Any] | None = None) -> Change:
        """Let `alias` point to what it pointed to before. Raises NotFound where there is no such version."""
        with self._changing():
            past = self.past(alias)
            if not past:
                raise NotFound(f"{alias} has never pointed to another version; promote one")
            return self._change(ROLLBACK, alias, past[0], who, why, numbers or {})

    def observe(self) -> None:
        """Bring the metrics up to date."""
        for kind in Kind:
            for alias, version in self._registry.aliases(kind).items():
                metrics.REGISTRY_ALIAS.labels(kind.value, alias).set(version)
        history = self.history()
        for change in history[self._seen :]:
            metrics.REGISTRY_PROMOTIONS.labels(change.alias, change.what).inc()
            metrics.REGISTRY_PROMOTED.labels(change.alias).set(change.at)
        self._seen = len(history)

    # ------------------------------------------------------------------------------------------- changing

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """One writer at a time; what the last one left undone is done first."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(self._path.with_name(f".{FILE}.lock"), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o640)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            for change in {each.alias: each for each in self.history()}.values():
                if self._registry.resolve(Kind.POLICY, change.alias) != change.version:
                    self._registry.alias(Kind.POLICY, change.alias, change.version)
            yield
        finally:
            os.close(lock)

    def _change(self, what: str, alias: str, version: int, who: str, why: str, numbers: Mapping[str, Any]) -> Change:
        before = self._registry.resolve(Kind.POLICY, alias) or 0
        if before == version:
            raise Invalid("version", version, f"{alias} points to it already")
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        change = Change(
            time=now, who=who, what=what, alias=alias, before=before, version=version, why=why, numbers=numbers
        )
        self._append(json.dumps(asdict(change), ensure_ascii=False, allow_nan=False).encode() + b"\n")
        self._registry.alias(Kind.POLICY, alias, version)
        return change

    def _append(self, line: bytes) -> None:
        """On the disk when it returns; behind whole lines only."""
        with open(os.open(self._path, os.O_CREAT | os.O_RDWR, 0o640), "r+b", buffering=0) as file:
            end = file.seek(file.read().rfind(b"\n") + 1)
            file.truncate(end)
            file.write(line)
            os.fsync(file.fileno())
        durable.sync(self._path.parent)

    def _parsed(self, number: int, line: bytes) -> Change:
        try:
            return Change(**json.loads(line))
        except (ValueError, TypeError) as error:
            raise Corrupt(f"{self._path}, line {number}: {error}") from error
