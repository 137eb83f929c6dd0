"""Instructions as PaliGemma reads them: the one home of tokenizers, which is loaded when a folder is read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ramp.errors import Invalid, NotFound

if TYPE_CHECKING:
    from tokenizers import Tokenizer

BEGIN, LINE_END = "<bos>", "\n"
TOKENIZER = "tokenizer.json"


class Instructions:
    """Texts to token ids: the beginning, the words, the end of a line, as PaliGemma was trained to be asked.

    Takes the place of ramp/data/words.py where the backbone began with published weights: those know words by these ids
    only.
    """

    def __init__(self, tokenizer: Tokenizer, length: int) -> None:
        self._tokenizer, self._length = tokenizer, length
        begin = self._tokenizer.token_to_id(BEGIN)
        if begin is None:
            raise Invalid("weights", f"a tokenizer without {BEGIN}", "use the tokenizer.json beside the weights")
        self._begin = int(begin)

    @classmethod
    def from_folder(cls, folder: Path, length: int) -> Instructions:
        """Those of the tokenizer.json beside published weights; `length` tokens at most (config.prompt).

        Raises NotFound where there is none, Invalid where it is no tokenizer of PaliGemma.
        """
        return cls.from_content(read_tokenizer(folder), length)

    @classmethod
    def from_content(cls, content: bytes, length: int) -> Instructions:
        """Those of a tokenizer.json's content. Raises Invalid where it is no tokenizer of PaliGemma."""
        from tokenizers import Tokenizer

        try:
            tokenizer = Tokenizer.from_buffer(content)
        except Exception as error:  # the library has no class for it
            raise Invalid("weights", f"a {TOKENIZER} that cannot be read: {error}", "download it again") from error
        return cls(tokenizer, length)

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        """int64 [B, length], 0 behind the end. Raises Invalid for a text that is longer, rather than cutting it."""
        ids = np.zeros((len(texts), self._length), np.int64)
        for row, text in enumerate(texts):
            line = [self._begin, *self._encode(text.strip()), *self._encode(LINE_END)]
            if len(line) > self._length:
                raise Invalid("instruction", f"{len(line)} tokens: {text}", f"at most {self._length}: policy.prompt")
            ids[row, : len(line)] = line
        return ids

    def _encode(self, text: str) -> list[int]:
        return self._tokenizer.encode(text, add_special_tokens=False).ids


def read_tokenizer(folder: Path) -> bytes:
    """The content of the folder's tokenizer.json. Raises NotFound where there is none."""
    path = folder / TOKENIZER
    if not path.is_file():
        raise NotFound(f"{path} does not exist; it lies beside the weights where they are published")
    return path.read_bytes()
