"""Thoughts as tokens, and which of them are labels."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ramp.data.thoughts import ACT, BEGIN, END, PAD, SPECIAL, ThoughtVocabulary
from ramp.errors import Invalid

TEXTS = ["reach to open the drawer", "grasp to open the drawer", "reach to press the button"]
RANDOM = np.random.default_rng(0)
CHUNKS = np.cumsum(RANDOM.normal(0, 0.1, (50, 4, 2)), axis=1).astype(np.float32)
WORDS = ThoughtVocabulary.fit(TEXTS * 3, CHUNKS, text_size=300, action_size=150)


@settings(max_examples=50)
@given(st.text(max_size=40), st.integers(0, len(CHUNKS) - 1))
def test_any_text_and_chunk_come_back(text: str, row: int) -> None:
    tokens, _ = WORDS.encode([text], [CHUNKS[row]], length=400)
    said, chunk = WORDS.read(tokens[0].tolist())
    assert said == text
    assert chunk is not None
    assert np.abs(chunk - CHUNKS[row]).max() <= WORDS.actions.error_bound + 1e-6


def test_a_thought_is_text_then_actions_each_in_its_own_range() -> None:
    tokens, mask = WORDS.encode([TEXTS[0]], [CHUNKS[0]], length=40)
    ids = tokens[0].tolist()
    act, end = ids.index(ACT), ids.index(END)
    assert ids[0] == BEGIN
    assert all(SPECIAL <= token < SPECIAL + 300 for token in ids[1:act])
    assert all(SPECIAL + 300 <= token < WORDS.size for token in ids[act + 1 : end])
    assert set(ids[end + 1 :]) == {PAD}
    assert mask[0].tolist() == [False] + [True] * end + [False] * (39 - end)


def test_words_that_were_seen_become_one_token_each() -> None:
    tokens, _ = WORDS.encode([TEXTS[0]], [None], length=40)
    assert tokens[0].tolist().index(ACT) == 1 + len(TEXTS[0].split())


def test_what_nobody_knows_is_neither_written_nor_a_label() -> None:
    tokens, mask = WORDS.encode([None, TEXTS[0], None], [CHUNKS[0], None, None], length=40)
    assert tokens[0, :2].tolist() == [BEGIN, ACT]
    assert mask[0].tolist().index(True) == 2  # that there is no text is no label
    assert ACT in tokens[1]
    assert END not in tokens[1]
    assert not mask[2].any()


def test_a_long_thought_keeps_its_beginning() -> None:
    whole, short = (WORDS.encode([TEXTS[0]], [CHUNKS[0]], length=length) for length in (40, 5))
    assert short[0].tolist() == whole[0][:, :5].tolist()
    assert short[1].tolist() == whole[1][:, :5].tolist()
    assert WORDS.read(WORDS.encode([TEXTS[0]], [CHUNKS[0]], length=8)[0][0].tolist()) == (TEXTS[0], None)
    assert WORDS.read([BEGIN, END]) == ("", None)


def test_a_vocabulary_survives_json() -> None:
    assert ThoughtVocabulary.from_dict(json.loads(json.dumps(WORDS.to_dict()))) == WORDS


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: ThoughtVocabulary.fit(TEXTS, CHUNKS, text_size=255, action_size=150),
        lambda: ThoughtVocabulary.fit(TEXTS, CHUNKS, text_size=300, action_size=10),
        lambda: ThoughtVocabulary.from_dict({**WORDS.to_dict(), "text_size": 200}),
        lambda: ThoughtVocabulary.from_dict({"text_size": 200}),
        lambda: WORDS.read([BEGIN, SPECIAL + 0xFF, ACT]),
        lambda: WORDS.read([BEGIN, ACT, WORDS.size - 1, END]),
        lambda: WORDS.read([BEGIN, ACT, SPECIAL, END]),
    ],
)
def test_what_does_not_fit_is_refused(wrong) -> None:
    with pytest.raises(Invalid):
        wrong()
