"""The notice board against a real Redis that is killed, flushed, frozen and started again."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ramp.errors import Conflict
from ramp.types import Kind
from services.common import coordination
from services.common.coordination import Coordination, Presence, board_of, run_key, without_password
from services.common.directory import Shard
from services.common.metrics import REGISTRY
from services.common.settings import compose
from tests.unit.services.common.redis_process import RedisProcess
from tests.waiting import eventually


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RedisProcess]:
    monkeypatch.setattr(coordination, "HEARTBEAT_S", 0.1)
    monkeypatch.setattr(coordination, "_PAUSE_S", 0.05)
    server = RedisProcess(tmp_path)
    yield server
    server.kill()


@pytest.fixture
def board(server: RedisProcess) -> Iterator[Coordination]:
    board = Coordination(server.url, "run")
    yield board
    board.close()


def test_what_one_process_announces_another_sees_until_it_leaves(server: RedisProcess, board: Coordination) -> None:
    other = Coordination(server.url, "run")
    assert board.announce("actor", "actor:0", {"pid": 7})
    assert board.announce("actor", "actor:0", {"pid": 8, "doing": "idle"})

    assert other.presence() == [Presence(role="actor", name="actor:0", fields={"pid": "8", "doing": "idle"})]
    board.close()
    assert other.presence() == []


def test_two_runs_on_one_redis_do_not_see_each_other(server: RedisProcess, board: Coordination) -> None:
    other = Coordination(server.url, "other")
    board.announce("actor", "actor-0")
    board.request_stop()
    board.emit("learner", {"update": 1})

    assert (other.presence(), other.stop_requested(), other.tail("learner")) == ([], False, [])


def test_presence_runs_out_where_nobody_renews_it(server: RedisProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coordination, "PRESENCE_TTL_S", 1)
    monkeypatch.setattr(coordination, "HEARTBEAT_S", 1000.0)
    board = Coordination(server.url, "run")
    assert board.announce("actor", "actor-0")

    eventually(lambda: board.presence() == [])


def test_a_stream_is_read_on_from_where_one_stopped_and_is_bounded(board: Coordination) -> None:
    for update in range(3):
        board.emit("learner", {"update": update, "loss": 0.5})
    first = board.tail("learner")
    board.emit("learner", {"update": 3})

    assert [fields["update"] for _, fields in first] == ["0", "1", "2"]
    assert first[0][1]["loss"] == "0.5"
    assert [fields for _, fields in board.tail("learner", after=first[-1][0])] == [{"update": "3"}]
    for update in range(500):
        board.emit("short", {"update": update}, length=100)
    assert 100 <= len(board.tail("short")) < 400


def test_a_reader_is_woken_by_an_entry(server: RedisProcess, board: Coordination) -> None:
    found: list[object] = []
    reader = threading.Thread(target=lambda: found.extend(Coordination(server.url, "run").watch(block_s=20)))
    reader.start()

    assert board.publish_alias(Kind.POLICY, "latest", 3)

    reader.join(timeout=10)
    assert [fields for _, fields in found] == [{"kind": "policy", "alias": "latest", "version": "3"}]  # type: ignore[misc]
    assert board.aliases() == {"policy/latest": 3}


def test_a_stop_is_seen_by_all_and_can_be_withdrawn(server: RedisProcess, board: Coordination) -> None:
    other = Coordination(server.url, "run")
    assert not other.stop_requested()
    assert board.request_stop("asked by a test")
    assert other.stop_requested()
    assert other.clear()
    board.clear()
    assert not other.stop_requested()


def test_a_new_life_of_a_run_does_not_hear_what_an_earlier_one_said(server: RedisProcess, board: Coordination) -> None:
    board.emit("learner", {"stage": "done"})
    board.publish_alias(Kind.POLICY, "final", 7)
    assert board.clear()
    assert (board.tail("learner"), board.aliases(), board.presence()) == ([], {}, [])


def test_runs_in_directories_of_the_same_name_are_told_apart(tmp_path: Path) -> None:
    assert run_key(tmp_path / "a" / "try") != run_key(tmp_path / "b" / "try")
    assert run_key(tmp_path / "a" / "try") == run_key(tmp_path / "a" / "other" / ".." / "try")


def test_after_a_flush_presence_and_stop_come_back_by_themselves(server: RedisProcess, board: Coordination) -> None:
    board.announce("learner", "learner-0", {"stage": "joint"})
    board.request_stop()
    server.flush()

    eventually(lambda: board.presence() and board.stop_requested())
    assert (board.presence() or [])[0].fields == {"stage": "joint"}


def test_while_redis_is_dead_every_call_answers_at_once_and_later_all_is_back(
    server: RedisProcess, board: Coordination
) -> None:
    board.announce("actor", "actor-0", {"pid": 7})
    before = failures()
    server.kill()

    assert board.announce("actor", "actor-0", {"pid": 8}) is False
    assert (board.presence(), board.tail("learner", block_s=0.01), board.aliases()) == (None, [], {})
    assert [board.emit("learner", {}), board.stop_requested(), board.publish_alias(Kind.WORLD, "a", 1)] == [False] * 3
    assert failures() > before

    server.start()
    eventually(lambda: board.presence())
    assert (board.presence() or [])[0].fields == {"pid": "8"}
    assert board.emit("learner", {"update": 1})


def test_a_frozen_redis_holds_nobody_for_long(server: RedisProcess, board: Coordination) -> None:
    assert board.ping()
    os.kill(server.process.pid, signal.SIGSTOP)
    try:
        assert board.emit("learner", {"update": 1}) is False  # it answers although Redis never will
    finally:
        os.kill(server.process.pid, signal.SIGCONT)
    eventually(board.ping)


def test_without_a_url_there_is_no_board_and_nothing_fails() -> None:
    board = Coordination("", "run")

    assert [board.announce("a", "b"), board.emit("s", {}), board.request_stop(), board.ping()] == [False] * 4
    assert (board.presence(), board.tail("s"), board.aliases()) == (None, [], {})
    board.close()


def failures() -> float:
    samples = [s for f in REGISTRY.collect() if f.name == "ramp_coordination_failures" for s in f.samples]
    return sum(sample.value for sample in samples if sample.name.endswith("_total"))


def test_a_password_and_tls_reach_redis_and_no_log(caplog: pytest.LogCaptureFixture) -> None:
    url = "rediss://ada:s3cret@127.0.0.1:1/2?ssl_ca_certs=/etc/ca.pem"
    board = Coordination(url, "run")
    pool = board._redis.connection_pool  # type: ignore[union-attr]
    assert pool.connection_class.__name__ == "SSLConnection"
    assert pool.connection_kwargs["password"] == "s3cret"
    with caplog.at_level("DEBUG"):
        assert not board.ping()
    board.close()
    assert "s3cret" not in caplog.text
    assert without_password(url) == "rediss://***@127.0.0.1:1/2"
    assert without_password("redis://127.0.0.1:6379/0") == "redis://127.0.0.1:6379/0"


ONE = Shard("shard-0", "127.0.0.1:7001", "its data")


def test_a_shard_is_found_again_after_a_flush_and_at_another_address(server: RedisProcess, board: Coordination) -> None:
    other = Coordination(server.url, "run")
    assert board.announce_shard(ONE)
    assert other.shards() == {"shard-0": ONE}
    server.flush()
    eventually(lambda: other.shards() == {"shard-0": ONE})
    moved = replace(ONE, address="127.0.0.1:7002")
    assert other.announce_shard(moved)  # the same data: a restart
    assert Coordination(server.url, "run").shards() == {"shard-0": moved}
    other.close()


def test_a_name_is_one_shards_alone(server: RedisProcess, board: Coordination) -> None:
    stranger = Coordination(server.url, "run")
    assert board.announce_shard(ONE)
    with pytest.raises(Conflict, match=r"127\.0\.0\.1:7001"):
        stranger.announce_shard(replace(ONE, data="others"))
    stranger.close()
    assert board.shards() == {"shard-0": ONE}
    board.close()
    late = Coordination(server.url, "run")
    assert late.shards() == {}
    assert late.announce_shard(replace(ONE, data="others"))
    late.close()


def test_a_server_that_lost_its_name_says_so_and_takes_nothing(
    server: RedisProcess, board: Coordination, caplog: pytest.LogCaptureFixture
) -> None:
    stranger, taken = Coordination(server.url, "run"), replace(ONE, data="others")
    assert stranger.announce_shard(taken)
    board._shards["shard-0"] = ONE  # as one that began while Redis was away
    board.reannounce()
    assert "this shard is not in the directory" in caplog.text
    assert board.shards() == {"shard-0": taken}
    stranger.close()
    eventually(lambda: (board.reannounce(), board.shards())[1] == {"shard-0": ONE})


def test_without_redis_nobody_knows_where_a_shard_is(server: RedisProcess, board: Coordination) -> None:
    server.kill()
    assert not board.announce_shard(ONE)
    assert board.shards() is None
    server.start()
    eventually(lambda: board.shards() == {"shard-0": ONE})


def test_a_run_that_is_given_a_name_has_that_on_the_board_wherever_its_settings_lie() -> None:
    here = compose("counting", None, ["redis.url=redis://h:1/0", "redis.run=fleet", "dir=/etc/ramp"])
    there = compose("counting", None, ["redis.url=redis://h:1/0", "redis.run=fleet", "dir=/runs/fleet"])
    assert board_of(here).run == board_of(there, "redis://own:1/0").run == "fleet"
    assert board_of(there, "redis://own:1/0").url == "redis://h:1/0"
    assert board_of(compose("counting", None, ["dir=/runs/a"]), "redis://own:1/0").url == "redis://own:1/0"
