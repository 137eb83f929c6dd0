"""What every replay does, near or far: the same tests over a shard in this process, over gRPC, over Flight, over Flight
with frames from mapped segments, and over several shards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ramp.errors import Conflict, Invalid, NotFound, Timeout
from ramp.replay.limiter import Limiter
from ramp.replay.local import LocalReplay
from ramp.replay.shard import Shard, ShardConfig
from ramp.replay.table import TableConfig
from ramp.types import Encoding, Order, Outcome, SampleSpec, Source
from services.clients.connect import connect
from services.clients.replay import ReplayClient
from services.clients.sharded import ShardedClient
from services.replay.core import ReplayCore
from services.replay.flight import FlightDoor
from services.replay.server import ReplayServer
from tests.contract.shard_process import ShardProcess
from tests.experience import CAMERAS, SCHEMA, frame_steps, make_header, make_steps, store_episode, subgoal
from tests.tokens import SHOWN, gate_knowing

SPEC = SampleSpec(table="demos", batch_size=8, chunk=4, horizons=(4, 8))
TABLES = {
    "demos": TableConfig(),
    "online": TableConfig(limiter=Limiter.Config(min_size=6, samples_per_insert=2.0, slack=16.0), human_priority=4.0),
}


class Near(LocalReplay):
    """A shard with the methods of a client."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self.shard, name)

    def annotate(self, version: int, values: Any, *, extends: bool) -> Any:
        return self.shard.annotate(version, {name: (steps, found) for name, steps, found in values}, extends=extends)

    def update_priorities(self, table: str, ids: list[str], steps: list[int], priorities: list[float]) -> int:
        return self.shard.update_priorities(table, ids, steps, np.array(priorities))


def near(folder: Path, stack: ExitStack) -> Any:
    shard = Shard(folder, ShardConfig(tables=TABLES))
    stack.callback(shard.close)
    return Near(shard)


def served(folder: Path, stack: ExitStack, road: str) -> str:
    shard = Shard(folder, ShardConfig(tables=TABLES))
    stack.callback(shard.close)
    core, gate, bulk = ReplayCore(shard), gate_knowing(folder.parent), None
    if road != "grpc":
        door = FlightDoor(core, gate, folder / "segments")
        bulk = door.start("127.0.0.1", 0)
        stack.callback(door.stop, 0.2)
    if road == "flight":
        bulk.nonce = "that of another host"
    server = ReplayServer(core, gate, bulk=bulk)
    stack.callback(server.stop, 0.2)
    return f"127.0.0.1:{server.start('127.0.0.1', 0)}"


def far(folder: Path, stack: ExitStack, road: str) -> Any:
    return stack.enter_context(ReplayClient(served(folder / "shard", stack, road), name="test", credentials=SHOWN))


@pytest.fixture(scope="module")
def processes() -> Iterator[list[ShardProcess]]:
    with ExitStack() as stack:
        yield [stack.enter_context(closing(ShardProcess())) for _ in range(2)]


ROADS = {"near": near} | {road: partial(far, road=road) for road in ("grpc", "flight", "mapped")}


