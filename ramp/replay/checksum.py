"""What tells one content from another, and a whole record from a damaged one: xxHash, at the speed of memory.

It finds accidents, not forgers: who may write to the disk may write a checksum too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import xxhash

from ramp.replay.columns import binary_offsets, present_rows


def digest(batch: pa.RecordBatch) -> str:
    """32 hexadecimal digits (XXH3-128) of the content: the same before writing and after reading."""
    hashed = xxhash.xxh3_128()
    for view in _content(batch):
        hashed.update(view)
    return hashed.hexdigest()


def checksum(*parts: Any) -> int:
    """XXH3-64 of texts and of anything that shows its bytes, one after the other."""
    hashed = xxhash.xxh3_64()
    for part in parts:
        hashed.update(part)
    return hashed.intdigest()


def checksum_of(texts: Iterable[str]) -> int:
    """Of a list of texts, none of which holds a zero byte."""
    return checksum("\0".join(texts).encode())


def _content(batch: pa.RecordBatch) -> Iterator[Any]:
    """The bytes that mean something."""
    for column in batch.columns:
        if pa.types.is_binary(column.type) or pa.types.is_string(column.type):
            yield np.packbits(present_rows(column), bitorder="little").data
            offsets, data = binary_offsets(column), column.buffers()[2]
            if data is not None:
                yield memoryview(data)[int(offsets[0]) : int(offsets[-1])]
            yield np.diff(offsets).data.cast("B")
        elif pa.types.is_boolean(column.type):
            yield np.packbits(column.to_numpy(zero_copy_only=False), bitorder="little").data
        else:
            flat = column.flatten() if pa.types.is_fixed_size_list(column.type) else column
            yield np.ascontiguousarray(flat.to_numpy(zero_copy_only=True)).data.cast("B")
