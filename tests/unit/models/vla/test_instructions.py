"""Instructions by a tokenizer from a folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from ramp.errors import Invalid, NotFound
from ramp.models.vla.instructions import Instructions

WORDS = {"<pad>": 0, "<eos>": 1, "<bos>": 2, "<unk>": 3, "open": 4, "the": 5, "drawer": 6, "\n": 7}


def folder(path: Path, words: dict[str, int]) -> Path:
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "removed")
    tokenizer.save(str(path / "tokenizer.json"))
    return path


def test_an_instruction_begins_and_ends_its_line_and_is_padded(tmp_path: Path) -> None:
    instructions = Instructions.from_folder(folder(tmp_path, WORDS), 6)
    ids = instructions([" open the drawer ", "open"])
    assert ids.dtype == np.int64
    assert ids.tolist() == [[2, 4, 5, 6, 7, 0], [2, 4, 7, 0, 0, 0]]


def test_a_longer_instruction_is_refused_and_not_cut(tmp_path: Path) -> None:
    instructions = Instructions.from_folder(folder(tmp_path, WORDS), 4)
    with pytest.raises(Invalid, match=r"instruction: 5 tokens: open the drawer; at most 4"):
        instructions(["open the drawer"])


def test_a_folder_without_a_tokenizer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"tokenizer\.json does not exist"):
        Instructions.from_folder(tmp_path, 4)


def test_the_tokenizer_of_another_model_is_refused(tmp_path: Path) -> None:
    other = folder(tmp_path, {"<s>": 0, "<unk>": 1})
    with pytest.raises(Invalid, match="without <bos>"):
        Instructions.from_folder(other, 4)
