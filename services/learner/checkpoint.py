"""Checkpoints: what a learner that was killed goes on from. Whole tensors, so the number of workers may change.

    <folder>/00000007/state.json              progress, and a checksum of every file
    <folder>/00000007/policy.safetensors      one file per model in training

Written under a hidden name and renamed, so a checkpoint is there or it is not. One that fails its checksum is passed
over for the one before.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import load, save
from torch import Tensor

from ramp.errors import Corrupt

STATE = "state.json"
KEPT = 2
LOG = logging.getLogger(__name__)

States = dict[str, dict[str, Tensor]]


class Checkpoints:
    """The newest checkpoints of one learner group, on a file system that all its workers see."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def save(self, progress: Mapping[str, Any], states: Mapping[str, Mapping[str, Tensor]]) -> int:
        """Write the next checkpoint and forget all but the last KEPT; returns its number."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for left in self._folder.glob(".new-*"):
            shutil.rmtree(left, ignore_errors=True)
        number = max(self.numbers(), default=0) + 1
        hidden = self._folder / f".new-{number}"
        hidden.mkdir()
        checksums = {name: _write(hidden / f"{name}.safetensors", _bytes(state)) for name, state in states.items()}
        _write(hidden / STATE, json.dumps({"progress": dict(progress), "checksums": checksums}).encode())
        hidden.rename(self._folder / f"{number:08d}")
        for old in self.numbers()[:-KEPT]:
            self.discard(old)
        return number

    def discard(self, number: int) -> None:
        """The one before is the newest again."""
        shutil.rmtree(self._folder / f"{number:08d}", ignore_errors=True)

    def newest(self) -> int:
        """Number of the newest checkpoint that is whole; 0 where there is none."""
        for number in reversed(self.numbers()):
            try:
                self.load(number)
            except Corrupt as error:
                LOG.warning("passing over a checkpoint: %s", error)
                continue
            return number
        return 0

    def load(self, number: int) -> tuple[dict[str, Any], States]:
        """Progress and tensors by model. Raises Corrupt."""
        folder = self._folder / f"{number:08d}"
        try:
            state = json.loads((folder / STATE).read_text(encoding="utf-8"))
            contents = {name: (folder / f"{name}.safetensors").read_bytes() for name in state["checksums"]}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise Corrupt(f"checkpoint {folder}: {error}") from error
        for name, content in contents.items():
            if hashlib.sha256(content).hexdigest() != state["checksums"][name]:
                raise Corrupt(f"checkpoint {folder}: sha256 of {name} differs")
        return state["progress"], {name: load(content) for name, content in contents.items()}

    def numbers(self) -> list[int]:
        if not self._folder.is_dir():
            return []
        return sorted(int(path.name) for path in self._folder.iterdir() if re.fullmatch(r"\d{8}", path.name))


def _bytes(state: Mapping[str, Tensor]) -> bytes:
    content: bytes = save({name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in state.items()})
    return content


def _write(path: Path, content: bytes) -> str:
    """Durable before the rename makes it count; returns the checksum."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    return hashlib.sha256(content).hexdigest()