@pytest.fixture(params=[*ROADS, "sharded"])
def replay(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    """In this process, over every road of one server, and over two server processes."""
    with ExitStack() as stack:
        if request.param == "sharded":
            found: list[ShardProcess] = request.getfixturevalue("processes")
            places = [f"shard-{number}={each.serve(tmp_path / str(number))}" for number, each in enumerate(found)]
            yield stack.enter_context(connect(",".join(places), name="test", credentials=SHOWN))
        else:
            yield ROADS[request.param](tmp_path, stack)


STORED = {
    "raw": SCHEMA,
    "png": SCHEMA.encoded(Encoding.PNG),
    "one of each": replace(SCHEMA, encodings={"wrist": Encoding.PNG}),
}


@pytest.mark.parametrize("stored", STORED)
def test_what_was_appended_is_what_is_fetched(replay: Any, stored: str) -> None:
    store_episode(replay, "e0", length=22, seed=9, schema=STORED[stored])
    found, sent = replay.fetch("e0"), make_steps(0, 22, mark=9)
    assert found.header == make_header("e0", seed=9, schema=STORED[stored])
    assert found.outcome is Outcome.SUCCESS
    for name in (
        "step",
        "timestamp",
        "proprio",
        "action",
        "reward",
        "source",
        "trainable",
        "policy_version",
        "frame_row",
    ):
        np.testing.assert_array_equal(getattr(found.steps, name), getattr(sent, name))
    for camera in CAMERAS:
        np.testing.assert_array_equal(found.steps.images[camera], sent.images[camera])
    kept = replay.fetch("e0", decode=False).steps.images
    for camera, frames in make_steps(0, 22, mark=9, schema=STORED[stored]).images.items():
        np.testing.assert_array_equal(kept[camera], frames)


@pytest.mark.parametrize("stored", STORED)
def test_samples_come_from_ended_episodes_with_all_their_columns(replay: Any, stored: str) -> None:
    schema = STORED[stored]
    store_episode(replay, "e0", seed=5, schema=schema)
    half = replay.open(make_header("half", seed=6, schema=schema))
    half.append(make_steps(0, 12, mark=6, schema=schema))
    batches = replay.sample(SPEC, timeout=10)
    for _ in range(3):
        batch = next(batches)
        assert set(batch.episode_id) == {"e0"}
        assert batch.action.shape == (8, 4, 2)
        assert batch.future_valid.shape == (8, 2)
        for row in range(8):
            step = int(batch.step[row])
            for camera, shape in CAMERAS.items():
                assert batch.images[camera][row].shape == shape
                assert batch.images[camera][row].flatten()[:2].tolist() == [step, 5]
                assert batch.future_images[camera].shape == (8, 2, *shape)
                assert batch.future_images[camera][row, 0].flatten()[0] == min(step + 4, 20)
        np.testing.assert_allclose(batch.probability, 1 / 6)
    batches.close()
    half.end(Outcome.FAILURE)
    assert [info.episode_id for info in replay.query()] == ["e0", "half"]


def test_jpegs_come_back_as_pixels_close_to_what_was_seen(replay: Any) -> None:
    store_episode(replay, "e0", seed=90, schema=SCHEMA.encoded(Encoding.JPEG))
    fetched, batch = replay.fetch("e0").steps, next(replay.sample(SPEC, timeout=10))
    for camera, frames in make_steps(0, 24, mark=90).images.items():
        assert np.abs(fetched.images[camera].astype(int) - frames).mean() < 5
        shown = frames[batch.step // 4]
        assert batch.images[camera].dtype == np.uint8
        assert np.abs(batch.images[camera].astype(int) - shown).mean() < 5
        assert batch.future_images[camera].shape == (8, 2, *CAMERAS[camera])


def test_pixels_for_an_encoded_camera_are_refused_and_the_remedy_named(replay: Any) -> None:
    writer = replay.open(make_header("e0", schema=SCHEMA.encoded(Encoding.PNG)))
    with pytest.raises(Invalid, match=r"images\..*uint8.*encode_steps"):
        writer.append(make_steps(0, 12))


def test_an_aborted_episode_leaves_no_trace(replay: Any) -> None:
    writer = replay.open(make_header("e0"))
    writer.append(make_steps(0, 12))
    writer.abort()
    assert replay.query() == []
    assert replay.info().open_episodes == 0
    with pytest.raises(NotFound):
        replay.fetch("e0")


def test_a_refused_batch_leaves_no_trace_and_the_door_open(replay: Any) -> None:
    writer = replay.open(make_header("e0"))
    writer.append(make_steps(0, 12))
    bad = make_steps(12, 24)
    bad.action[3, 1] = np.nan
    with pytest.raises(Invalid) as caught:
        writer.append(bad)
    assert (caught.value.field, caught.value.value) == ("action", "nan at step 15, dimension 1")
    assert "finite" in caught.value.remedy
    writer.append(make_steps(12, 24))
    writer.end(Outcome.SUCCESS)
    assert replay.query()[0].steps == 24


def test_an_id_is_used_once(replay: Any) -> None:
    store_episode(replay, "e0")
    with pytest.raises(Conflict) as caught:
        replay.open(make_header("e0", task="pull"))
    assert (caught.value.field, caught.value.value) == ("episode_id", "e0")


@pytest.mark.parametrize(
    ("spec", "error"),
    [
        (SampleSpec(table="nowhere", batch_size=1, chunk=1), NotFound),
        (SampleSpec(table="demos", batch_size=0, chunk=1), Invalid),
        (SampleSpec(table="demos", batch_size=1, chunk=0), Invalid),
        (SampleSpec(table="demos", batch_size=1, chunk=1, horizons=(0,)), Invalid),
        (SampleSpec(table="demos", batch_size=1, chunk=1, track_stride=2**31), Invalid),
        (SampleSpec(table="online", batch_size=33, chunk=1), Invalid),
    ],
)
def test_a_request_that_cannot_be_answered_is_refused(replay: Any, spec: SampleSpec, error: type[Exception]) -> None:
    with pytest.raises(error):
        next(replay.sample(spec, timeout=5))


def test_an_empty_table_lets_the_learner_wait_no_longer_than_it_said(replay: Any) -> None:
    with pytest.raises(Timeout):
        next(replay.sample(SPEC, timeout=0.2))


def test_the_rate_limiter_holds_the_learner_and_says_so(replay: Any) -> None:
    store_episode(replay, "e0", tables=("online",))
    spec = SampleSpec(table="online", batch_size=8, chunk=1)
    batches = replay.sample(spec, timeout=30)
    next(batches)
    next(batches)
    with pytest.raises(Timeout):
        next(replay.sample(spec, timeout=0.5))
    info = replay.info().table("online")
    empty = -12.0 if isinstance(replay, ShardedClient) else 0.0  # the other shard's: 6 items are to come before 2 each
    assert (info.inserted_items, info.sampled_items, info.lead) == (6, 16, -16.0 + empty)
    batches.close()


def test_priorities_steer_what_is_drawn(replay: Any) -> None:
    store_episode(replay, "e0")
    assert replay.update_priorities("demos", ["e0"] * 5, [0, 4, 8, 12, 16], [0.0] * 5) == 5
    batch = next(replay.sample(SampleSpec(table="demos", batch_size=16, chunk=1, order=Order.PRIORITIZED), timeout=5))
    assert set(batch.step.tolist()) == {20}
    assert (batch.probability == 1.0).all()
    with pytest.raises(NotFound):
        replay.update_priorities("demos", ["e0"], [1], [1.0])
    with pytest.raises(Invalid):
        replay.update_priorities("demos", ["e0"], [4], [-1.0])


def test_corrections_are_positive_and_weigh_more(replay: Any) -> None:
    writer = replay.open(make_header("e0", tables=("online",)))
    steps = make_steps(0, 24)
    steps.source[8:16] = Source.HUMAN
    writer.append(steps)
    writer.end(Outcome.SUCCESS)
    falling = np.linspace(0.1, 0.9, 6, dtype=np.float32)
    result = replay.annotate(4, [("e0", frame_steps(24), falling)], extends=False)
    assert (result.episodes, result.items) == (1, 6)
    batch = next(replay.sample(SampleSpec(table="online", batch_size=16, chunk=1, order=Order.PRIORITIZED), timeout=5))
    human = batch.source == Source.HUMAN
    assert (batch.indicator[human] == 1).all()
    np.testing.assert_allclose(batch.probability, np.where(human, 4 / 12, 1 / 12))
    np.testing.assert_allclose(batch.value, -falling[batch.step // 4])
    assert (batch.annotation_version == 4).all()
    assert np.isfinite(batch.advantage).all()


def test_labels_switch_together_and_query_says_who_has_none(replay: Any) -> None:
    for name in ("e0", "e1"):
        store_episode(replay, name)
    values = np.linspace(0.5, 0, 6, dtype=np.float32)
    replay.annotate(1, [("e0", frame_steps(24), values)], extends=False)
    assert [info.episode_id for info in replay.query(unlabelled_by=1)] == ["e1"]
    with pytest.raises(Invalid, match="remaining"):
        replay.annotate(1, [("e1", frame_steps(24), values * np.nan)], extends=True)
    with pytest.raises(Invalid, match="frames"):
        replay.annotate(1, [("e1", frame_steps(24)[:5], values[:5])], extends=True)
    with pytest.raises(NotFound):
        replay.annotate(1, [("e2", frame_steps(24), values)], extends=True)
    assert replay.info().table("demos").labelled == 0.5
    replay.annotate(1, [("e1", frame_steps(24), values)], extends=True)
    assert replay.query(unlabelled_by=1) == []
    assert [info.episode_id for info in replay.query(unlabelled_by=2, limit=1)] == ["e0"]
    assert replay.info().annotation_version == 1


def test_info_counts(replay: Any) -> None:
    store_episode(replay, "e0", length=24)
    store_episode(replay, "e1", length=12, task="pull")
    info = replay.info().table("demos")
    assert (info.episodes, info.steps, info.items) == (2, 36, 9)
    assert dict(info.episodes_by_task) == {"count-up": 1, "pull": 1}
    assert replay.info().disk_bytes > 0


def test_labels_of_thought_are_given_to_those_who_ask(replay: Any) -> None:
    store_episode(replay, "e1", length=22, seed=1, thoughts=True)
    store_episode(replay, "e2", length=22, seed=2)
    assert next(replay.sample(SPEC, timeout=5)).subgoal is None
    batch = next(replay.sample(replace(SPEC, batch_size=64, track_stride=2), timeout=5))
    for row, name in enumerate(batch.episode_id):
        step, labelled = int(batch.step[row]), name == "e1"
        ahead = step + 2 * np.arange(1, 11)
        assert batch.subgoal[row] == (subgoal(step, 1) if labelled else "")
        assert batch.track_valid[row].tolist() == [labelled and each < 22 for each in ahead]
        known = batch.track_valid[row]
        np.testing.assert_allclose(batch.track[row, known, 0], ahead[known] / 100, rtol=1e-6)
        np.testing.assert_allclose(batch.track[row, known, 1], 0.1, rtol=1e-6)
        assert not batch.track[row, ~known].any()


def test_labels_of_thought_come_back_as_they_were_sent(replay: Any) -> None:
    store_episode(replay, "e1", length=22, seed=1, thoughts=True)
    found, sent = replay.fetch("e1"), make_steps(0, 22, mark=1, thoughts=True)
    assert found.header.thoughts
    np.testing.assert_array_equal(found.steps.subgoal, sent.subgoal)
    np.testing.assert_array_equal(found.steps.hand, sent.hand)


@pytest.mark.parametrize("thoughts", [True, False])
def test_steps_keep_what_the_header_says_of_thoughts(replay: Any, thoughts: bool) -> None:
    writer = replay.open(make_header("e1", thoughts=thoughts))
    with pytest.raises(Invalid, match="subgoal, hand"):
        writer.append(make_steps(0, 8, thoughts=not thoughts))


def test_what_is_deleted_is_gone_for_everybody(replay: Any) -> None:
    for name in ("e0", "e1", "e2"):
        store_episode(replay, name)
    with pytest.raises(NotFound, match="nobody"):
        replay.delete(["e0", "nobody"], "a test")
    assert replay.delete(["e0", "e2"], "out of focus") == 2
    assert replay.delete(["e0"], "again") == 0
    assert [info.episode_id for info in replay.query()] == ["e1"]
    assert set(next(replay.sample(SPEC, timeout=5)).episode_id) == {"e1"}
    with pytest.raises(NotFound, match="out of focus"):
        replay.fetch("e0")
    assert (replay.info().deleted_episodes, replay.info().table("demos").episodes) == (2, 1)


def test_a_deleted_id_stays_taken(replay: Any) -> None:
    store_episode(replay)
    replay.delete(["e0"], "a test")
    with pytest.raises(Conflict, match="deleted"):
        store_episode(replay)


def test_moments_are_kept_by_name(replay: Any) -> None:
    store_episode(replay)
    taken = replay.snapshot("one")
    assert (taken.name, taken.episodes) == ("one", 1)
    with pytest.raises(Conflict, match="one"):
        replay.snapshot("one")
    with pytest.raises(Invalid, match="name"):
        replay.snapshot("../one")
    assert replay.snapshots() == [taken]
    replay.drop_snapshot("one")
    assert replay.snapshots() == []
    with pytest.raises(NotFound):
        replay.drop_snapshot("one")


@pytest.mark.parametrize(("order", "first"), [(Order.FIFO, 0), (Order.LIFO, 20)])
def test_queues_begin_at_their_end(replay: Any, order: Order, first: int) -> None:
    store_episode(replay)
    batch = next(replay.sample(replace(SPEC, batch_size=3, order=order), timeout=5))
    assert batch.step[0] == first
    assert len(set(batch.step.tolist())) == 3


def test_stratified_draws_do_not_forget_a_rare_task(replay: Any) -> None:
    for number in range(6):
        store_episode(replay, f"e{number}")
    store_episode(replay, "rare", task="count-down")
    if isinstance(replay, ShardedClient):
        pytest.skip("a batch is one shard's, whose tasks are a sample of all tasks' only where there are many episodes")
    batch = next(replay.sample(replace(SPEC, batch_size=400, order=Order.STRATIFIED), timeout=5))
    assert 140 < batch.task.count("count-down") < 260
