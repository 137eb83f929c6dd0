"""A picture that fits its height: whole parts are left out, the least important first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.segment import Segment

Lines = list[list[Segment]]


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a picture; the one with the lowest `rank` is kept longest."""

    rank: int
    body: RenderableType


class Fitted:
    """Parts from top to bottom within `height` lines, and beneath them as much of the end of `tail` as there is room
    for. None: all parts and the whole tail."""

    def __init__(self, parts: Sequence[Part], tail: Sequence[RenderableType], height: int | None) -> None:
        self._parts, self._tail, self._height = parts, tail, height

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        inner = options.update(height=None)
        drawn = [(part.rank, console.render_lines(part.body, inner)) for part in self._parts]
        tail = [line for row in self._tail for line in console.render_lines(row, inner)]
        if self._height is not None:
            drawn = _kept(drawn, self._height)
            room = self._height - sum(len(lines) for _, lines in drawn)
            tail = tail[len(tail) - min(len(tail), room) :]
        for line in [line for _, lines in drawn for line in lines] + tail:
            yield from line
            yield Segment.line()


def _kept(drawn: list[tuple[int, Lines]], height: int) -> list[tuple[int, Lines]]:
    """Without the parts of the highest ranks that would not fit; the most important one stays in any case."""
    while len(drawn) > 1 and sum(len(lines) for _, lines in drawn) > height:
        drawn.remove(max(drawn, key=lambda part: part[0]))
    return drawn
