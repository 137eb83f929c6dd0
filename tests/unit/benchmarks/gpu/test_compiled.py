"""A recorded decision reads the inputs of each call, not those that it was recorded with. No GPU: a stand-in for the
CUDA graph runs again what it recorded."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext

import pytest
import torch
from torch import Tensor

from benchmarks.gpu.compiled import Recorded


class Graph:
    """What torch.cuda.CUDAGraph is to `Recorded`."""

    def __init__(self) -> None:
        self.calls: list[Callable[[], None]] = []
        self.recording = False

    def register_generator_state(self, generator: torch.Generator) -> None:
        self.generator = generator

    def replay(self) -> None:
        for call in self.calls:
            call()


class Stream:
    def wait_stream(self, other: Stream) -> None: ...


@contextmanager
def record(graph: Graph) -> Iterator[None]:
    graph.recording = True
    yield
    graph.recording = False


class Doubling:
    """A decision whose one kernel notes itself in the graph that records."""

    def __init__(self) -> None:
        self.graphs: list[Graph] = []
        self.calls = 0

    def __call__(self, inputs: Mapping[str, Tensor]) -> Tensor:
        self.calls += 1
        source, answer = inputs["x"], 2 * inputs["x"]
        for graph in self.graphs:
            if graph.recording:
                graph.calls.append(lambda: answer.copy_(2 * source))
        return answer


def test_each_replay_answers_for_its_own_inputs(monkeypatch: pytest.MonkeyPatch) -> None:
    decide = Doubling()

    def graph() -> Graph:
        decide.graphs.append(Graph())
        return decide.graphs[-1]

    monkeypatch.setattr(torch.cuda, "CUDAGraph", graph)
    monkeypatch.setattr(torch.cuda, "graph", record)
    monkeypatch.setattr(torch.cuda, "Stream", Stream)
    monkeypatch.setattr(torch.cuda, "current_stream", Stream)
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: nullcontext())
    generator, first = torch.Generator(), {"x": torch.tensor([1.0])}
    recorded = Recorded(decide, first, generator)
    before = decide.calls
    assert [recorded({"x": torch.tensor([x])}).item() for x in (3.0, 5.0)] == [6.0, 10.0]
    assert decide.calls == before == 4
    assert first["x"].item() == 1.0
    assert decide.graphs[0].generator is generator
