"""Going back: to which checkpoint, and how often."""

from __future__ import annotations

import logging

from services.common import metrics
from services.learner.checkpoint import Checkpoints
from services.learner.divergence import DivergedError
from services.learner.engine import rank

LOG = logging.getLogger(__name__)

MAX_REWINDS = 5  # in one life; a training that diverges that often needs other settings


class Rewinds:
    """One worker's. The newest checkpoint is the last good state, as a rule.

    One that the training diverges from again, before it wrote a newer one, may itself have been written too late: with
    weights that are numbers and yet lost. It is forgotten then, and the one before counts, while there is one.
    """

    def __init__(self, checkpoints: Checkpoints) -> None:
        self.count = 0
        self._checkpoints, self._led_to = checkpoints, 0

    def prepare(self, error: DivergedError) -> None:
        """Before the newest checkpoint is restored; worker 0 sees to it that it is one worth going back to.

        Raises DivergedError, on every worker, after MAX_REWINDS.
        """
        self.count += 1
        metrics.LEARNER_REWINDS.inc()
        if self.count > MAX_REWINDS:
            remedy = "lower the learning rate"
            raise DivergedError(f"the training diverged {self.count} times: {error}; {remedy}") from error
        if rank() == 0:
            self._choose()
            LOG.warning("back to checkpoint %d: %s", self._led_to, error)

    def _choose(self) -> None:
        newest = self._checkpoints.newest()
        if newest and newest == self._led_to and len(self._checkpoints.numbers()) > 1:
            LOG.warning("checkpoint %d is forgotten: the training diverged from it again", newest)
            self._checkpoints.discard(newest)
        self._led_to = self._checkpoints.newest()
