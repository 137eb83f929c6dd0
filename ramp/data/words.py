"""Instructions as hashed words: what all models read but a policy with published weights. No vocabulary to ship."""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence

import numpy as np

BUCKETS = 512
"""Ids run from 1 to BUCKETS - 1; 0 is no word."""
LONGEST = 16
"""Words beyond it are dropped."""


def word_ids(instructions: Sequence[str]) -> np.ndarray:
    """int64 [B, LONGEST]; the same on every machine (crc32, not Python's salted hash)."""
    ids = np.zeros((len(instructions), LONGEST), np.int64)
    for row, instruction in enumerate(instructions):
        for column, word in enumerate(re.findall(r"\w+", instruction.lower())[:LONGEST]):
            ids[row, column] = 1 + zlib.crc32(word.encode()) % (BUCKETS - 1)
    return ids
