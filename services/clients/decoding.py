"""Pictures become pixels on their way to the learner, in threads beside the one that reads the stream."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from ramp.data.images import decode_batch, decode_steps
from ramp.types import Batch, StepBatch, StepSchema
from services.common import metrics

THREADS = 4  # enough for 10,000 frames of 224 pixels a second, and none starts before the first picture comes


class Decoder:
    """Thread-safe; Pillow lets the other threads run while it decodes."""

    def __init__(self, threads: int = THREADS) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="decode")

    def batch(self, batch: Batch) -> Batch:
        """With pixels. Raises Corrupt, with episode, step and camera."""
        began = time.monotonic()
        encoded = sum(_cells(frames) for frames in (*batch.images.values(), *batch.future_images.values()))
        if encoded:
            metrics.LEARNER_DECODING.inc(encoded)
            try:
                batch = decode_batch(batch, self._pool.map)
            finally:
                metrics.LEARNER_DECODING.dec(encoded)
            metrics.LEARNER_DECODED.inc(encoded)
            metrics.add_seconds(metrics.LEARNER_DECODE_SECONDS, time.monotonic() - began)
        return batch

    def steps(self, steps: StepBatch, schema: StepSchema, episode_id: str) -> StepBatch:
        """With pixels. Raises Corrupt, with episode, step and camera."""
        return decode_steps(steps, schema, episode_id, self._pool.map)

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)


def _cells(frames: np.ndarray) -> int:
    return frames.size if frames.dtype == object else 0
