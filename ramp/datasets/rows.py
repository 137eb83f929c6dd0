"""One episode's rows as arrays: read, and checked against what the folder says of them. T rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from ramp.datasets.index import Place, read_parquet
from ramp.datasets.layout import Info, wrong

SCALARS = ("timestamp", "frame_index", "task_index")
KINDS = {"float32": pa.float32(), "float64": pa.float64(), "int32": pa.int32(), "int64": pa.int64(), "bool": pa.bool_()}


class Rows:
    """The columns of one episode that were asked for."""

    def __init__(self, folder: Path, info: Info, place: Place, columns: list[str]) -> None:
        """Raises Invalid where rows are missing, doubled or out of order."""
        self.file, self.index = str(place.data.relative_to(folder)), place.index
        self._info = info
        wanted = [*dict.fromkeys(["episode_index", "frame_index", *columns])]
        self._table = read_parquet(place.data, self.file, wanted, place.index)
        self.length = self._table.num_rows
        if self.length != place.length or not self.length:
            said = f"{self.length} rows of episode {place.index}, not {place.length}"
            raise self._wrong("episode_index", said, "the index and the data disagree; download both again")
        if not np.array_equal(self.numbers("frame_index"), np.arange(self.length)):
            raise self._wrong("frame_index", f"episode {place.index}", f"it must count from 0 to {self.length - 1}")

    def numbers(self, name: str) -> np.ndarray:
        """[T] of a column with one number a row."""
        return self._flat(name).reshape(self.length)

    def vectors(self, name: str, *, cast: bool) -> np.ndarray:
        """float32 [T, W]; numbers of another kind only where `cast` allows that they are rounded."""
        flat = self._flat(name)
        if flat.dtype != np.float32 and not cast:
            raise self._wrong(name, str(flat.dtype), "only float32 is stored: import with --cast to round, or convert")
        if flat.size != self.length * self.width(name):
            raise self._wrong(name, f"{flat.size / self.length:g} numbers a row", f"info.json says {self.width(name)}")
        return np.ascontiguousarray(flat, np.float32).reshape(self.length, -1)

    def width(self, name: str) -> int:
        return int(np.prod(self._info.features[name].shape))

    def pictures(self, name: str, rows: np.ndarray) -> list[bytes]:
        """The encoded pictures of some rows."""
        column = self._table[name].combine_chunks()
        if not pa.types.is_struct(column.type) or column.type.get_field_index("bytes") < 0:
            raise self._wrong(name, str(column.type)[:80], "pictures must be stored in the parquet file")
        found = column.field("bytes").take(pa.array(rows)).to_pylist()
        if any(each is None for each in found):
            raise self._wrong(name, "null", "pictures must be stored in the parquet file")
        return found

    def _flat(self, name: str) -> np.ndarray:
        column = self._table[name].combine_chunks()
        while pa.types.is_list(column.type) or pa.types.is_fixed_size_list(column.type):
            if column.null_count:
                raise self._wrong(name, "null", "every row must have a value")
            column = column.flatten()
        if column.null_count or column.type not in KINDS.values():
            what = "null" if column.null_count else str(column.type)
            raise self._wrong(name, what, f"every row must have numbers: {', '.join(KINDS)}")
        return column.to_numpy(zero_copy_only=False)

    def _wrong(self, name: str, value: object, remedy: str) -> Exception:
        return wrong(self.file, name, value, remedy)
