"""What is held out never comes in a batch, and everything else does."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from ramp.data.normalize import Normalizer
from ramp.errors import NotFound
from ramp.replay.local import LocalReplay
from ramp.replay.shard import Shard, ShardConfig
from ramp.replay.shards import Shards
from ramp.types import Outcome
from services.learner.division import TABLES, Division
from tests.experience import SCHEMA, store_episode

EPISODES, LENGTH, LIMIT, PENALTY = 12, 24, 48, 0.5
HUNDRED = np.full(3, 100, np.float32)
NORMALIZER = Normalizer(proprio_low=-HUNDRED, proprio_high=HUNDRED, action_low=-HUNDRED[:2], action_high=HUNDRED[:2])


@pytest.fixture(params=[1, 2], ids=["one shard", "two shards"])
def shards(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shards]:
    """Twelve episodes of two tasks, nine of them demonstrations; every third one fails. An episode's number is its
    seed, and stands in its proprioception beside the step."""
    places = [tmp_path] if request.param == 1 else [tmp_path / "shard-0", tmp_path / "shard-1"]
    for which, place in enumerate(places):
        with closing(Shard(place, ShardConfig())) as shard:
            for number in range(which, EPISODES, len(places)):
                store(shard, number)
    with closing(Shards(tmp_path, ShardConfig())) as opened:
        yield opened


def store(shard: Shard, number: int) -> None:
    store_episode(
        LocalReplay(shard),
        f"episode-{number}",
        length=LENGTH,
        outcome=Outcome.FAILURE if number % 3 == 2 else Outcome.SUCCESS,
        task=f"task-{number // 2 % 2}",
        tables=(TABLES[number // 9],),
        schema=replace(SCHEMA, cameras={"top": (8, 8, 3)}),
        max_steps=LIMIT,
        seed=number,
    )


def divided(shards: Shards, share: float = 0.34) -> Division:
    return Division(shards, NORMALIZER, share=share, failure_penalty=PENALTY)


def seen(division: Division, batches: int, horizons: tuple[int, ...] = (), seed: int = 0) -> list[tuple[int, int]]:
    """(episode's number, step) of the rows of so many batches."""
    drawn = itertools.islice(division.batches(8, horizons, np.random.default_rng(seed)), batches)
    proprio = torch.cat([tensors["proprio"] for tensors in drawn]) * 100
    return [(round(number), round(step)) for step, number, _ in proprio.tolist()]


def numbers(episodes: frozenset[str]) -> set[int]:
    return {int(each.removeprefix("episode-")) for each in episodes}


def test_only_what_is_not_held_out_is_learnt_from_and_all_of_it(shards: Shards) -> None:
    division = divided(shards)
    assert len(division.tried_on) == 4
    assert {number for number, _ in seen(division, 60)} == numbers(division.learnt_from)
    assert set(seen(division, 60)) == {(n, s) for n in numbers(division.learnt_from) for s in range(0, LENGTH, 4)}


def test_every_item_that_is_learnt_from_is_as_likely_as_the_others(shards: Shards) -> None:
    division = divided(shards)
    rows = seen(division, 600)
    counts = np.array([sum(number == each for number, _ in rows) for each in numbers(division.learnt_from)])
    expected = 600 * 8 / len(division.learnt_from)
    assert (np.abs(counts - expected) < 4 * np.sqrt(expected)).all()


def test_a_batch_has_the_rows_that_were_asked_for_in_every_column(shards: Shards) -> None:
    tensors = next(divided(shards, 0.7).batches(50, (4, 8), np.random.default_rng(0)))
    assert {len(tensor) for tensor in tensors.values()} == {50}
    assert tensors["future_images"].shape == (50, 2, 1, 8, 8, 3)


def test_the_same_rows_come_whatever_horizons_a_model_asks_for(shards: Shards) -> None:
    assert seen(divided(shards), 5) == seen(divided(shards), 5, horizons=(4, 8))
    assert seen(divided(shards), 5) != seen(divided(shards), 5, seed=1)


def test_the_others_come_whole_as_well_and_no_episode_is_both(shards: Shards) -> None:
    division = divided(shards)
    tried, learnt = ([each.episode_id for each in part] for part in (division.tried(), division.learnt()))
    assert learnt == sorted(division.learnt_from)
    assert len({*tried, *learnt}) == len(tried) + len(learnt) == EPISODES


def test_held_out_episodes_come_whole_with_their_true_remaining_time(shards: Shards) -> None:
    division = divided(shards)
    tried = list(division.tried())
    assert [each.episode_id for each in tried] == sorted(division.tried_on)
    steps = np.arange(0, LENGTH, 4)
    for each in tried:
        (number,) = numbers(frozenset([each.episode_id]))
        late = PENALTY if number % 3 == 2 else 0.0
        assert each.remaining == pytest.approx(np.clip((LENGTH - steps) / LIMIT + late, 0, 1))
        shown = torch.cat([part["proprio"] for part in each.parts]) * 100
        assert shown[:, 0].tolist() == pytest.approx(steps.tolist())
        assert shown[:, 1].tolist() == pytest.approx([number] * len(steps))


def test_without_episodes_there_is_nothing_to_divide(tmp_path: Path) -> None:
    with closing(Shards(tmp_path, ShardConfig())) as empty, pytest.raises(NotFound, match="let the run finish"):
        divided(empty)
