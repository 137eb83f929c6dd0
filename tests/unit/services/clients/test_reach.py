"""A server of no run here is named by its address, or by a file with what it is known and asked by."""

from __future__ import annotations

from pathlib import Path

import pytest

from ramp.errors import Invalid, NotFound
from services.clients.credentials import Credentials
from services.clients.reach import reached


def test_an_address_alone_shows_nothing() -> None:
    assert reached("shard-0=a:1,shard-1=b:2") == ("shard-0=a:1,shard-1=b:2", Credentials())


def test_a_file_says_token_and_ca_which_lie_beside_it(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("ramp_secret\n")
    (tmp_path / "token").chmod(0o600)
    (tmp_path / "there.yaml").write_text("address: replay.example:7001\ntoken: token\nca: /etc/ca.pem\n")
    address, shown = reached(str(tmp_path / "there.yaml"))
    assert address == "replay.example:7001"
    assert shown == Credentials(token="ramp_secret", ca=Path("/etc/ca.pem"))


@pytest.mark.parametrize("text", ["", "- a", "ca: x", "address: a:1\nsecret: x", "address: [", "\x00"])
def test_a_file_that_says_anything_else_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "there.yaml").write_text(text)
    with pytest.raises(Invalid):
        reached(str(tmp_path / "there.yaml"))


def test_files_that_are_not_there_or_open_to_all_are_refused(tmp_path: Path) -> None:
    there = tmp_path / "there.yaml"
    with pytest.raises(Invalid):
        reached(str(there))
    there.write_text("address: a:1\ntoken: token\n")
    with pytest.raises(NotFound):
        reached(str(there))
    (tmp_path / "token").write_text("ramp_secret")
    (tmp_path / "token").chmod(0o644)
    with pytest.raises(Invalid, match="chmod"):
        reached(str(there))
