"""Thoughts as token sequences over one vocabulary: BEGIN, subgoal text, ACT, action tokens, END.

Text is bytes with merges learnt within words (the same byte pairs as the actions'), so any text can be written; actions
are those of ramp/data/action_tokens.py. Each part has a range of ids as wide as the policy reserves for it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Self

import numpy as np

from ramp.data.action_tokens import ActionTokenizer
from ramp.data.bpe import BytePairs
from ramp.errors import Invalid

PAD, BEGIN, ACT, END = range(4)
SPECIAL = 4
BYTES = 256
FIELDS = ("text", "actions", "text_size", "action_size")


@dataclass(frozen=True, kw_only=True)
class ThoughtVocabulary:
    """Ids: 4 special ones, then `text_size` of text, then `action_size` of actions.

    Example: tokens, mask = vocabulary.encode(["reach to open the drawer"], [chunk], length=64)
    """

    text: BytePairs
    actions: ActionTokenizer
    text_size: int
    action_size: int

    def __post_init__(self) -> None:
        for name, used, reserved in (
            ("text_vocabulary", self.text.size, self.text_size),
            ("action_vocabulary", self.actions.size, self.action_size),
        ):
            if used > reserved:
                raise Invalid(name, reserved, f"give {used} or more, as many as the tokenizer has learnt")

    @classmethod
    def fit(cls, texts: Sequence[str], chunks: np.ndarray, *, text_size: int, action_size: int) -> Self:
        """From subgoal texts and chunks float32 [N, H, A] in network units. Raises Invalid for sizes too small."""
        pieces = list(chain.from_iterable(_pieces(text) for text in texts))
        text = BytePairs.train(pieces, symbols=BYTES, size=text_size)
        actions = ActionTokenizer.fit(chunks, size=action_size)
        return cls(text=text, actions=actions, text_size=text_size, action_size=action_size)

    @property
    def size(self) -> int:
        """How many ids there are."""
        return SPECIAL + self.text_size + self.action_size

    def encode(
        self, texts: Sequence[str | None], chunks: Sequence[np.ndarray | None], *, length: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Tokens int64 [B, length] and M_CoT bool [B, length]: True at the tokens that are labels.

        None is what nobody knows: a step without a subgoal, a chunk [H, A] that the episode's end or a takeover cuts
        short (a cosine transform mixes all its steps). Nothing of it is written or learnt. What is longer than
        `length` is cut: teacher forcing learns from a beginning as well.
        """
        tokens, mask = np.full((len(texts), length), PAD, np.int64), np.zeros((len(texts), length), bool)
        for row, (text, actions) in enumerate(zip(texts, self._encode_chunks(chunks), strict=True)):
            said = [] if text is None else [*self._encode_text(text), ACT]
            done = [] if actions is None else [*actions, END]
            opening = [BEGIN, ACT] if text is None else [BEGIN]
            ids = [*opening, *said, *done][:length]
            tokens[row, : len(ids)] = ids
            mask[row, len(opening) : len(ids)] = True
        return tokens, mask

    def read(self, ids: Sequence[int]) -> tuple[str, np.ndarray | None]:
        """Text and chunk float32 [H, A] of a written thought; the chunk None where it was not written to its END.

        Raises Invalid for text that is no UTF-8, and for action tokens that do not make up a chunk.
        """
        text, rest = self.read_text(ids), ids[len(_until(ids, ACT)) + 1 :]
        if END not in rest:
            return text, None
        return text, self.actions.decode([token - SPECIAL - self.text_size for token in _until(rest, END)])

    def read_text(self, ids: Sequence[int]) -> str:
        """Text of a written thought, whatever stands behind it. Raises Invalid for text that is no UTF-8."""
        raw = bytes(self.text.decode([token - SPECIAL for token in _until(ids, ACT) if token >= SPECIAL]))
        try:
            return raw.decode()
        except UnicodeDecodeError as error:
            raise Invalid("thought", raw, "these tokens are no text") from error

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON, for manifests."""
        return {
            "text": self.text.to_dict(),
            "actions": self.actions.to_dict(),
            "text_size": self.text_size,
            "action_size": self.action_size,
        }

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Self:
        """Inverse of to_dict. Raises Invalid for missing or unknown fields and for parts that do not fit."""
        if set(plain) != set(FIELDS):
            raise Invalid("thoughts", sorted(plain), f"exactly these fields: {', '.join(FIELDS)}")
        text, actions = BytePairs.from_dict(plain["text"]), ActionTokenizer.from_dict(plain["actions"])
        sizes = {name: int(plain[name]) for name in ("text_size", "action_size")}
        return cls(text=text, actions=actions, **sizes)

    def _encode_text(self, text: str) -> list[int]:
        return [SPECIAL + token for token in chain.from_iterable(self.text.encode(_pieces(text)))]

    def _encode_chunks(self, chunks: Sequence[np.ndarray | None]) -> list[list[int] | None]:
        known = [chunk for chunk in chunks if chunk is not None]
        encoded = iter(self.actions.encode(np.stack(known)) if known else [])
        first = SPECIAL + self.text_size
        return [None if chunk is None else [first + token for token in next(encoded)] for chunk in chunks]


def _pieces(text: str) -> list[list[int]]:
    """The bytes of each word with the space before it; together they are the text."""
    return [list(piece.encode()) for piece in re.findall(r"\s?\S+|\s", text)]


def _until(ids: Sequence[int], end: int) -> Sequence[int]:
    """What stands before the first `end`, or all of it."""
    return ids[: ids.index(end)] if end in ids else ids
