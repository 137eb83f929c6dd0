"""The version registry as a directory: immutable weights with a manifest, and aliases that point to them.

    <root>/<kind>/00000003/weights.safetensors
    <root>/<kind>/00000003/manifest.json
    <root>/<kind>/00000003/tokenizer.json     and whatever else was published beside the weights
    <root>/<kind>/aliases/latest              the version's number in text

A version is written into a hidden directory, fsynced and renamed: a reader sees all of it or nothing, and a publisher
that dies leaves nothing that can be seen. Renaming never replaces a directory with content, so two publishers get two
numbers. Nothing is unpickled.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as parse_safetensors
from safetensors.torch import save as format_safetensors
from torch import Tensor

from ramp.errors import Corrupt, Full, Invalid, NotFound
from ramp.replay import durable
from ramp.types import Kind
from services.common.place import ALIAS

WEIGHTS = "weights.safetensors"
MANIFEST = "manifest.json"
ABANDONED_AFTER_S = 3600.0  # a hidden directory this old belongs to a publisher that died

_RESERVED = (
    "kind",
    "version",
    "created",
    "sha256",
    "bytes",
    "tensors",
    "files",
    "checksum",
)  # written by the registry itself
_FILE = re.compile(r"[a-z][a-z0-9_.-]{0,63}")


class DirectoryRegistry:
    """`ramp.interfaces.Registry` on a file system that all processes share.

    Example: DirectoryRegistry("runs/a/registry").load(Kind.POLICY, "latest")
    """

    def __init__(self, path: str | Path) -> None:
        self.root = Path(path)

    def publish(
        self,
        kind: Kind,
        tensors: Mapping[str, Tensor],
        manifest: Mapping[str, Any],
        files: Mapping[str, bytes] | None = None,
    ) -> int:
        """Store a new version, with `files` beside its weights, and return its number (1, 2, ...).

        Raises Invalid for no weights, for weights that are not finite, for a manifest that is not JSON or uses a name
        that the registry writes itself, and for such a file's name; Full where the disk has no space. Nothing is
        visible after an error.
        """
        beside = dict(files or {})
        weights = {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in tensors.items()}
        _refuse_bad(weights, manifest, beside)
        content = format_safetensors(weights)
        entries = {
            **manifest,
            "kind": str(kind),
            "created": time.time(),
            "sha256": hashlib.sha256(content).hexdigest(),
            "bytes": len(content),
            "tensors": {name: _shape(tensor) for name, tensor in weights.items()},
            "files": {name: hashlib.sha256(each).hexdigest() for name, each in beside.items()},
        }
        return self._store(self._folder(kind), {WEIGHTS: content, **beside}, entries)

    def load(self, kind: Kind, version: int | str) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Weights (on the CPU) and manifest of a version or an alias.

        Raises NotFound, or Corrupt where a checksum, a shape or a value is not what was published.
        """
        manifest = self.manifest(kind, version)
        where = self._folder(kind) / _name(manifest["version"])
        try:
            content = (where / WEIGHTS).read_bytes()
        except FileNotFoundError as error:
            raise Corrupt(f"{where}: {WEIGHTS} is missing") from error
        if hashlib.sha256(content).hexdigest() != manifest["sha256"]:
            raise Corrupt(f"{where}: sha256 of {WEIGHTS} differs from the manifest's")
        try:
            weights = parse_safetensors(content)
        except SafetensorError as error:
            raise Corrupt(f"{where}: {error}") from error
        _refuse_differing(where, weights, manifest)
        return weights, manifest

    def file(self, kind: Kind, version: int | str, name: str) -> bytes | None:
        """What was published beside the weights under that name; None where nothing was. Raises NotFound, Corrupt."""
        manifest = self.manifest(kind, version)
        wanted = manifest.get("files", {}).get(name)
        if wanted is None:
            return None
        path = self._folder(kind) / _name(manifest["version"]) / name
        try:
            content = path.read_bytes()
        except FileNotFoundError as error:
            raise Corrupt(f"{path} is missing") from error
        if hashlib.sha256(content).hexdigest() != wanted:
            raise Corrupt(f"{path}: its sha256 differs from the manifest's")
        return content

    def manifest(self, kind: Kind, version: int | str) -> dict[str, Any]:
        """The manifest alone, without reading the weights. Raises NotFound, Corrupt."""
        number = self._number(kind, version)
        path = self._folder(kind) / _name(number) / MANIFEST
        try:
            manifest = json.loads(path.read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError) as error:
            raise NotFound(f"no {kind} version {number}; there are {list(self.versions(kind))}") from error
        except ValueError as error:
            raise Corrupt(f"{path}: not JSON: {error}") from error
        if not isinstance(manifest, dict) or manifest.get("checksum") != _checksum(manifest):
            raise Corrupt(f"{path}: its checksum differs from its content")
        return manifest

    def alias(self, kind: Kind, name: str, version: int) -> None:
        """Point `name` at a version, atomically. Raises NotFound for an unknown version, Invalid for a bad name."""
        if not ALIAS.fullmatch(name):
            raise Invalid("alias", name, "use lower-case letters, digits, '-' and '_', a letter first")
        folder = self._folder(kind)
        if not (folder / _name(version)).is_dir():
            raise NotFound(f"no {kind} version {version} for alias {name}; there are {list(self.versions(kind))}")
        aliases = folder / "aliases"
        aliases.mkdir(parents=True, exist_ok=True)
        hidden = aliases / f".{name}-{uuid.uuid4().hex}"
        _write(hidden, f"{version}\n".encode())
        hidden.replace(aliases / name)
        durable.sync(aliases)

    def resolve(self, kind: Kind, name: str) -> int | None:
        """The version an alias points to, or None."""
        if not ALIAS.fullmatch(name):
            return None
        try:
            return int((self._folder(kind) / "aliases" / name).read_text())
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise Corrupt(f"alias {name} of {kind} holds no number") from error

    def aliases(self, kind: Kind) -> dict[str, int]:
        """Every alias with its version."""
        folder = self._folder(kind) / "aliases"
        names = [path.name for path in folder.iterdir() if ALIAS.fullmatch(path.name)] if folder.is_dir() else []
        found = {name: self.resolve(kind, name) for name in sorted(names)}
        return {name: version for name, version in found.items() if version is not None}

    def versions(self, kind: Kind) -> list[int]:
        """All numbers, ascending."""
        folder = self._folder(kind)
        if not folder.is_dir():
            return []
        return sorted(int(path.name) for path in folder.iterdir() if re.fullmatch(r"\d{8}", path.name))

    def _folder(self, kind: Kind) -> Path:
        return self.root / str(kind)

    def _number(self, kind: Kind, version: int | str) -> int:
        if isinstance(version, int):
            return version
        number = self.resolve(kind, version)
        if number is None:
            raise NotFound(f"no {kind} alias {version!r}; there are {sorted(self.aliases(kind))}")
        return number

    def _store(self, folder: Path, contents: Mapping[str, bytes], entries: dict[str, Any]) -> int:
        folder.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(folder)
        hidden = folder / f".new-{uuid.uuid4().hex}"
        hidden.mkdir()
        try:
            for name, content in contents.items():
                _write(hidden / name, content)
            return _reveal(folder, hidden, entries)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                needed = sum(map(len, contents.values()))
                raise Full(f"no space under {folder} for {needed} bytes of weights") from error
            raise
        finally:
            shutil.rmtree(hidden, ignore_errors=True)


