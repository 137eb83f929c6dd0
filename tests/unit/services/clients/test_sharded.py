"""Many shards as one, where things change: a shard away, moved, new, or not the one it says it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from ramp.errors import Invalid, NotFound, Timeout, Unavailable
from ramp.types import Outcome, SampleSpec
from services.clients import replay, sharded, sharded_stream
from services.clients.connect import connect
from services.clients.rendezvous import home
from services.clients.replay import ReplayClient
from services.clients.sharded import ShardedClient
from services.common.directory import Shard
from tests.experience import frame_steps, make_header, make_steps, store_episode
from tests.unit.services.clients.test_replay import House
from tests.waiting import eventually

SPEC = SampleSpec(table="demos", batch_size=4, chunk=2)
IDS = [f"e{number}" for number in range(8)]
TWO = ("shard-0", "shard-1")
VALUES = np.linspace(1, 0, 6, dtype=np.float32)


class Town:
    """Servers of this process, and the notice board that tells of them."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._folder, self._stack = folder, stack
        self.houses: dict[str, House] = {}
        self.found: dict[str, Shard] | None = {}
        for name in TWO:
            self.build(name)

    def build(self, name: str, data: str = "") -> House:
        house = House(self._folder / f"{name}{data}", self._stack)
        self.tell(name, house, data)
        return house

    def tell(self, name: str, house: House, data: str = "") -> None:
        assert self.found is not None
        self.houses[name] = house
        self.found[name] = Shard(name, house.address, f"data of {name}{data}")

    def client(self, **options: object) -> ShardedClient:
        board = SimpleNamespace(shards=lambda: self.found)
        places = ",".join(f"{name}={house.address}" for name, house in self.houses.items())
        return self._stack.enter_context(connect(places, name="test", board=board, **options))  # type: ignore[arg-type,return-value]

    def held(self) -> dict[str, set[str]]:
        return {name: {info.episode_id for info in house.shard.query()} for name, house in self.houses.items()}


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> Iterator[ExitStack]:
    monkeypatch.setattr(sharded, "LOOK_S", 1000.0)
    with ExitStack() as opened:
        yield opened


@pytest.fixture
def town(tmp_path: Path, stack: ExitStack) -> Town:
    return Town(tmp_path, stack)


def fill(client: ShardedClient, ids: list[str] = IDS) -> None:
    for each in ids:
        store_episode(client, each)


def homes(ids: list[str], names: tuple[str, ...] = TWO) -> dict[str, set[str]]:
    return {name: {each for each in ids if home(each, names) == name} for name in names}


def test_one_shard_is_an_ordinary_client_whose_spool_is_that_shards(tmp_path: Path, stack: ExitStack) -> None:
    house = House(tmp_path / "shard", stack)
    client = stack.enter_context(connect(house.address, name="test", spool=tmp_path / "spool"))
    assert isinstance(client, ReplayClient)
    assert (tmp_path / "spool" / "shard-0").is_dir()


def test_the_board_knows_of_more_shards_than_the_address(town: Town, stack: ExitStack) -> None:
    board = SimpleNamespace(shards=lambda: town.found)
    found = connect(town.houses["shard-0"].address, name="test", board=board)  # type: ignore[arg-type]
    assert set(stack.enter_context(found).parts()) == set(TWO)  # type: ignore[union-attr,arg-type]


def test_each_episode_lies_on_its_home_and_nowhere_else(town: Town) -> None:
    fill(town.client())
    assert town.held() == homes(IDS)
    assert all(homes(IDS).values()), "both have some"


def test_what_a_shard_misses_while_it_is_away_waits_in_its_own_spool(town: Town, tmp_path: Path) -> None:
    client = town.client(spool=tmp_path / "spool")
    town.houses["shard-1"].close()
    fill(client)
    assert not client.flush(0.1)
    eventually(lambda: town.houses["shard-0"].shard.info().table("demos").episodes == len(homes(IDS)["shard-0"]))  # type: ignore[union-attr]
    assert list((tmp_path / "spool" / "shard-1").glob("*.spool"))
    with pytest.raises(Unavailable, match="shard-1"):
        client.query(timeout=0.1)
    town.houses["shard-1"].open()
    assert client.flush(30)
    assert town.held() == homes(IDS)
    assert client.pending_bytes == 0


def test_a_shard_that_comes_takes_new_episodes_and_the_old_ones_are_found_where_they_are(town: Town) -> None:
    client = town.client()
    fill(client)
    half = client.open(make_header("half"))
    half.append(make_steps(0, 12))
    before = town.held()
    town.build("shard-2")
    client.look()
    three = (*TWO, "shard-2")
    assert homes(IDS, three)["shard-2"], "some would go elsewhere now"
    half.append(make_steps(12, 24))
    half.end(Outcome.SUCCESS)
    new = [f"n{number}" for number in range(6)]
    fill(client, new)
    assert town.held()["shard-2"] == homes(new, three)["shard-2"] != set()
    assert town.held()["shard-0"] | town.held()["shard-1"] >= before["shard-0"] | before["shard-1"] | {"half"}
    for each in IDS:
        assert client.fetch(each).header.episode_id == each
    assert client.update_priorities("demos", IDS, [4] * 8, [2.0] * 8) == 8
    result = client.annotate(1, [(each, frame_steps(24), VALUES) for each in [*IDS, *new]], extends=False)
    assert (result.episodes, result.items) == (14, 84)
    assert [info.episode_id for info in client.query(unlabelled_by=1)] == ["half"]
    assert client.delete([*IDS, *new], "a test") == 14
    with pytest.raises(NotFound, match="nobody"):
        client.annotate(1, [("nobody", frame_steps(24), VALUES)], extends=True)


