"""The rate limiter: how far sampling and inserting may run ahead of each other.

    lead = samples_per_insert * (inserts - min_size) - samples

Inserting waits while lead >= slack; a batch waits while it would bring lead below -slack. Until `min_size` inserts
have arrived nothing is sampled and inserts always pass; where items were removed, sampling waits until as many are
there again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from ramp.errors import Invalid, Timeout, Unavailable


class Limiter:
    """Counts inserts and samples of one table, and lets either side wait.

    Thread-safe. Waiting times are counted for both sides, so that who waits for whom is a number.
    """

    @dataclass(frozen=True, kw_only=True, slots=True)
    class Config:
        """`samples_per_insert` None means no limit: only `min_size` holds sampling back."""

        min_size: int = 1
        samples_per_insert: float | None = None
        slack: float = 0.0

        def __post_init__(self) -> None:
            if self.min_size < 1:
                raise Invalid("min_size", self.min_size, "give 1 or more: an empty table cannot be sampled")
            ratio = self.samples_per_insert
            if ratio is None:
                return
            if not ratio > 0:
                raise Invalid("samples_per_insert", ratio, "give a number above 0, or none for no limit")
            if not self.slack >= max(1.0, ratio):
                raise Invalid(
                    "slack", self.slack, f"give {max(1.0, ratio):g} or more, or both sides would wait for good"
                )

        def build(self) -> Limiter:
            return Limiter(self)

    def __init__(self, config: Config) -> None:
        self.config = config
        self._changed = threading.Condition()
        self._closed = False
        self.inserts = 0
        self.removals = 0
        self.samples = 0
        self.insert_wait_s = 0.0
        self.sample_wait_s = 0.0

    @property
    def lead(self) -> float:
        """Above slack inserts wait, below -slack samples wait; 0 without a limit."""
        if self.config.samples_per_insert is None:
            return 0.0
        return self.config.samples_per_insert * (self.inserts - self.config.min_size) - self.samples

    def restore(self, present: int, removals: int, samples: int | None) -> None:
        """Counters after a restart. Where the samples are not known any more, start with no lead on either side."""
        with self._changed:
            self.inserts, self.removals = present + removals, removals
            ratio = self.config.samples_per_insert or 0.0
            balanced = int(max(0.0, ratio * (self.inserts - self.config.min_size)))
            self.samples = balanced if samples is None else samples
            self._changed.notify_all()

    def may_insert(self) -> bool:
        unlimited = self.config.samples_per_insert is None or self.inserts < self.config.min_size
        return unlimited or self.lead < self.config.slack

    def may_sample(self, count: int, present: int = 1) -> bool:
        """Whether a batch of `count` may be drawn, which needs so many items to be `present`."""
        if self.inserts - self.removals < max(self.config.min_size, present):
            return False
        return self.config.samples_per_insert is None or self.lead - count >= -self.config.slack

    def check_batch(self, count: int) -> None:
        """Raises Invalid for a batch so large that it could wait for ever while inserts wait for it."""
        if self.config.samples_per_insert is not None and count > 2 * self.config.slack:
            raise Invalid("batch_size", count, f"ask for at most {2 * self.config.slack:g}: twice the limiter's slack")

    def await_insert(self, timeout: float | None = None) -> None:
        """Wait until an insert is allowed. Raises Timeout, or Unavailable when the table closes."""
        with self._changed:
            began = time.monotonic()
            try:
                self._wait(self.may_insert, timeout, "inserting")
            finally:
                self.insert_wait_s += time.monotonic() - began

    def inserted(self, count: int) -> None:
        """Inserts that have happened."""
        with self._changed:
            self.inserts += count
            self._changed.notify_all()

    def removed(self, count: int) -> None:
        """Items that can be sampled no more. They count as inserts all the same: the learner has had its share."""
        with self._changed:
            self.removals += count

    def await_sample(self, count: int, timeout: float | None = None, present: int = 1) -> float:
        """Wait until `count` samples are allowed and that many items `present`, then count the samples; the seconds
        waited. Raises as `await_insert`."""
        with self._changed:
            began = time.monotonic()
            try:
                self._wait(lambda: self.may_sample(count, present), timeout, "sampling")
            finally:
                waited = time.monotonic() - began
                self.sample_wait_s += waited
            self.samples += count
            self._changed.notify_all()
            return waited

    def give_back(self, count: int) -> None:
        """Samples that were allowed and did not happen."""
        with self._changed:
            self.samples -= count

    def _wait(self, allowed: Callable[[], bool], timeout: float | None, what: str) -> None:
        passed = self._changed.wait_for(lambda: self._closed or allowed(), timeout)
        if self._closed:
            raise Unavailable("the replay service is stopping")
        if not passed:
            raise Timeout(f"{what} was held back by the rate limiter for {timeout:g} s (lead {self.lead:g})")

    def close(self) -> None:
        """Whoever waits gets Unavailable."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
