"""The directory registry: atomic, checksummed, never overwritten."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from ramp.errors import Corrupt, Invalid, NotFound
from ramp.types import Kind
from services.clients.registry import MANIFEST, WEIGHTS, DirectoryRegistry

ROOT = Path(__file__).parents[4]


def weights(value: float = 1.0) -> dict[str, torch.Tensor]:
    return {"a.weight": torch.full((3, 2), value), "a.count": torch.tensor(7, dtype=torch.int64)}


def test_a_published_version_comes_back_with_its_manifest(tmp_path: Path) -> None:
    registry = DirectoryRegistry(tmp_path)
    version = registry.publish(Kind.POLICY, weights(2.0), {"update": 10, "stage": "policy"})
    loaded, manifest = registry.load(Kind.POLICY, version)
    assert version == 1
    assert torch.equal(loaded["a.weight"], weights(2.0)["a.weight"])
    assert loaded["a.count"].dtype == torch.int64
    assert manifest["version"] == 1
    assert manifest["update"] == 10
    assert manifest["tensors"]["a.weight"] == ["float32", [3, 2]]
    assert registry.manifest(Kind.POLICY, 1) == manifest


def test_files_lie_beside_the_weights_and_are_checked(tmp_path: Path) -> None:
    registry = DirectoryRegistry(tmp_path)
    version = registry.publish(Kind.POLICY, weights(), {}, {"tokenizer.json": b"{}"})
    bare = registry.publish(Kind.POLICY, weights(), {})
    assert registry.file(Kind.POLICY, version, "tokenizer.json") == b"{}"
    assert registry.file(Kind.POLICY, bare, "tokenizer.json") is None
    path = tmp_path / "policy" / f"{version:08d}" / "tokenizer.json"
    path.write_bytes(b"[]")
    with pytest.raises(Corrupt, match=r"tokenizer.json: its sha256 differs"):
        registry.file(Kind.POLICY, version, "tokenizer.json")
    path.unlink()
    with pytest.raises(Corrupt, match="is missing"):
        registry.file(Kind.POLICY, version, "tokenizer.json")


@pytest.mark.parametrize("name", ["../escape", "a/b", MANIFEST, WEIGHTS, ""])
def test_a_file_that_would_lie_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(Invalid, match="files"):
        DirectoryRegistry(tmp_path).publish(Kind.POLICY, weights(), {}, {name: b""})
    assert DirectoryRegistry(tmp_path).versions(Kind.POLICY) == []


def test_versions_count_per_kind_and_are_never_overwritten(tmp_path: Path) -> None:
    registry = DirectoryRegistry(tmp_path)
    assert [registry.publish(Kind.POLICY, weights(i), {}) for i in range(3)] == [1, 2, 3]
    assert registry.publish(Kind.WORLD, weights(), {}) == 1
    assert registry.versions(Kind.POLICY) == [1, 2, 3]
    assert registry.load(Kind.POLICY, 1)[0]["a.weight"][0, 0] == 0.0


def test_tied_weights_are_stored_one_by_one(tmp_path: Path) -> None:
    shared = torch.ones(4)
    registry = DirectoryRegistry(tmp_path)
    registry.publish(Kind.WORLD, {"a": shared, "b": shared, "c": torch.ones(4, 2).t()}, {})
    assert set(registry.load(Kind.WORLD, 1)[0]) == {"a", "b", "c"}


def test_an_alias_is_moved_and_loads_its_version(tmp_path: Path) -> None:
    registry = DirectoryRegistry(tmp_path)
    for value in (1.0, 2.0):
        registry.publish(Kind.POLICY, weights(value), {})
    registry.alias(Kind.POLICY, "latest", 1)
    registry.alias(Kind.POLICY, "latest", 2)
    assert registry.resolve(Kind.POLICY, "latest") == 2
    assert registry.aliases(Kind.POLICY) == {"latest": 2}
    assert registry.load(Kind.POLICY, "latest")[1]["version"] == 2


def test_unknown_versions_and_aliases_are_not_found(tmp_path: Path) -> None:
    registry = DirectoryRegistry(tmp_path)
    assert registry.resolve(Kind.POLICY, "latest") is None
    assert registry.versions(Kind.POLICY) == []
    assert registry.aliases(Kind.POLICY) == {}
    with pytest.raises(NotFound, match="version 4"):
        registry.load(Kind.POLICY, 4)
    with pytest.raises(NotFound, match="latest"):
        registry.load(Kind.POLICY, "latest")
    with pytest.raises(NotFound, match="version 9"):
        registry.alias(Kind.POLICY, "latest", 9)


@pytest.mark.parametrize("name", ["", "../x", "Latest", ".hidden", "a/b"])
def test_a_bad_alias_name_is_refused(tmp_path: Path, name: str) -> None:
    registry = DirectoryRegistry(tmp_path)
    registry.publish(Kind.POLICY, weights(), {})
    with pytest.raises(Invalid):
        registry.alias(Kind.POLICY, name, 1)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused_and_leave_nothing(tmp_path: Path, bad: float) -> None:
    registry = DirectoryRegistry(tmp_path)
    with pytest.raises(Invalid, match=r"a\.weight"):
        registry.publish(Kind.POLICY, weights(bad), {})
    assert registry.versions(Kind.POLICY) == []


@pytest.mark.parametrize("manifest", [{"sha256": "x"}, {"metrics": {"loss": float("nan")}}, {"config": object()}])
def test_a_bad_manifest_is_refused(tmp_path: Path, manifest: dict) -> None:
    with pytest.raises(Invalid, match="manifest"):
        DirectoryRegistry(tmp_path).publish(Kind.POLICY, weights(), manifest)


def test_no_weights_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="weights"):
        DirectoryRegistry(tmp_path).publish(Kind.POLICY, {}, {})


@pytest.mark.parametrize("name", [WEIGHTS, MANIFEST])
def test_a_flipped_byte_anywhere_is_found(tmp_path: Path, name: str) -> None:
    registry = DirectoryRegistry(tmp_path)
    registry.publish(Kind.POLICY, weights(), {"update": 1})
    path = tmp_path / "policy" / "00000001" / name
    original = path.read_bytes()
    for position in range(0, len(original), max(1, len(original) // 20)):
        content = bytearray(original)
        content[position] ^= 0x01
        path.write_bytes(content)
        with pytest.raises(Corrupt):
            registry.load(Kind.POLICY, 1)


def test_shapes_that_differ_from_the_manifest_are_found(tmp_path: Path) -> None:
    registry = DirectoryRegistry(tmp_path)
    registry.publish(Kind.POLICY, weights(), {})
    path = tmp_path / "policy" / "00000001" / MANIFEST
    manifest = json.loads(path.read_text())
    manifest["tensors"]["a.weight"] = ["float32", [2, 3]]
    path.write_text(json.dumps(manifest))
    with pytest.raises(Corrupt):
        registry.load(Kind.POLICY, 1)


def test_missing_weights_are_corrupt(tmp_path: Path) -> None:
    registry = DirectoryRegistry(tmp_path)
    registry.publish(Kind.POLICY, weights(), {})
    (tmp_path / "policy" / "00000001" / WEIGHTS).unlink()
    with pytest.raises(Corrupt, match="missing"):
        registry.load(Kind.POLICY, 1)


KILLED = """
import os, signal, sys
import torch
from ramp.types import Kind
from services.clients import registry as r
r.durable.sync = lambda folder: os.kill(os.getpid(), signal.SIGKILL)   # everything is written, the rename is next
r.DirectoryRegistry(sys.argv[1]).publish(Kind.POLICY, {"a": torch.ones(1000)}, {})
"""


def test_a_publisher_killed_before_the_rename_leaves_nothing_visible(tmp_path: Path) -> None:
    paths = os.pathsep.join([str(ROOT), str(ROOT / "proto")])
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], env={**os.environ, "PYTHONPATH": paths})
    registry = DirectoryRegistry(tmp_path)
    assert done.returncode == -signal.SIGKILL
    assert list((tmp_path / "policy").glob(".new-*"))
    assert registry.versions(Kind.POLICY) == []
    assert registry.publish(Kind.POLICY, weights(), {}) == 1


def test_what_a_dead_publisher_left_is_removed_later(tmp_path: Path) -> None:
    left = tmp_path / "policy" / ".new-dead"
    left.mkdir(parents=True)
    os.utime(left, (1, 1))
    DirectoryRegistry(tmp_path).publish(Kind.POLICY, weights(), {})
    assert not left.exists()


def _publish_many(path: str, value: float, count: int) -> None:
    registry = DirectoryRegistry(path)
    for _ in range(count):
        registry.publish(Kind.POLICY, {"a": torch.full((16,), value)}, {"publisher": value})


def test_two_publishers_at_once_get_different_versions(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [
        context.Process(target=_publish_many, args=(str(tmp_path), float(i), 15), daemon=True) for i in range(2)
    ]
    try:
        for process in processes:
            process.start()
        for process in processes:
            process.join(60)
        assert [process.exitcode for process in processes] == [0, 0]
    finally:
        for process in processes:
            process.kill()
    registry = DirectoryRegistry(tmp_path)
    loaded = [registry.load(Kind.POLICY, version) for version in registry.versions(Kind.POLICY)]
    assert [manifest["version"] for _, manifest in loaded] == list(range(1, 31))
    assert all(bool((tensors["a"] == manifest["publisher"]).all()) for tensors, manifest in loaded)
