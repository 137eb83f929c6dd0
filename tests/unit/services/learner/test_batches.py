"""Streams that wait, mixtures that keep what came, shares that add up."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from ramp.data.normalize import Normalizer
from ramp.errors import Invalid, Timeout
from ramp.recipes.recipe import MixtureConfig
from ramp.types import Batch, SampleSpec
from services.learner.batches import AHEAD, Mixture, Stream, convert, open_mixture, shares
from services.learner.sampled import Sampled
from tests.counting import counting_settings, teach
from tests.told import told
from tests.unit.services.learner.near import NearReplay
from tests.waiting import eventually

SPEC = SampleSpec(table="demos", batch_size=4, chunk=4)


def numbered(number: int) -> Sampled:
    x = torch.full((2, 1), number)
    return Sampled(tensors={"x": x}, keys=[(f"e{number}", 0)], tasks=["a"], policy_versions=[number])


class Scripted:
    """A replay whose streams give what a list says: numbers, or errors to raise."""

    def __init__(self, *streams: list[object]) -> None:
        self.streams, self.opened = list(streams), 0

    def sample(self, spec: SampleSpec, *, timeout: float) -> Iterator[Batch]:
        script = iter(self.streams[min(self.opened, len(self.streams) - 1)])
        self.opened += 1

        class Items:
            def __iter__(self) -> Iterator[Batch]:
                return self

            def __next__(self) -> Batch:
                item = next(script)
                if isinstance(item, Exception):
                    raise item
                return item  # type: ignore[return-value]

        return Items()


def stream(*scripts: list[object]) -> tuple[Stream, Scripted]:
    replay = Scripted(*scripts)
    return Stream(replay, SPEC, numbered), replay  # type: ignore[arg-type]


def taken(source: Stream, count: int) -> list[int]:
    found = [source.poll(10.0) for _ in range(count)]
    return [int(item.tensors["x"][0]) for item in found if item is not None]


def test_batches_come_in_order_over_timeouts_and_streams_that_end() -> None:
    source, replay = stream([1, Timeout("later"), 2], [], [3, 4])
    assert taken(source, 4) == [1, 2, 3, 4]
    assert replay.opened >= 3
    source.close()


def test_a_refusal_reaches_the_loop() -> None:
    source, _ = stream([1, Invalid("table", "x", "name another")])
    assert taken(source, 1) == [1]
    with pytest.raises(Invalid):
        source.poll(10.0)


def test_no_batch_yet_is_none() -> None:
    gate = threading.Event()

    def slow(number: int) -> Sampled:
        gate.wait(10.0)
        return numbered(number)

    source = Stream(Scripted([1, 2]), SPEC, slow)  # type: ignore[arg-type]
    assert source.poll(0.0) is None
    gate.set()
    assert source.poll(10.0) is not None
    source.close()


def test_a_closed_stream_ends_its_thread_though_nobody_takes() -> None:
    source, _ = stream(list(range(1, 100)))
    source.close()
    source._thread.join(10.0)
    assert not source._thread.is_alive()


class Now:
    """A source with what is in its list."""

    def __init__(self, *items: Sampled | None) -> None:
        self.items, self.closed = list(items), False

    def poll(self, timeout_s: float) -> Sampled | None:
        return self.items.pop(0) if self.items else None

    def close(self) -> None:
        self.closed = True


def test_a_mixture_keeps_a_part_until_the_others_have_come() -> None:
    sources = Now(numbered(1), numbered(2)), Now(None, numbered(7), None)
    with Mixture(sources) as mixture:
        assert mixture.poll(0.0) is None
        both = mixture.poll(0.0)
        assert both is not None
        assert both.tensors["x"].flatten().tolist() == [1, 1, 7, 7]
        assert both.keys == [("e1", 0), ("e7", 0)]
        assert both.policy_versions == [1, 7]
        assert mixture.poll(0.0) is None
    assert all(source.closed for source in sources)


@pytest.mark.parametrize(
    ("batch", "weights", "workers", "expected"),
    [
        (96, (0.5, 0.5, 0, 0), 1, {"demos": 48, "online": 48}),
        (96, (0.5, 0.5, 0, 0), 2, {"demos": 24, "online": 24}),
        (96, (1, 0, 0, 0), 1, {"demos": 96}),
        (96, (0, 7, 0, 0), 1, {"online": 96}),
        (1, (0.6, 0.4, 0, 0), 2, {"demos": 1}),
        (5, (0.5, 0.5, 0, 0), 1, {"demos": 3, "online": 2}),
        (10, (2, 4, 3, 1), 1, {"demos": 2, "online": 4, "corrections": 3, "imagined": 1}),
        (7, (1, 1, 1, 0), 1, {"demos": 3, "online": 2, "corrections": 2}),
    ],
)
def test_shares_of_the_tables_add_up_to_the_worker_s_part(
    batch: int, weights: tuple[float, float, float, float], workers: int, expected: dict[str, int]
) -> None:
    demos, online, corrections, imagined = weights
    mixture = MixtureConfig(demos=demos, online=online, corrections=corrections, imagined=imagined)
    assert shares(batch, mixture, workers) == expected


def test_a_world_model_does_not_learn_from_dreams() -> None:
    assert MixtureConfig(online=1.0, imagined=3.0).real() == MixtureConfig(online=1.0)


def test_a_mixture_of_nothing_real_is_refused() -> None:
    with pytest.raises(Invalid, match="mixture"):
        MixtureConfig(demos=0.0, online=0.0, imagined=1.0)


def test_real_batches_of_two_tables_become_one_of_tensors(tmp_path: Path) -> None:
    settings = counting_settings(tmp_path)
    replay = NearReplay(tmp_path / "replay", settings)
    for seed in range(4):
        teach(replay, settings, "count-up", seed, "demos")
        teach(replay, settings, "count-up", seed, "online", policy_version=3)
    steps = replay.fetch("count-up-0-demos").steps
    normalizer = Normalizer.fit(steps.proprio, steps.action)
    converter: Callable[[Batch], Sampled] = lambda batch: convert(batch, normalizer, 1.0)  # noqa: E731
    spec = SampleSpec(table="", batch_size=0, chunk=4, horizons=(4, 8))
    with open_mixture(replay, {"demos": 3, "online": 2}, spec, converter) as mixture:  # type: ignore[arg-type]
        sampled = mixture.poll(20.0)
    assert sampled is not None
    assert sampled.tensors["action"].shape == (5, 4, 2)
    assert sampled.tensors["future_images"].shape[:2] == (5, 2)
    assert sampled.policy_versions == [0, 0, 0, 3, 3]
    assert sampled.tasks == ["count-up"] * 5
    assert [episode.rpartition("-")[2] for episode, _ in sampled.keys] == ["demos"] * 3 + ["online"] * 2
    replay.close()


def test_batches_that_wait_are_told_until_they_are_taken_or_dropped() -> None:
    before = told("ramp_learner_prefetched_batches", table="demos") or 0.0
    source, _ = stream([1, 2, 3, 4, 5])
    eventually(lambda: told("ramp_learner_prefetched_batches", table="demos") == before + AHEAD)
    source.close()
    assert told("ramp_learner_prefetched_batches", table="demos") == before
