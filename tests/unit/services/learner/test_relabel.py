"""Relabelling: whole generations, late episodes, the right one of two outputs, broken servers."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from ramp.data.normalize import Normalizer
from ramp.data.transforms import fold_of
from ramp.errors import Corrupt, Unavailable
from ramp.models.world.model import WorldModel
from ramp.types import Episode
from services.common.settings import Settings
from services.learner import relabel
from services.learner.published import PublishedWorld
from services.learner.relabel import Relabeller
from tests.counting import counting_settings, teach
from tests.unit.services.learner.near import NearReplay

CPU = torch.device("cpu")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return counting_settings(tmp_path)


@pytest.fixture
def replay(settings: Settings) -> Iterator[NearReplay]:
    found = NearReplay(Path(settings.dir) / "replay", settings)
    for seed in range(4):
        teach(found, settings, "count-up", seed, "demos")
    yield found
    found.close()


@pytest.fixture
def normalizer(replay: NearReplay) -> Normalizer:
    steps = replay.fetch("count-up-0-demos").steps
    return Normalizer.fit(steps.proprio, steps.action)


def world(settings: Settings, replay: NearReplay, version: int) -> PublishedWorld:
    torch.manual_seed(version)
    schema = replay.fetch("count-up-0-demos").header.schema
    return PublishedWorld(WorldModel(settings.world, schema), version, CPU)


def slices(relabeller: Relabeller, replay: NearReplay, commits: int) -> None:
    while len(replay.annotated) < commits:
        relabeller.slice()


def test_a_new_version_labels_everything_and_late_episodes_are_added(
    settings: Settings, replay: NearReplay, normalizer: Normalizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relabel, "PAUSE_S", 0.0)
    relabeller = Relabeller(replay, normalizer)  # type: ignore[arg-type]
    relabeller.slice()
    relabeller.use(world(settings, replay, 1))
    assert relabeller.work(60.0)
    teach(replay, settings, "count-down", 9, "online")
    slices(relabeller, replay, 2)
    relabeller.use(world(settings, replay, 2))
    slices(relabeller, replay, 3)
    assert replay.annotated == [(1, 4, False), (1, 1, True), (2, 5, False)]
    assert not replay.query(unlabelled_by=2)
    relabeller.close()


def test_versions_that_come_faster_than_a_pass_do_not_starve_the_labels(
    settings: Settings, replay: NearReplay, normalizer: Normalizer
) -> None:
    relabeller = Relabeller(replay, normalizer)  # type: ignore[arg-type]
    relabeller.use(world(settings, replay, 1))
    relabeller.slice()
    relabeller.use(world(settings, replay, 2))
    relabeller.slice()
    relabeller.use(world(settings, replay, 3))
    slices(relabeller, replay, 2)
    assert replay.annotated == [(1, 4, False), (3, 4, False)]
    relabeller.close()


def test_nothing_to_label_commits_nothing(
    settings: Settings, replay: NearReplay, normalizer: Normalizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relabel, "PAUSE_S", 0.0)
    relabeller = Relabeller(replay, normalizer)  # type: ignore[arg-type]
    relabeller.use(world(settings, replay, 1))
    assert relabeller.work(60.0)
    assert relabeller.work(60.0)
    assert len(replay.annotated) == 1
    relabeller.close()


def test_a_server_that_breaks_off_is_asked_again(
    settings: Settings, replay: NearReplay, normalizer: Normalizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relabel, "PAUSE_S", 0.0)
    real, failures = replay.annotate, [Unavailable("gone"), Unavailable("still gone")]

    def annotate(*arguments: object, **named: object) -> object:
        if failures:
            raise failures.pop()
        return real(*arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(replay, "annotate", annotate)
    relabeller = Relabeller(replay, normalizer)  # type: ignore[arg-type]
    relabeller.use(world(settings, replay, 1))
    assert not relabeller.work(60.0)
    slices(relabeller, replay, 1)
    assert replay.annotated == [(1, 4, False)]
    relabeller.close()


def test_a_failed_commit_counts_no_episodes(
    settings: Settings, replay: NearReplay, normalizer: Normalizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def annotate(*_arguments: object, **_named: object) -> None:
        raise Unavailable("gone")

    counted: list[int] = []
    monkeypatch.setattr(relabel.metrics.LEARNER_RELABELLED, "inc", counted.append)
    monkeypatch.setattr(replay, "annotate", annotate)
    relabeller = Relabeller(replay, normalizer)  # type: ignore[arg-type]
    relabeller.use(world(settings, replay, 1))
    assert not relabeller.work(60.0)
    assert counted == []
    relabeller.close()


def test_a_slice_takes_its_frames_from_as_many_episodes_as_it_needs(
    settings: Settings, replay: NearReplay, normalizer: Normalizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pass must end before the next version comes, also where episodes are much shorter than a slice."""
    frames = [len(replay.fetch(f"count-up-{seed}-demos").steps.frame_row) for seed in range(4)]
    monkeypatch.setattr(relabel, "FRAMES", frames[0] + frames[1])
    relabeller, labels = Relabeller(replay, normalizer), []  # type: ignore[arg-type]
    model = world(settings, replay, 1)
    found = [replay.fetch(f"count-up-{seed}-demos") for seed in range(2)]
    ended = [len(list(relabeller._predict(model, episode, labels, new=False))) for episode in found]
    assert ended == [0, 1]
    assert [len(remaining) for _, _, remaining in labels] == frames[:2]
    relabeller.close()


