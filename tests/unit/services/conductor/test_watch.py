"""What the conductor sees of others becomes journal events, each once."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
import torch

from ramp.errors import Unavailable
from ramp.types import Kind
from services.clients.registry import DirectoryRegistry
from services.common.coordination import Coordination, Presence
from services.conductor import journal, targets, telemetry
from services.conductor import watch as module
from services.conductor.descendants import role_of, size
from services.conductor.journal import Event
from services.conductor.ledger import Ledger, apply
from services.conductor.watch import Probe, Rhythm, Watch


class Board(Coordination):
    """A notice board on which the learner has said some things."""

    def __init__(self, said: list[dict[str, str]]) -> None:
        super().__init__("", "test")
        self.said = said

    def tail(self, stream: str, after: str = "0", block_s: float = 0.0) -> list[tuple[str, dict[str, str]]]:
        entries = [(str(number + 1), fields) for number, fields in enumerate(self.said)]
        return [entry for entry in entries if int(entry[0]) > int(after)]


def look(watch: Watch, ledger: Ledger) -> list[Event]:
    events = []
    for event in watch.look(ledger):
        apply(ledger, event)
        events.append(event)
    return events


def watching(path: Path, said: list[dict[str, str]]) -> tuple[Watch, DirectoryRegistry]:
    registry = DirectoryRegistry(path)
    idle = Probe[dict[str, int]]("test", dict, 1.0)
    return Watch(registry, Board(said), idle, idle), registry


def publish(registry: DirectoryRegistry, kind: Kind, **manifest: object) -> int:
    return registry.publish(kind, {"w": torch.zeros(1)}, manifest)


def test_every_version_is_seen_once_with_its_origin(tmp_path: Path) -> None:
    watch, registry = watching(tmp_path, [])
    ledger = Ledger()
    publish(registry, Kind.WORLD, stage="world", update=7)
    number = publish(registry, Kind.POLICY, stage="policy", update=5, world_version=1)
    registry.alias(Kind.POLICY, "stage2", number)
    seen = [event for event in look(watch, ledger) if isinstance(event, journal.Version)]
    assert [(each.kind, each.version, each.update) for each in seen] == [("policy", 1, 5), ("world", 1, 7)]
    assert seen[0].aliases == ("stage2",)
    assert look(watch, ledger) == []
    assert watch.landmarks().stage2 == 1


def test_stages_come_from_the_learner_and_never_go_back(tmp_path: Path) -> None:
    said = [{"stage": stage, "update": "1"} for stage in ("demos", "world", "policy", "world", "nonsense")]
    watch, _ = watching(tmp_path, said)
    ledger = Ledger()
    stages = [event.stage for event in look(watch, ledger) if isinstance(event, journal.Stage)]
    assert stages == ["world", "policy"]


def test_a_learner_worker_that_was_replaced_is_seen_by_its_process_id(tmp_path: Path) -> None:
    watch, _ = watching(tmp_path, [])
    ledger = Ledger()
    seen: list[journal.Process] = []
    for pid in ("7", "7", "8", "8"):
        watch.redis.latest = [Presence(role="learner", name="learner-0", fields={"pid": pid})]
        seen += [event for event in look(watch, ledger) if isinstance(event, journal.Process)]
    assert [(each.name, each.what, each.pid) for each in seen] == [
        ("learner-0", "died", 7),
        ("learner-0", "restarted", 8),
    ]
    assert watch.worker_restarts == 1


def test_a_learner_that_is_there_and_says_nothing_for_too_long_is_stalled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch, _ = watching(tmp_path, [])
    learner = Presence(role="learner", name="learner-0", fields={"pid": "7", "node": "node-a"})
    watch.redis.latest, watch.redis.answers = [learner], True
    look(watch, Ledger())
    assert watch.stalled() == []
    monkeypatch.setattr(module, "STALL_S", -1.0)
    assert watch.stalled() == [("node-a", 7)]
    watch.redis.answers = False
    assert watch.stalled() == []


def test_without_redis_the_registry_tells_the_stage(tmp_path: Path) -> None:
    watch, registry = watching(tmp_path, [])
    ledger = Ledger()
    registry.alias(Kind.POLICY, "stage2", publish(registry, Kind.POLICY))
    look(watch, ledger)
    assert ledger.stage == "joint"
    registry.alias(Kind.POLICY, "final", 1)
    look(watch, ledger)
    assert ledger.stage == "done"


def test_telemetry_is_told_apart_into_counts_shares_and_curves() -> None:
    said = telemetry.parse({"stage": "joint", "update": "3", "total": "9", "wait_share": "0.5", "policy.flow": "0.25"})
    assert said is not None
    assert (said.update, said.total, said.wait_share, dict(said.losses)) == (3, 9, 0.5, {"policy.flow": 0.25})
    assert telemetry.parse({"stage": "lunch"}) is None


def test_a_line_of_the_journal_is_the_mean_of_all_the_learner_said_since_the_one_before(tmp_path: Path) -> None:
    def said(update: int, loss: float, wait: float) -> dict[str, str]:
        shares = {"wait_share": str(wait), "updates_per_s": "4", "spent_s.wait": str(wait)}
        return {"stage": "demos", "update": str(update), "flow": str(loss), **shares}

    told = [said(1, 9.0, 0.5)]
    watch, _ = watching(tmp_path, told)
    watch._learner_due = Rhythm(0.0)
    look(watch, Ledger())
    watch._learner_due = iter((False, False, True)).__next__
    told += [said(2, 1.0, 0.0), said(3, 2.0, 0.0), said(4, 6.0, 0.75)]
    (line,) = (event for event in look(watch, Ledger()) if isinstance(event, journal.Learner))

    assert (line.update, line.losses, line.updates_per_s) == (4, {"flow": 3.0}, 4.0)
    assert (line.wait_share, line.spent_s) == (0.25, {"wait": 0.75})


def test_a_probe_keeps_its_last_answer_while_there_is_none() -> None:
    answers, asked = iter([1]), threading.Semaphore(0)

    def measure() -> int:
        try:
            return next(answers)
        except StopIteration:
            asked.release()
            raise Unavailable("away") from None

    probe = Probe("test", measure, 0.001)
    assert not probe.fails, "it has not been asked yet"
    probe.start()
    assert all(asked.acquire(timeout=10) for _ in range(2))
    assert (probe.latest, probe.answers, probe.fails) == (1, False, True)
    probe.close()


def test_prometheus_finds_every_process_that_serves_metrics(tmp_path: Path) -> None:
    presence = [
        Presence(role="actor", name="actor-0", fields={"host": "10.0.0.7", "metrics_port": "4000"}),
        Presence(role="replay", name="shard-1", fields={"host": "127.0.0.1", "metrics_port": "4001"}),
        Presence(role="robot", name="arm-7", fields={}),
        Presence(role="learner", name="learner-0", fields={"metrics_port": "0"}),
    ]
    found = targets.groups(presence, "try")
    run = {"namespace": "local", "release": "try"}
    assert found == [
        {"targets": ["10.0.0.7:4000"], "labels": {**run, "component": "actor", "pod": "actor-0"}},
        {
            "targets": ["127.0.0.1:4001"],
            "labels": {**run, "component": "replay", "pod": "shard-1", "shard": "shard-1"},
        },
    ]
    assert targets.write(tmp_path / "prometheus.json", found)
    assert not targets.write(tmp_path / "prometheus.json", found)


def test_processes_are_told_apart_by_their_command_lines() -> None:
    assert role_of("/x/redis-server 127.0.0.1:6379") == "redis"
    assert role_of("python -m services.replay.main --dir x") == "replay"
    assert role_of("python -m services.replay.main --dir x --shard shard-1") == "shard-1"
    assert role_of("ray::RolloutActor.run") == "actor"
    assert role_of("ray::RayTrainWorker") == "learner"
    assert role_of("ray::IDLE") == "ray"


def test_memory_of_a_process_that_is_gone_is_nothing() -> None:
    import os

    assert size(os.getpid()) > 2**20
    assert size(2**22 + 1) == 0
