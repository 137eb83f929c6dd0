"""How bench and contestants speak: every request has one answer, failures too."""

from __future__ import annotations

import io
import json
import sys

import pytest

from benchmarks.peers.lines import Answer, Probe, latencies, serve
from benchmarks.turns import rotate
from tests.waiting import eventually


def double(number: int) -> Answer:
    return {"number": 2 * number}


def fail() -> Answer:
    raise ValueError("no room")


def test_every_line_is_answered_by_a_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    requests = [{"do": "double", "number": 4}, {"do": "fail"}, {"do": "fly"}, {"do": "double", "number": 5}]
    monkeypatch.setattr(sys, "stdin", io.StringIO("".join(json.dumps(each) + "\n" for each in requests)))

    serve({"double": double, "fail": fail})

    answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert answers == [{"number": 8}, {"error": "ValueError: no room"}, {"error": "KeyError: 'fly'"}, {"number": 10}]


def test_a_probe_times_every_call_until_it_is_stopped() -> None:
    made: list[int] = []
    probe = Probe(lambda: made.append(1))
    eventually(lambda: len(made) > 5)

    assert len(probe.stop()["latencies"]) == len(made) - 1  # the first one builds a connection


def test_a_probe_whose_call_fails_says_so() -> None:
    answers = iter([1])
    probe = Probe(lambda: next(answers))

    with pytest.raises(RuntimeError, match="StopIteration"):
        probe.stop()


def test_latencies_leave_out_the_first_call() -> None:
    made: list[int] = []

    assert len(latencies(lambda: made.append(1), 3)["latencies"]) == 3
    assert len(made) == 4


def test_every_side_begins_a_turn_in_its_turn() -> None:
    order: list[str] = []

    def called(name: str) -> int:
        order.append(name)
        return len(order)

    found = rotate({name: lambda name=name: called(name) for name in "abc"}, 3)

    assert "".join(order) == "abcbcacab"
    assert found == {"a": [1, 6, 8], "b": [2, 4, 9], "c": [3, 5, 7]}
