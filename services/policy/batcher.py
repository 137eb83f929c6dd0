"""The one thread that runs the model: requests that wait together are answered together.

A batch has one agent, so a new version takes effect between batches and never within one.
"""

from __future__ import annotations

import logging
import threading
import time

import torch

from services.common import metrics
from services.common.inference import Answer
from services.policy.waiting import Ask, Waiting

logger = logging.getLogger(__name__)

MEMORY = 0.8  # of the pace, from one batch to the next


class Batcher:
    """Runs from `start` to `close`."""

    def __init__(self, waiting: Waiting, *, max_batch: int, max_wait_s: float) -> None:
        self._waiting, self._max_batch, self._max_wait_s = waiting, max_batch, max_wait_s
        self._generator = torch.Generator()
        self._generator.seed()
        self._thread = threading.Thread(target=self._run, name="model", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Returns when everybody who waits has an answer."""
        self._waiting.close()
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        while (asks := self._waiting.take(self._max_batch, self._max_wait_s)) is not None:
            wanted = [ask for ask in asks if ask.answer.set_running_or_notify_cancel()]
            if wanted:
                self._answer(wanted)

    def _answer(self, asks: list[Ask]) -> None:
        began = time.monotonic()
        try:
            answers = self._decided(asks, began)
        except Exception as error:  # of the model: theirs alone, the next batch may be another's
            logger.exception("policy %d failed", asks[0].agent.version)
            for ask in asks:
                ask.answer.set_exception(error)
            return
        for ask, answer in zip(asks, answers, strict=True):
            ask.answer.set_result(answer)

    def _decided(self, asks: list[Ask], began: float) -> list[Answer]:
        agent = asks[0].agent
        decisions = agent.decide_many([ask.observation for ask in asks], generator=self._generator)
        spent = time.monotonic() - began
        self._waiting.pace_s = MEMORY * self._waiting.pace_s + (1 - MEMORY) * spent / len(asks)
        metrics.POLICY_INFER_SECONDS.observe(spent)
        metrics.POLICY_BATCH.observe(len(asks))
        return [
            Answer(
                chunk=decision.chunk,
                version=agent.version,
                remaining=decision.remaining,
                queued_s=began - ask.came,
                infer_s=spent,
                batch=len(asks),
            )
            for ask, decision in zip(asks, decisions, strict=True)
        ]
