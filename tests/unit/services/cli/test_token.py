"""Letting somebody in, and out again, by the command."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from ramp.errors import Unauthenticated
from services.cli.main import main
from services.common.access import Access
from services.common.keyring import OWN_ROLES, own_secret, provide
from services.common.settings import compose, save
from services.common.tokens import Role

INFO = "/ramp.v1.Replay/Info"


def ramp(*words: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(list(words))
    return int(ended.value.code or 0)


def test_a_token_is_printed_once_alone_and_works(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "tokens.yaml"
    assert ramp("token", "new", "--role", "robot", "--name", "arm-7", "--file", str(path), "--days", "90") == 0
    printed = capsys.readouterr()
    secret = printed.out.strip()
    assert secret not in printed.err
    assert Access(path).admit(secret, INFO).name == "arm-7"
    ramp("token", "list", "--file", str(path), "--json")
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["name"], row["role"]) == ("arm-7", "robot")
    assert row["expires"] > row["made"]
    ramp("token", "list", "-f", str(path))
    assert "arm-7" in capsys.readouterr().out
    assert ramp("token", "revoke", "arm-7", "-f", str(path), "--reason", "stolen") == 0
    ramp("token", "list", "-f", str(path))
    assert capsys.readouterr().out == "1 revoked\nnone\n"
    audit = (tmp_path / "logs" / "audit.jsonl").read_text()
    lines = [json.loads(line) for line in audit.splitlines()]
    assert [(line["what"], line["name"], line["result"]) for line in lines] == [
        ("TokenNew", "arm-7", "done"),
        ("TokenRevoke", "arm-7", "done"),
    ]
    assert lines[1]["reason"] == "stolen"
    assert secret not in audit


def test_the_file_is_that_of_the_run_unless_one_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(compose("counting", None, [f"dir={tmp_path}"]), tmp_path / "settings.yaml")
    ramp("token", "new", "-r", "operator", "-n", "ada", "--dir", str(tmp_path))
    assert Access(tmp_path / "tokens.yaml").admit(capsys.readouterr().out.strip(), INFO).role is Role.OPERATOR


def test_a_rotated_token_holds_beside_the_new_one_and_then_no_more(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, now = tmp_path / "tokens.yaml", [time.time()]
    ramp("token", "new", "-r", "robot", "-n", "arm-7", "-f", str(path))
    old = capsys.readouterr().out.strip()
    server = Access(path, look_every_s=0.0, clock=lambda: now[0])
    assert ramp("token", "rotate", "arm-7", "-f", str(path), "--grace-h", "2") == 0
    new = capsys.readouterr().out.strip()

    assert new != old
    assert [server.admit(each, INFO).name for each in (old, new)] == ["arm-7", "arm-7"]
    now[0] += 2.1 * 3600
    assert server.admit(new, INFO).role is Role.ROBOT
    with pytest.raises(Unauthenticated, match="expired"):
        server.admit(old, INFO)
    ramp("token", "rotate", "arm-7", "-f", str(path), "--grace-h", "200")
    with pytest.raises(Unauthenticated, match="expired"):  # a longer grace does not bring it back
        server.admit(old, INFO)


def test_a_run_rotates_its_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = compose("counting", None, [f"dir={tmp_path}"])
    save(settings, tmp_path / "settings.yaml")
    provide(settings)
    old = {role: own_secret(settings, role) for role in OWN_ROLES}
    assert ramp("token", "rotate", "--own", "--dir", str(tmp_path)) == 0

    server = Access(tmp_path / "tokens.yaml")
    for role in OWN_ROLES:
        assert own_secret(settings, role) != old[role]
        assert {server.admit(each, INFO).role for each in (old[role], own_secret(settings, role))} == {role}
    assert provide(settings) == []  # the run does not make others at its next start
    assert ramp("token", "rotate", "--dir", str(tmp_path)) == 2


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("new", "--role", "king", "--name", "a"), "choose robot"),
        (("new", "--role", "robot", "--name", "a b"), "letters, digits"),
        (("revoke", "nobody"), "nowhere/tokens.yaml"),
        (("rotate", "nobody"), "nowhere/tokens.yaml"),
        (("list",), "does not exist"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], says: str
) -> None:
    assert ramp("token", *words, "--file", str(tmp_path / "nowhere" / "tokens.yaml")) == 2
    assert says in capsys.readouterr().err
