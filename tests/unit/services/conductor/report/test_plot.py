"""Charts as numbers: where marks fall, and that every chart is well-formed."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import pytest

from services.conductor.report.figures import unbroken
from services.conductor.report.plot import Axis, Plot, bars, interval


def test_the_ends_of_the_axes_are_the_corners_of_the_frame() -> None:
    plot = Plot(x=Axis(low=0, high=10), y=Axis(low=0, high=1), width=200, height=100)

    assert plot.at((0, 0)) == (plot.left, plot.height - plot.bottom)
    assert plot.at((10, 1)) == (plot.width - plot.right, plot.top)


def test_values_outside_an_axis_stay_at_its_end() -> None:
    assert Axis(low=0, high=1).share(7) == 1
    assert Axis(low=1, high=100, log=True).share(0.0) == 0
    assert Axis(low=1, high=100, log=True).share(10) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("low", "high", "log", "ticks"),
    [
        (0, 1, False, [0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (0, 13_200, False, [0, 5000, 10_000]),
        (3, 3, False, [3]),
        (0.5, 50, True, [1, 3, 10, 30]),
    ],
)
def test_ticks_are_round_numbers_inside_the_axis(low: float, high: float, log: bool, ticks: list[float]) -> None:
    assert Axis(low=low, high=high, log=log).ticks() == pytest.approx(ticks)


def test_every_mark_makes_well_formed_svg_and_text_is_escaped() -> None:
    plot = Plot(x=Axis(low=0, high=1, label="a < b"), y=Axis(low=0, high=1), title='"x" & y')
    plot.line([(0, 0), (1, 1)], "s0")
    plot.band([(0, 0), (1, 0)], [(0, 1), (1, 1)], "s2")
    plot.whisker(0.5, 0.2, 0.8, "s3")
    plot.dot((0.5, 0.5), "s4", "<b>")
    plot.zone(0, 1, "human", "a & b")

    ElementTree.fromstring(plot.svg())
    ElementTree.fromstring(bars([("a & b", 1.0, "<"), ("b", 3.0, "")], total=4.0))
    ElementTree.fromstring(interval(0.5, 0.4, 0.6, "before"))


def test_a_curve_is_broken_where_a_loss_was_not_trained() -> None:
    points = [(float(t), 1.0) for t in (0, 1, 2, 3, 60, 61, 62)]

    assert [len(run) for run in unbroken(points)] == [4, 3]
    assert unbroken([]) == []
    assert len(unbroken(points[:1])) == 1