def test_a_shard_at_another_address_is_the_same_shard(town: Town, tmp_path: Path) -> None:
    client = town.client(spool=tmp_path / "spool")
    client.look()  # now it knows their data
    fill(client, IDS[:4])
    assert client.flush(30)
    stream = client.sample(SPEC, timeout=30)
    next(stream)
    old = town.houses["shard-1"]
    old.close()
    fill(client, IDS[4:])
    moved = House(old._folder, town._stack)
    assert moved.address != old.address
    town.tell("shard-1", moved)
    client.look()
    assert client.flush(30)
    assert town.held() == homes(IDS)
    seen: set[str] = set()
    eventually(lambda: seen.update(next(stream).episode_id) or seen & homes(IDS)["shard-1"])


def test_a_server_with_other_data_under_a_known_name_gets_nothing(town: Town, caplog: pytest.LogCaptureFixture) -> None:
    client = town.client()
    client.look()
    known = client.address
    stranger = town.build("shard-1", "other")
    client.look()
    assert client.address == known
    assert "has other data" in caplog.text
    town.found = None  # Redis is away
    client.look()
    fill(client)
    assert stranger.shard.query() == []


def test_draws_are_in_proportion_to_what_the_shards_hold(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharded_stream, "PATIENCE_S", 60.0)
    client = town.client()
    fill(client)
    shares = {name: len(ids) for name, ids in homes(IDS).items()}
    stream, drawn = client.sample(SPEC, timeout=120), Counter[str]()
    for _ in range(4 * len(IDS)):
        batch = next(stream)
        [shard] = {home(each, TWO) for each in batch.episode_id}
        drawn[shard] += 1
        np.testing.assert_allclose(batch.probability, 1 / (6 * len(IDS)))
    assert drawn == {name: 4 * count for name, count in shares.items()}


def test_a_shard_that_is_away_is_left_out_and_taken_back(town: Town) -> None:
    client = town.client()
    fill(client)
    stream, away = client.sample(SPEC, timeout=30), homes(IDS)["shard-1"]
    held = client.info()
    town.houses["shard-1"].close()
    for _ in range(12):
        next(stream)
    assert not away & {each for _ in range(8) for each in next(stream).episode_id}
    assert [name for name, info in client.infos(1.0).items() if info is None] == ["shard-1"]
    assert client.info(1.0).table("demos").episodes == held.table("demos").episodes == 8  # type: ignore[union-attr]
    town.houses["shard-1"].open()
    eventually(lambda: away & set(next(stream).episode_id))


def test_labels_that_did_not_reach_a_shard_are_missed_and_mended(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay, "ANNOTATE_S", 0.3)
    client, labels = town.client(), [(each, frame_steps(24), VALUES) for each in IDS]
    fill(client)
    client.annotate(1, labels, extends=False)
    town.houses["shard-1"].close()
    with pytest.raises(Unavailable, match="shard-1"):
        client.annotate(2, labels, extends=False)
    town.houses["shard-1"].open()
    eventually(lambda: None not in client.infos().values())
    assert [info.annotation_version for info in client.infos().values() if info] == [2, 1]
    assert client.info().annotation_version == 1
    with pytest.raises(Invalid, match="extends"):
        client.annotate(2, labels, extends=True)
    assert client.annotate(2, labels, extends=False).episodes == 8
    assert client.info().annotation_version == 2


def test_a_view_is_drawn_from_the_shards_that_have_it(town: Town) -> None:
    client = town.client()
    fill(client)
    mine = sorted(homes(IDS)["shard-1"])
    assert client.view("mine", mine).episodes == len(mine)
    stream = client.sample(SampleSpec(table="mine", batch_size=4, chunk=2), timeout=30)
    for _ in range(6):
        batch = next(stream)
        assert set(batch.episode_id) <= set(mine)
        np.testing.assert_allclose(batch.probability, 1 / (6 * len(mine)))
    assert [info.episode_id for info in client.query("mine")] == mine


def test_a_stream_says_what_is_wrong_and_ends_when_it_is_closed(town: Town) -> None:
    client = town.client()
    with pytest.raises(NotFound):
        next(client.sample(SampleSpec(table="nowhere", batch_size=1, chunk=1), timeout=5))
    stream = client.sample(SPEC, timeout=0.1)
    with pytest.raises(Timeout, match="any shard"):
        next(stream)
    stream.close()
    with pytest.raises(Unavailable, match="closed"):
        next(stream)


def test_a_shard_that_has_never_answered_has_no_figures(town: Town) -> None:
    for house in town.houses.values():
        house.close()
    with pytest.raises(Unavailable, match="shard-0, shard-1"):
        town.client().info(0.1)
