"""Backups of a shard and of a run: only what is new is copied, what is damaged is found, what is broken off goes on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest
import torch

from ramp.errors import Conflict, Corrupt, Invalid, NotFound, Unavailable
from ramp.replay.local import LocalReplay
from ramp.replay.shard import Shard, ShardConfig
from ramp.types import Kind
from services.backup.bucket import Bucket
from services.backup.copying import alone, missing
from services.backup.manifest import Manifest
from services.backup.part import RUN, Part, parts
from services.backup.periodic import HOUR_S, Backups
from services.backup.restoring import restore
from services.backup.run import back_up_run
from services.backup.shard import PREFIX, back_up_shard
from services.clients.registry import DirectoryRegistry
from services.common import metrics
from services.common.place import BackupPlace
from tests.experience import frame_steps, store_episode


def hush(done: int, total: int) -> None:
    assert 0 <= done <= total


@pytest.fixture(params=["file", "memory"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return f"file://{tmp_path}/bucket" if request.param == "file" else f"memory://{uuid4().hex}"


@pytest.fixture
def part(url: str) -> Part:
    return Part(Bucket(url), "shard-0")


@pytest.fixture
def shard(tmp_path: Path) -> Iterator[Shard]:
    with closing(Shard(tmp_path / "replay", ShardConfig())) as opened:
        store_episode(LocalReplay(opened), "e0", seed=1)
        yield opened


def save(part: Part, shard: Shard, tmp_path: Path, keep: int = 7) -> Manifest:
    return back_up_shard(part, tmp_path / "replay", shard, keep, hush)


def objects(part: Part) -> dict[str, int]:
    return part.objects()


def test_a_backup_takes_what_is_new_and_keeps_what_is_there(part: Part, shard: Shard, tmp_path: Path) -> None:
    first = save(part, shard, tmp_path)
    before = set(objects(part))
    store_episode(LocalReplay(shard), "e1", seed=2)
    second = save(part, shard, tmp_path)
    [segment] = [file.sha256 for file in first.files if file.path.startswith("segments/")]

    assert (first.episodes, second.episodes) == (1, 2)
    assert segment in {file.sha256 for file in second.files}
    assert len(set(objects(part)) - before) < len(second.files)
    assert shard.snapshots() == []
    assert [each.number for each in part.manifests()] == [1, 2]


def test_a_shard_comes_back_with_everything_that_it_had(part: Part, shard: Shard, tmp_path: Path) -> None:
    for number in range(1, 4):
        store_episode(LocalReplay(shard), f"e{number}", seed=number)
    steps = frame_steps(24)
    shard.annotate(3, {"e1": (steps, np.linspace(1, 0, len(steps), dtype=np.float32))}, extends=False)
    shard.update_priorities("demos", ["e1"], [4], np.array([7.0]))
    shard.view("some", ["e1", "e2"], "a test")
    shard.delete(["e3"], "a test")
    manifest = save(part, shard, tmp_path)

    restore({"": (part, manifest)}, tmp_path / "back", hush)

    with closing(Shard(tmp_path / "back", ShardConfig())) as found:
        assert [each.episode_id for each in found.query()] == ["e0", "e1", "e2"]
        assert [each.name for each in found.views()] == ["some"]
        assert found.info().annotation_version == 3
        np.testing.assert_array_equal(found.labels("e1").advantage, shard.labels("e1").advantage)
        [kept] = [found.table("demos").changed_priorities()]
        assert kept.priority.tolist() == [7.0]
        with pytest.raises(NotFound, match="deleted"):
            found.fetch("e3")
    again = back_up_shard(part, tmp_path / "back", Shard(tmp_path / "back", ShardConfig()), 7, hush)
    assert again.number == 2


def test_old_backups_go_and_what_only_they_held(part: Part, shard: Shard, tmp_path: Path) -> None:
    for number in range(1, 4):
        save(part, shard, tmp_path, keep=2)
        store_episode(LocalReplay(shard), f"e{number}", seed=number)
        shard.view(f"v{number}", ["e0"])
    named = {file.sha256 for each in part.manifests() for file in each.files}

    assert [each.number for each in part.manifests()] == [2, 3]
    assert set(objects(part)) == named


def test_a_damaged_copy_is_found_and_never_restored(part: Part, shard: Shard, tmp_path: Path) -> None:
    manifest = save(part, shard, tmp_path)
    [victim] = [file for file in manifest.files if file.path.startswith("segments/")]
    name = f"shard-0/objects/{victim.sha256[:2]}/{victim.sha256}"
    content = bytearray(b"".join(part.bucket.read(name)))
    content[len(content) // 2] ^= 1
    part.bucket.write(name, [bytes(content)])

    assert missing(part, manifest, hush) == [victim]
    with pytest.raises(Corrupt, match="not what was backed up"):
        restore({"": (part, manifest)}, tmp_path / "back", hush)
    assert not (tmp_path / "back").exists()


def test_a_damaged_manifest_is_passed_over(part: Part, shard: Shard, tmp_path: Path) -> None:
    save(part, shard, tmp_path)
    store_episode(LocalReplay(shard), "e1")
    save(part, shard, tmp_path)
    part.bucket.write("shard-0/backups/00000002.json", [b'{"number": 2'])

    assert part.newest().number == 1
    assert save(part, shard, tmp_path).number == 3


def test_a_backup_that_was_broken_off_goes_on(part: Part, shard: Shard, tmp_path: Path) -> None:
    class Killed(Exception):
        pass

    def kill(done: int, total: int) -> None:
        if done > total // 2:
            raise Killed

    with pytest.raises(Killed):
        back_up_shard(part, tmp_path / "replay", shard, 7, kill)
    assert part.manifests() == []
    copied = set(objects(part))
    shard.snapshot(f"{PREFIX}17")  # what a kill leaves
    made = save(part, shard, tmp_path)

    assert copied
    assert missing(part, made, hush) == []
    assert shard.snapshots() == []


def test_a_restore_that_was_broken_off_goes_on(part: Part, shard: Shard, tmp_path: Path) -> None:
    manifest, target = save(part, shard, tmp_path), tmp_path / "back"
    [segment] = [file.path for file in manifest.files if file.path.startswith("segments/")]

    def kill(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        restore({"": (part, manifest)}, target, kill)
    (tmp_path / ".back.restoring" / "segments").mkdir(exist_ok=True)
    (tmp_path / ".back.restoring" / segment).write_bytes(b"half of it")
    (tmp_path / ".back.restoring" / "of-another-backup").write_bytes(b"")
    restore({"": (part, manifest)}, target, hush)

    assert {str(path.relative_to(target)) for path in target.rglob("*") if path.is_file()} == {
        file.path for file in manifest.files
    }
    with pytest.raises(Conflict, match="something lies there"):
        restore({"": (part, manifest)}, target, hush)


def test_another_runs_backups_are_not_mixed_with_these(part: Part, shard: Shard, tmp_path: Path) -> None:
    save(part, shard, tmp_path)
    with closing(Shard(tmp_path / "other", ShardConfig())) as other:
        store_episode(LocalReplay(other), "e0")
        with pytest.raises(Conflict, match="another run"):
            back_up_shard(part, tmp_path / "other", other, 7, hush)


def test_one_process_at_a_time(part: Part, shard: Shard, tmp_path: Path) -> None:
    with alone(tmp_path / "replay"), pytest.raises(Unavailable, match="another process"):
        save(part, shard, tmp_path)


def test_a_place_that_is_none_is_refused() -> None:
    with pytest.raises(Invalid, match="s3fs"):
        Bucket("nonsense://x")


def test_a_path_that_leads_elsewhere_is_no_manifest(part: Part, shard: Shard, tmp_path: Path) -> None:
    made = save(part, shard, tmp_path)
    files = tuple(type(file)("../../evil", file.size, file.sha256, file.mtime_ns) for file in made.files[:1])
    part.bucket.write(
        "shard-0/backups/00000002.json", [Manifest(2, "shard-0", made.data, made.taken_at, 1, files).encode()]
    )

    assert [each.number for each in part.manifests()] == [1]


def test_a_run_comes_back_without_its_secrets(url: str, tmp_path: Path) -> None:
    run, bucket = tmp_path / "run", Bucket(url)
    registry = DirectoryRegistry(run / "registry")
    registry.publish(Kind.POLICY, {"w": torch.ones(3)}, {"update": 1})
    registry.alias(Kind.POLICY, "latest", 1)
    (run / "secrets").mkdir()
    (run / "secrets" / "actor").write_text("ramp_x")
    for name in ("settings.yaml", "journal.jsonl", "tokens.yaml", "checkpoints/basis.json", "checkpoints/00000001/a"):
        (run / name).parent.mkdir(parents=True, exist_ok=True)
        (run / name).write_text(name)
    made = back_up_run(Part(bucket, RUN), run, 7, hush)
    with (run / "journal.jsonl").open("a") as journal:
        journal.write("later")
    registry.publish(Kind.POLICY, {"w": torch.zeros(3)}, {"update": 2})

    restore({"": (Part(bucket, RUN), made)}, tmp_path / "back", hush)

    back = DirectoryRegistry(tmp_path / "back" / "registry")
    assert [part.name for part in parts(bucket)] == [RUN]
    assert back.versions(Kind.POLICY) == [1]
    assert back.load(Kind.POLICY, "latest")[0]["w"].tolist() == [1, 1, 1]
    assert (tmp_path / "back" / "journal.jsonl").read_text() == "journal.jsonl"
    assert (tmp_path / "back" / "checkpoints" / "00000001" / "a").exists()
    assert not (tmp_path / "back" / "secrets").exists()
    assert not (run / ".backup").exists()


def test_the_place_says_what_it_has(url: str, shard: Shard, tmp_path: Path) -> None:
    bucket = Bucket(url)
    assert parts(bucket) == []
    part = Part(bucket, "shard-0")
    save(part, shard, tmp_path)

    assert [each.name for each in parts(bucket)] == ["shard-0"]
    with pytest.raises(NotFound, match="no such backup"):
        part.newest(before=1.0)


def value(metric: object) -> float:
    return float(metric._value.get())  # type: ignore[attr-defined]


def test_a_server_backs_itself_up_when_it_is_time(shard: Shard, tmp_path: Path, url: str) -> None:
    now = [1e9]
    settings = BackupPlace(url=url, every_h=2.0, keep=3)

    def make(part: Part, keep: int, told: object) -> Manifest:
        return back_up_shard(part, tmp_path / "replay", shard, keep, told)  # type: ignore[arg-type]

    backups = Backups("shard-0", settings, make, clock=lambda: now[0])
    assert value(metrics.REPLAY_BACKUP) == 1e9
    assert backups.turn()
    [made] = Part(Bucket(url), "shard-0").manifests()
    assert value(metrics.REPLAY_BACKUP) == made.taken_at
    backups.turn()
    now[0] = made.taken_at + 2.1 * HOUR_S
    restarted = Backups("shard-0", settings, make, clock=lambda: now[0])
    restarted.turn()
    assert [each.number for each in Part(Bucket(url), "shard-0").manifests()] == [1, 2]
    backups.stop()


def test_a_place_that_is_away_is_counted_and_tried_again(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    failures = value(metrics.REPLAY_BACKUP_FAILURES)

    def make(part: Part, keep: int, told: object) -> Manifest:
        part.bucket.write("x/y", [b""])
        raise AssertionError

    backups = Backups("shard-0", BackupPlace(url=f"file://{tmp_path}/file/below"), make, clock=lambda: 1e9)
    assert backups.turn()
    assert value(metrics.REPLAY_BACKUP_FAILURES) == failures + 1
    backups.stop()
    assert not backups.turn()


def test_the_manifest_is_plain_json(part: Part, shard: Shard, tmp_path: Path) -> None:
    save(part, shard, tmp_path)
    told = json.loads(b"".join(part.bucket.read("shard-0/backups/00000001.json")))

    assert told["part"] == "shard-0"
    assert {"path", "size", "sha256", "mtime_ns"} == set(told["files"][0])
