"""One chain for training and serving."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch

from ramp.data.normalize import Normalizer
from ramp.data.transforms import fold_of, observation_tensors, remaining_time, thought_tensors, to_tensors
from ramp.data.words import LONGEST, word_ids
from ramp.errors import Invalid
from ramp.types import Batch, Observation, Source
from tests.unit.models.samples import batch, normalizer
from tests.unit.models.thinking import TEXTS, vocabulary


def test_serving_sees_exactly_what_training_saw() -> None:
    items = batch(3)
    observations = [
        Observation(
            images={camera: frames[row] for camera, frames in reversed(items.images.items())},
            proprio=items.proprio[row],
            instruction=items.instruction[row],
        )
        for row in range(3)
    ]
    trained, served = to_tensors(items, normalizer()), observation_tensors(observations, normalizer())
    assert served.keys() == {"images", "proprio", "words"}
    assert all(torch.equal(trained[name], served[name]) for name in served)


def test_a_policys_own_tokenizer_is_asked_in_training_and_in_serving() -> None:
    def prompts(texts: Sequence[str]) -> np.ndarray:
        return np.array([[len(text)] for text in texts])

    items = batch(2)
    cameras = {camera: frames[0] for camera, frames in items.images.items()}
    seen = Observation(images=cameras, proprio=items.proprio[0], instruction=items.instruction[0])
    trained, served = (
        to_tensors(items, normalizer(), prompts=prompts),
        observation_tensors([seen], normalizer(), prompts),
    )
    assert trained["prompt"].tolist() == [[len(text)] for text in items.instruction]
    assert torch.equal(served["prompt"], trained["prompt"][:1])
    assert torch.equal(served["words"], trained["words"][:1]), "the world model reads these"


def test_cameras_are_stacked_in_sorted_order() -> None:
    items = batch(2)
    tensors = to_tensors(items, normalizer())
    for index, camera in enumerate(sorted(items.images)):
        assert np.array_equal(tensors["images"][:, index].numpy(), items.images[camera])
        assert np.array_equal(tensors["future_images"][:, :, index].numpy(), items.future_images[camera])


def test_a_batch_without_horizons_has_no_future() -> None:
    assert "future_images" not in to_tensors(batch(2, horizons=0), normalizer())


def test_remaining_time_counts_down_to_the_last_step_before_success() -> None:
    label = remaining_time(np.array([0, 9]), np.array([10, 10]), np.array([40, 40]), np.array([True, True]), 1.0)
    assert label.tolist() == pytest.approx([10 / 40, 1 / 40])


@pytest.mark.parametrize(("penalty", "expected"), [(0.0, 10 / 40), (0.5, 0.5 + 10 / 40), (1.0, 1.0)])
def test_failure_comes_later_by_the_penalty_and_is_cut_at_one(penalty: float, expected: float) -> None:
    label = remaining_time(np.array([0]), np.array([10]), np.array([40]), np.array([False]), penalty)
    assert label.tolist() == pytest.approx([expected])


def test_folds_are_stable_and_about_even() -> None:
    assert [fold_of(f"demo-{index}") for index in range(6)] == [fold_of(f"demo-{index}") for index in range(6)]
    assert fold_of("a") == 1
    assert 400 < sum(fold_of(f"demo-{index}") for index in range(1000)) < 600


def test_words_are_hashed_alike_whatever_their_case_and_long_texts_are_cut() -> None:
    ids = word_ids(["Open the drawer", "open THE drawer!", "word " * 40])
    assert np.array_equal(ids[0], ids[1])
    assert (ids[0] > 0).sum() == 3
    assert (ids[2] > 0).sum() == LONGEST


def test_widths_other_than_the_normalisers_are_refused() -> None:
    narrow = Normalizer.fit(np.zeros((2, 2)), np.zeros((2, 2)))
    with pytest.raises(Invalid, match="proprio"):
        to_tensors(batch(2), narrow)
    with pytest.raises(Invalid, match="action"):
        to_tensors(replace(batch(2), action=np.zeros((2, 4, 5), np.float32)), normalizer())


def test_a_faster_success_has_less_time_left_at_its_start() -> None:
    label = remaining_time(np.zeros(2), np.array([20, 60]), np.full(2, 100), np.full(2, True), 1.0)
    assert label[0] < label[1]
    assert label.dtype == np.float32


def test_futures_beyond_the_end_count_after_a_success_and_not_after_a_failure() -> None:
    items = replace(batch(2), success=np.array([True, False]), future_valid=np.array([[True, False]] * 2))
    assert to_tensors(items, normalizer())["future_valid"].tolist() == [[True, True], [True, False]]


def labelled(**changes: object) -> Batch:
    track = np.random.default_rng(1).uniform(-1, 1, (4, 10, 2)).astype(np.float32)
    valid = np.ones((4, 10), bool)
    valid[2, 6:] = False
    return replace(batch(4), subgoal=[TEXTS[0], TEXTS[1], "", TEXTS[2]], track=track, track_valid=valid, **changes)


def test_thoughts_are_labels_where_a_demonstrator_or_a_person_acted() -> None:
    source = np.array([Source.DEMO, Source.HUMAN, Source.DEMO, Source.POLICY], np.uint8)
    chunk_valid = np.ones((4, 4), bool)
    chunk_valid[1, 3] = False
    items = labelled(source=source, chunk_valid=chunk_valid)
    words = vocabulary()
    found = thought_tensors(items, normalizer(), words, length=40)
    chunk = normalizer().normalise_action(items.action)
    texts, chunks = [TEXTS[0], TEXTS[1], None, None], [chunk[0], None, chunk[2], None]
    tokens, mask = words.encode(texts, chunks, length=40)
    assert np.array_equal(found["thought_tokens"].numpy(), tokens)
    assert np.array_equal(found["thought_mask"].numpy(), mask)
    assert found["thought_mask"].any(dim=1).tolist() == [True, True, True, False]
    assert found["track_valid"].sum(dim=1).tolist() == [10, 10, 6, 0]
    assert np.array_equal(found["track"].numpy(), items.track)


def test_a_batch_without_labels_teaches_no_thought() -> None:
    with pytest.raises(Invalid, match="track_stride"):
        thought_tensors(batch(2), normalizer(), vocabulary(), length=40)