def _reveal(folder: Path, hidden: Path, entries: dict[str, Any]) -> int:
    """Rename to the next free number; another publisher may take a number first, then the next one is tried."""
    taken = [int(path.name) for path in folder.iterdir() if re.fullmatch(r"\d{8}", path.name)]
    number = max(taken, default=0) + 1
    while True:
        numbered = {**entries, "version": number}
        text = json.dumps({**numbered, "checksum": _checksum(numbered)}, indent=1, sort_keys=True)
        _write(hidden / MANIFEST, text.encode())
        durable.sync(hidden)
        try:
            hidden.rename(folder / _name(number))
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            number += 1
            continue
        durable.sync(folder)
        return number


def _refuse_bad(weights: Mapping[str, Tensor], manifest: Mapping[str, Any], files: Mapping[str, bytes]) -> None:
    for name in files:
        if not _FILE.fullmatch(name) or name in (WEIGHTS, MANIFEST):
            raise Invalid("files", name, f"use lower-case letters, digits, '.', '-' and '_'; not {WEIGHTS}, {MANIFEST}")
    if not weights:
        raise Invalid("weights", "none", "publish at least one tensor")
    for name, tensor in weights.items():
        if not bool(torch.isfinite(tensor).all()):
            raise Invalid(f"weights.{name}", "not finite", "publish weights of a training that has not diverged")
    taken = sorted(set(manifest) & set(_RESERVED))
    if taken:
        raise Invalid("manifest", ", ".join(taken), "leave these names to the registry")
    try:
        json.dumps(dict(manifest), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise Invalid("manifest", error, "use JSON values with finite numbers") from error


def _refuse_differing(where: Path, weights: Mapping[str, Tensor], manifest: Mapping[str, Any]) -> None:
    found = {name: _shape(tensor) for name, tensor in weights.items()}
    if found != manifest["tensors"]:
        names = sorted(
            name for name in {*found, *manifest["tensors"]} if found.get(name) != manifest["tensors"].get(name)
        )
        raise Corrupt(f"{where}: shapes differ from the manifest's: {', '.join(names[:5])}")
    for name, tensor in weights.items():
        if not bool(torch.isfinite(tensor).all()):
            raise Corrupt(f"{where}: {name} is not finite")


def _shape(tensor: Tensor) -> list[Any]:
    return [str(tensor.dtype).removeprefix("torch."), list(tensor.shape)]


def _checksum(manifest: Mapping[str, Any]) -> str:
    rest = {key: value for key, value in manifest.items() if key != "checksum"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def _name(version: int) -> str:
    return f"{version:08d}"


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _remove_abandoned(folder: Path) -> None:
    for path in folder.glob(".new-*"):
        try:
            age = time.time() - path.stat().st_mtime
        except FileNotFoundError:
            continue
        if age > ABANDONED_AFTER_S:
            shutil.rmtree(path, ignore_errors=True)
