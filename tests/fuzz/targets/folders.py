"""Folders that others wrote: LeRobot datasets and published weights. An input takes the place of one file."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ramp.datasets.dataset import Reading
from ramp.datasets.mounted import mount
from ramp.errors import RampError
from ramp.models.folder import read_config
from ramp.replay.batches import bytes_to_arrow
from ramp.types import Kind, SampleSpec
from services.clients.registry import DirectoryRegistry, _checksum
from services.common import codec
from tests.fuzz.target import Target
from tests.unit.datasets.made import by_hand


class Dataset(Target):
    """The first byte says which file of which of three folders is replaced. What is read can be sampled and sent."""

    def __init__(self, scratch: Path) -> None:
        super().__init__(scratch)
        by_hand(scratch / "old", "v2.1", image=True)
        by_hand(scratch / "new", "v3.0", image=True)
        by_hand(scratch / "film", "v3.0")
        self._files = sorted(path for path in scratch.rglob("*") if path.is_file())

    def seeds(self) -> list[bytes]:
        return [bytes([number]) + path.read_bytes() for number, path in enumerate(self._files)]

    def feed(self, data: bytes) -> None:
        path = self._files[data[0] % len(self._files) if data else 0]
        folder = self.scratch / path.relative_to(self.scratch).parts[0]
        true = path.read_bytes()
        path.write_bytes(data[1:])
        try:
            table = mount("mounted", folder, Reading(outcome="success"))
            spec = SampleSpec(table="mounted", batch_size=2, chunk=2, horizons=(1,))
            outline, waited_s = table.outline(spec, np.random.default_rng(len(data)), timeout=0.0)
            codec.sampled_to_bytes(bytes_to_arrow(outline, table.pixels), waited_s)
        except RampError:
            return
        finally:
            path.write_bytes(true)


class Weights(Target):
    """The first byte says which file is replaced, and whether the checksums over it are made right."""

    FILES = ("weights.safetensors", "manifest.json", "words.txt", "config.json")

    def __init__(self, scratch: Path) -> None:
        super().__init__(scratch)
        tensors = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.ones(2, dtype=torch.int64)}
        DirectoryRegistry(scratch / "seed").publish(Kind.POLICY, tensors, {"told": {"x": 1}}, {"words.txt": b"lift"})
        (scratch / "seed" / "policy" / "00000001" / "config.json").write_text('{"width": 8}')

    def seeds(self) -> list[bytes]:
        contents = [(self._folder("seed") / name).read_bytes() for name in self.FILES]
        return [bytes([number + 4 * right]) + each for number, each in enumerate(contents) for right in (0, 1)]

    def _folder(self, home: str) -> Path:
        return self.scratch / home / "policy" / "00000001"

    def feed(self, data: bytes) -> None:
        name, right, content = self.FILES[data[0] % 4 if data else 0], data[:1] > b"\x03", data[1:]
        shutil.rmtree(self.scratch / "attacked", ignore_errors=True)
        shutil.copytree(self.scratch / "seed", self.scratch / "attacked")
        (self._folder("attacked") / name).write_bytes(content)
        if right:
            _make_right(self._folder("attacked"), name, content)
        registry = DirectoryRegistry(self.scratch / "attacked")
        try:
            read_config(self._folder("attacked"))
            weights, manifest = registry.load(Kind.POLICY, 1)
            registry.file(Kind.POLICY, 1, "words.txt")
        except RampError:
            return
        assert all(bool(torch.isfinite(each).all()) for each in weights.values())
        assert set(weights) == set(manifest["tensors"])


def _make_right(folder: Path, name: str, content: bytes) -> None:
    """A manifest that agrees with the file, as far as it is one."""
    path = folder / "manifest.json"
    try:
        manifest: Any = json.loads(path.read_bytes())
        if name == "weights.safetensors":
            manifest["sha256"] = hashlib.sha256(content).hexdigest()
        manifest["checksum"] = _checksum(manifest)
        path.write_text(json.dumps(manifest))
    except (ValueError, TypeError, AttributeError):
        return
