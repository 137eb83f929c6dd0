"""A start: what the segments hold, told by their footers where they have one and by a scan where they have none.

A segment that was scanned and found whole gets its footer then, so that the next start need not read it again. One that
holds damage gets none: it is scanned at every start.
"""

from __future__ import annotations

import logging
import os
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ramp.replay import durable
from ramp.replay.footer import Footer, FooterWriter, read_footer
from ramp.replay.pen import write_all
from ramp.replay.quarantine import Quarantine
from ramp.replay.record import Position, Record, Seen, Size, cells
from ramp.replay.segment import END, newest, scan
from ramp.types import StepBatch

logger = logging.getLogger(__name__)

KEPT = 4  # footers in memory


class Recovery:
    """Of one directory, before anything is appended there."""

    def __init__(self, directory: Path, quarantine: Quarantine, sizes: dict[str, Size]) -> None:
        """`sizes` gets every segment's."""
        self._directory, self._quarantine, self._sizes = directory, quarantine, sizes
        self._footers: OrderedDict[str, Footer | None] = OrderedDict()
        self.scanned_bytes = 0  # of segments that had no footer

    def records(self) -> Iterator[Record]:
        """Every readable record, oldest segment first. Cuts torn tails; sets damaged ranges aside and goes on.

        What is found may have been written and not fsynced before a kill; from here on it counts as acknowledged, so
        it is fsynced now (a sealed segment was, before its footer was written). A read-only disk is read as it is.
        Raises OSError.
        """
        with durable.where_writable():
            self._drop_superseded()
        for path in newest(self._directory):
            footer = self._footer(path.name)
            if footer is None:
                yield from self._scanned(path)
            else:
                self._sizes[path.name] = footer.size
                yield from footer.records()
        with durable.where_writable():
            durable.sync(self._directory)

    def numbers(self, position: Position) -> tuple[StepBatch, np.ndarray] | None:
        """The steps of a batch without images, and where its frames lie (int64 [F, cameras, 2]: first byte, bytes);
        None where its segment has no footer."""
        footer = self._footer(position.segment)
        return None if footer is None else footer.numbers(position.offset)

    def _footer(self, segment: str) -> Footer | None:
        if segment not in self._footers:
            self._footers[segment] = read_footer(self._directory / segment)
            if len(self._footers) > KEPT:
                self._footers.popitem(last=False)
        return self._footers[segment]

    def _drop_superseded(self) -> None:
        """What a crash left: a segment without a schema, half an edition, one that another was made of or that was
        dropped. A hidden one never has a record that was acknowledged and lies nowhere else."""
        kept = newest(self._directory)
        for path in self._directory.glob("*.arrows"):
            if path not in kept:
                path.unlink()

    def _scanned(self, path: Path) -> Iterator[Record]:
        writer: FooterWriter | None = None
        end, whole = 0, True
        self.scanned_bytes += path.stat().st_size
        for found in scan(path):
            if isinstance(found, Seen):
                writer = writer or FooterWriter(found.rows.schema)
                record = found.record()
                writer.add(record, found.rows, *_places(found))
                end = found.position.offset + found.position.length
                yield record
            elif found.torn:
                with durable.where_writable():
                    self._quarantine.cut(path, found.offset, found.reason)
            else:
                whole = False
                self._quarantine.report(path, found.offset, found.end, found.reason)
        if path.exists():
            with durable.where_writable():
                durable.sync(path)
                if writer is not None and whole:
                    self._seal(path, end, writer)
            self._sizes[path.name] = Size(path.stat().st_size, end)

    def _seal(self, path: Path, end: int, writer: FooterWriter) -> None:
        """A disk that refuses costs only time, at the next start."""
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND)
        try:
            os.ftruncate(descriptor, end)  # of an older footer, and of the end-of-stream mark
            write_all(descriptor, [END, *writer.finish(end + len(END))])
            os.fsync(descriptor)
        except OSError as error:
            logger.warning("%s: no footer: %s", path.name, error)
            os.ftruncate(descriptor, end)
        finally:
            os.close(descriptor)
        self._footers.pop(path.name, None)


def _places(found: Seen) -> tuple[np.ndarray, np.ndarray]:
    """As FooterWriter.add wants them."""
    shown, places = cells(found.rows)
    places[:, :, 0] -= found.base
    return shown, places
