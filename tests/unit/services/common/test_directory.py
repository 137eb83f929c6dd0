"""The directory in words."""

from __future__ import annotations

import pytest

from ramp.errors import Invalid
from services.common.directory import Shard, in_words, parse
from services.common.settings import compose

TWO = "shard-0=10.0.0.1:7001,shard-1=10.0.0.2:7001"


def test_words_and_shards_say_the_same() -> None:
    assert in_words(parse(TWO).values()) == TWO
    assert parse("shelf:7000") == {"shard-0": Shard("shard-0", "shelf:7000")}
    assert parse(" east=[::1]:7000 , west=w:1 ")["east"].address == "[::1]:7000"


@pytest.mark.parametrize("wrong", ["", "shelf", "a=x:1,a=y:2", "A=x:1", "../a=x:1", "a=x:port", "a=x:1,"])
def test_what_names_no_shard_is_refused(wrong: str) -> None:
    with pytest.raises(Invalid, match=r"replay\.address"):
        parse(wrong)


def test_settings_refuse_an_address_that_nobody_can_find() -> None:
    assert compose("counting", None, [f"replay.address={TWO}"]).replay.address == TWO
    with pytest.raises(Invalid, match="host:port"):
        compose("counting", None, ["replay.address=shelf"])
    with pytest.raises(Invalid, match="room"):
        compose("counting", None, ["replay.port=65534", "replay.shards=3"])
