"""Publishing: once per update, with its origin; what the learner tells."""

from __future__ import annotations

from pathlib import Path

import torch

from ramp.errors import Unavailable
from ramp.types import Kind
from services.clients.registry import DirectoryRegistry
from services.common.coordination import Coordination
from services.learner.progress import Progress
from services.learner.publish import Publisher, finite
from services.learner.telemetry import Telemetry
from tests.counting import counting_settings, teach
from tests.unit.services.learner.near import NearReplay

WEIGHTS = {"a": torch.ones(3)}


class Board(Coordination):
    """Remembers what was said."""

    def __init__(self) -> None:
        super().__init__("", "test")
        self.said: list[dict] = []
        self.present: dict[str, dict] = {}
        self.stop = False

    def emit(self, stream, fields, length=2000):
        self.said.append({"stream": stream, **fields})
        return True

    def announce(self, role, name, fields=None):
        self.present[f"{role}/{name}"] = dict(fields or {})
        return True

    def stop_requested(self) -> bool:
        return self.stop


class Away:
    def info(self) -> None:
        raise Unavailable("replay is away")


def test_a_version_names_its_parent_code_recipe_and_data(tmp_path: Path) -> None:
    settings = counting_settings(tmp_path)
    replay = NearReplay(tmp_path / "replay", settings)
    teach(replay, settings, "count-up", 1, "demos")
    registry = DirectoryRegistry(tmp_path / "registry")
    publisher = Publisher(registry, Board(), replay, "counting", precision="float32", home=tmp_path)  # type: ignore[arg-type]
    for update in (5, 10):
        publisher.publish(Kind.POLICY, WEIGHTS, {"update": update}, ("latest",))
    manifest = registry.manifest(Kind.POLICY, "latest")
    assert (manifest["version"], manifest["parent"], manifest["recipe"]) == (2, 1, "counting")
    assert manifest["watermark"]["items"]["demos"] > 0
    assert manifest["code"].startswith("ramp-fleet")
    replay.close()


def test_an_update_is_published_once_and_aliases_are_moved_again(tmp_path: Path) -> None:
    registry = DirectoryRegistry(tmp_path)
    publisher = Publisher(registry, Board(), Away(), "counting", precision="float32", home=tmp_path)  # type: ignore[arg-type]
    numbers = [publisher.publish(Kind.POLICY, WEIGHTS, {"update": update}, ("latest",)) for update in (5, 10, 5)]
    assert numbers == [1, 2, 1]
    assert registry.versions(Kind.POLICY) == [1, 2]
    assert registry.resolve(Kind.POLICY, "latest") == 1
    assert registry.manifest(Kind.POLICY, 1)["watermark"] == {}


def test_a_damaged_version_does_not_stop_the_publishing(tmp_path: Path) -> None:
    registry = DirectoryRegistry(tmp_path)
    publisher = Publisher(registry, Board(), Away(), "counting", precision="float32", home=tmp_path)  # type: ignore[arg-type]
    publisher.publish(Kind.POLICY, WEIGHTS, {"update": 5}, ("latest",))
    next(tmp_path.rglob("manifest.json")).write_text("{")
    assert publisher.publish(Kind.POLICY, WEIGHTS, {"update": 10}, ("latest",)) == 2


def test_metrics_of_a_manifest_are_json() -> None:
    assert finite({"a": 1.0, "b": float("nan"), "c": float("inf")}) == {"a": 1.0}


def test_curves_are_means_since_the_entry_before() -> None:
    board = Board()
    says = Telemetry(board, 0)
    progress = Progress(stage="policy", update=3, policy_version=1, world_version=2)
    says.announce(progress, 100)
    for loss in (1.0, 3.0):
        says.updated("policy", {"flow": loss}, progress)
    says.tell(progress, now=True)
    says.tell(progress, now=True)
    first, second = board.said
    assert first["policy.flow"] == 2.0
    assert (first["stage"], first["update"], first["total"]) == ("policy", 3, 100)
    assert first["updates_per_s"] > 0
    assert "policy.flow" not in second
    assert says.means["policy.flow"] == 2.0
    assert board.present["learner/learner-0"]["world_version"] == 2


def test_only_the_first_worker_speaks_and_all_are_present() -> None:
    board = Board()
    says = Telemetry(board, 1)
    says.announce(Progress(), 0)
    says.tell(Progress(), now=True)
    assert not board.said
    assert board.present["learner/learner-1"]["rank"] == 1


def test_waiting_is_a_share_of_the_time() -> None:
    board = Board()
    says = Telemetry(board, 0)
    with says.spent("wait"):
        sum(range(1000))
    with says.spent("update"):
        sum(range(1000))
    says.tell(Progress(), now=True)
    said = board.said[0]
    assert 0.0 < said["wait_share"] < 1.0
    assert {name for name in said if name.startswith("spent_s.")} == {"spent_s.wait", "spent_s.update"}


def test_a_stop_request_is_remembered() -> None:
    board = Board()
    says = Telemetry(board, 0)
    board.stop = True
    assert says.stop_requested()
    board.stop = False
    assert says.stop_requested()
