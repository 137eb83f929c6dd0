"""Charts as inline SVG, coloured by the page's style sheet so that they follow its light and dark themes.

A chart is a `Plot` with two `Axis`es; marks are added one after the other and `svg()` returns the text. Classes s0 to
s7 choose a series' colour; everything is in view-box units, about one per pixel of the page.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from html import escape

Point = tuple[float, float]

NUM_COLOURS = 8


@dataclass(frozen=True, kw_only=True)
class Axis:
    """A range of values and how to write them."""

    low: float
    high: float
    label: str = ""
    log: bool = False
    write: Callable[[float], str] = lambda value: f"{value:g}"
    num_ticks: int = 5

    def share(self, value: float) -> float:
        """Where a value lies between the ends, in [0, 1]."""
        low, high, value = (math.log(v) if self.log else v for v in (self.low, self.high, self._kept(value)))
        return (value - low) / (high - low) if high > low else 0.5

    def ticks(self) -> list[float]:
        return _decades(self.low, self.high) if self.log else _round_steps(self.low, self.high, self.num_ticks)

    def _kept(self, value: float) -> float:
        return min(max(value, self.low), self.high)


@dataclass(kw_only=True)
class Plot:
    """One chart."""

    x: Axis
    y: Axis
    width: int = 340
    height: int = 210
    left: int = 44
    right: int = 12
    top: int = 12
    bottom: int = 34
    title: str = ""
    marks: list[str] = field(default_factory=list)

    def at(self, point: Point) -> Point:
        """View-box coordinates of a point."""
        across, up = self.width - self.left - self.right, self.height - self.top - self.bottom
        return self.left + self.x.share(point[0]) * across, self.top + (1 - self.y.share(point[1])) * up

    def line(self, points: Iterable[Point], cls: str) -> None:
        self.marks.append(f'<polyline class="line {cls}" points="{self._points(points)}"/>')

    def band(self, points: Sequence[Point], upper: Sequence[Point], cls: str) -> None:
        """The area between two lines."""
        self.marks.append(f'<polygon class="band {cls}" points="{self._points([*points, *reversed(upper)])}"/>')

    def whisker(self, x: float, low: float, high: float, cls: str) -> None:
        """An interval as an upright stroke."""
        (left, bottom), (_, top) = self.at((x, low)), self.at((x, high))
        self.marks.append(f'<path class="whisker {cls}" d="M{left:.1f} {bottom:.1f}V{top:.1f}"/>')

    def dot(self, point: Point, cls: str, text: str, *, radius: float = 4) -> None:
        """A mark that says `text` under the pointer."""
        x, y = self.at(point)
        self.marks.append(
            f'<circle class="dot {cls}" cx="{x:.1f}" cy="{y:.1f}" r="{radius}"><title>{escape(text)}</title></circle>'
        )

    def zone(self, start: float, end: float, cls: str, text: str = "") -> None:
        """A stretch of the x axis, over the whole height, with its name at the top."""
        (left, bottom), (right, top) = self.at((start, self.y.low)), self.at((end, self.y.high))
        size = f'x="{left:.1f}" y="{top:.1f}" width="{max(0.0, right - left):.1f}" height="{bottom - top:.1f}"'
        self.marks.append(f'<rect class="zone {cls}" {size}><title>{escape(text)}</title></rect>')
        if right - left > 7 * len(text) and text:
            self.marks.append(f'<text class="zone-name" x="{left + 4:.1f}" y="{top + 11:.1f}">{escape(text)}</text>')

    def svg(self, *, cls: str = "", data: str = "") -> str:
        """The chart. `data` goes into the root element as attributes for the page's script."""
        name = escape(self.title or self.y.label)
        frame = (
            f'<svg class="plot {cls}" viewBox="0 0 {self.width} {self.height}" role="img" aria-label="{name}" {data}>'
        )
        return "".join([frame, *self._axes(), *self.marks, "</svg>"])

    def _points(self, points: Iterable[Point]) -> str:
        return " ".join(f"{x:.1f},{y:.1f}" for x, y in map(self.at, points))

    def _axes(self) -> list[str]:
        right, bottom = self.width - self.right, self.height - self.bottom
        parts = []
        for value in self.y.ticks():
            _, y = self.at((self.x.low, value))
            parts.append(f'<path class="grid" d="M{self.left} {y:.1f}H{right}"/>')
            parts.append(
                f'<text class="tick y" x="{self.left - 6}" y="{y + 3.5:.1f}">{escape(self.y.write(value))}</text>'
            )
        for value in self.x.ticks():
            x, _ = self.at((value, self.y.low))
            parts.append(f'<text class="tick x" x="{x:.1f}" y="{bottom + 14}">{escape(self.x.write(value))}</text>')
        parts.append(f'<path class="base" d="M{self.left} {bottom}H{right}"/>')
        middle = (self.left + right) / 2
        parts.append(f'<text class="axis" x="{middle:.1f}" y="{self.height - 4}">{escape(self.x.label)}</text>')
        return parts


def bars(rows: Sequence[tuple[str, float, str]], *, total: float, width: int = 720) -> str:
    """Parts of a whole as one stacked bar; rows are (name, amount, text under the pointer)."""
    height, x, parts = 26, 0.0, []
    for index, (name, amount, text) in enumerate(rows):
        length = width * amount / total if total > 0 else 0.0
        parts.append(
            f'<rect class="part s{index % NUM_COLOURS}" x="{x:.2f}" y="0" width="{length:.2f}" height="{height}">'
            f"<title>{escape(name)}: {escape(text)}</title></rect>"
        )
        if length > 8 * len(name) + 8:
            parts.append(f'<text class="part-name" x="{x + 7:.1f}" y="17.5">{escape(name)}</text>')
        x += length
    return f'<svg class="bars" viewBox="0 0 {width} {height}" role="img">{"".join(parts)}</svg>'


def interval(rate: float, low: float, high: float, cls: str, *, width: int = 92) -> str:
    """A rate with its interval on a scale from 0 to 1."""
    pad = 6
    left, middle, right = (pad + value * (width - 2 * pad) for value in (low, rate, high))
    return (
        f'<svg class="interval" viewBox="0 0 {width} 14" role="img"><path class="base" d="M{pad} 7H{width - pad}"/>'
        f'<path class="whisker {cls}" d="M{left:.1f} 7H{right:.1f}"/>'
        f'<circle class="dot {cls}" cx="{middle:.1f}" cy="7" r="4"/></svg>'
    )


def _round_steps(low: float, high: float, count: int) -> list[float]:
    """About `count` round numbers from low to high."""
    if high <= low:
        return [low]
    raw = (high - low) / max(1, count)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [round(index * step, 10) for index in range(first, math.floor(high / step + 1e-9) + 1)]


def _decades(low: float, high: float) -> list[float]:
    """Powers of ten, with 2 and 5 between them where there would be few."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    factors = (1,) if last - first > 3 else (1, 2, 5) if last - first < 2 else (1, 3)
    values = [factor * 10.0**power for power in range(first, last + 1) for factor in factors]
    return [value for value in values if low <= value <= high]