def test_a_damaged_episode_is_passed_over_and_the_others_are_labelled(
    settings: Settings, replay: NearReplay, normalizer: Normalizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, asked = replay.fetch, []

    def fetch(episode_id: str) -> Episode:
        asked.append(episode_id)
        if episode_id == "count-up-2-demos":
            raise Corrupt("a checksum disagrees")
        return real(episode_id)

    model = world(settings, replay, 1)
    monkeypatch.setattr(relabel, "PAUSE_S", 0.0)
    monkeypatch.setattr(replay, "fetch", fetch)
    relabeller = Relabeller(replay, normalizer)  # type: ignore[arg-type]
    relabeller.use(model)
    assert relabeller.work(60.0)
    assert relabeller.work(60.0)
    assert replay.annotated == [(1, 3, False)]
    assert asked.count("count-up-2-demos") == 1
    relabeller.close()


def test_labelling_lasts_no_longer_than_it_is_told_and_goes_on_from_there(
    settings: Settings, replay: NearReplay, normalizer: Normalizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other workers wait meanwhile, with a limit of their own."""
    gate, real = threading.Event(), replay.fetch
    model = world(settings, replay, 1)

    def fetch(episode_id: str) -> Episode:
        assert gate.wait(60.0)
        return real(episode_id)

    monkeypatch.setattr(replay, "fetch", fetch)
    relabeller = Relabeller(replay, normalizer)  # type: ignore[arg-type]
    relabeller.use(model)
    assert not relabeller.work(0.1)
    gate.set()
    assert relabeller.work(60.0)
    assert replay.annotated == [(1, 4, False)]
    relabeller.close()


def test_labels_come_from_the_output_that_took_no_loss_from_the_episode(
    settings: Settings, replay: NearReplay, normalizer: Normalizer
) -> None:
    model = world(settings, replay, 1)
    for episode_id in ("count-up-0-demos", "count-up-1-demos"):
        episode = replay.fetch(episode_id)
        found = model.foresee(episode, slice(0, 2), normalizer, seed=0).remaining
        both = _both(model, replay, episode_id, normalizer)
        np.testing.assert_allclose(found, both[:, fold_of(episode_id)], rtol=1e-5)
        assert found.dtype == np.float32


def _both(model: PublishedWorld, replay: NearReplay, episode_id: str, normalizer: Normalizer) -> np.ndarray:
    from ramp.data.transforms import observation_tensors
    from services.learner.published import observations

    tensors = observation_tensors(observations(replay.fetch(episode_id), slice(0, 2)), normalizer)
    generator = torch.Generator().manual_seed(0)
    return model._model.predict(tensors, generator=generator).remaining.clamp(0, 1).numpy()


def test_tokens_of_a_frame_are_predicted_once(settings: Settings, replay: NearReplay, normalizer: Normalizer) -> None:
    from ramp.data.transforms import observation_tensors
    from services.learner.published import observations

    model = world(settings, replay, 1)
    tensors = observation_tensors(observations(replay.fetch("count-up-0-demos"), slice(0, 2)), normalizer)
    keys = [("count-up-0-demos", 0), ("count-up-0-demos", 4)]
    first = model.tokens(keys, tensors, torch.Generator().manual_seed(1))
    again = model.tokens(keys[::-1], tensors, torch.Generator().manual_seed(2))
    assert torch.equal(first, again.flip(0))
    assert first.shape == (2, *model._model.token_shape)
