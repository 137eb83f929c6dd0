"""Who is let in, without any wire."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ramp.errors import Denied, Invalid, NotFound, Unauthenticated
from services.common.access import ANYONE, REPLAY, Access, Client
from services.common.tokens import Role, revoke_tokens
from tests.tokens import know

INFO, DELETE = REPLAY + "Info", REPLAY + "Delete"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    know(tmp_path / "tokens.yaml", "s-arm", Role.ROBOT, "arm-7")
    return tmp_path / "tokens.yaml"


def test_without_tokens_everybody_is_an_operator() -> None:
    access = Access()
    assert not access.asks
    assert access.admit("", DELETE) == access.admit("whatever", INFO) == ANYONE


def test_a_token_is_a_name_and_a_role(path: Path) -> None:
    access = Access(path)
    assert access.asks
    assert access.admit("s-arm", INFO) == Client("arm-7", Role.ROBOT)
    with pytest.raises(Denied, match=r"robot arm-7 may not call Delete; that is for operator"):
        access.admit("s-arm", DELETE)
    with pytest.raises(Denied):
        access.admit("s-arm", "/ramp.v1.Replay/NotYetThere")


def test_a_changed_file_counts_at_once(path: Path) -> None:
    access = Access(path, look_every_s=0.0)
    know(path, "s-ada", Role.OPERATOR, "ada")
    assert access.admit("s-ada", DELETE).name == "ada"
    revoke_tokens(path, "arm-7")
    with pytest.raises(Unauthenticated, match="revoked"):
        access.admit("s-arm", INFO)
    path.unlink()
    assert access.admit("s-ada", DELETE).name == "ada"


def test_the_file_is_not_looked_at_in_every_call(path: Path) -> None:
    access = Access(path, look_every_s=3600.0)
    revoke_tokens(path, "arm-7")
    assert access.admit("s-arm", INFO).name == "arm-7"


def test_a_token_expires_while_the_server_runs(path: Path) -> None:
    expires = datetime(2026, 8, 1, tzinfo=UTC)
    know(path, "s-bob", Role.OPERATOR, "bob", expires=expires)
    clock = [(expires - timedelta(seconds=1)).timestamp()]
    access = Access(path, clock=lambda: clock[0])
    assert access.admit("s-bob", DELETE).name == "bob"
    clock[0] += 1
    with pytest.raises(Unauthenticated, match=r"bob expired at 2026-08-01T00:00\+00:00; `ramp token new`"):
        access.admit("s-bob", DELETE)


def test_secrets_are_never_logged(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    access = Access(path, look_every_s=0.0)
    path.write_text("- s-arm")
    for secret in ("s-arm", "s-wrong"):
        with pytest.raises((Denied, Unauthenticated)) as caught:
            access.admit(secret, DELETE)
        assert secret not in str(caught.value)
    assert "the tokens stay as they were" in caplog.text
    assert "s-arm" not in caplog.text


def test_a_server_does_not_start_on_a_file_that_is_no_good(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        Access(tmp_path / "nowhere")
    (tmp_path / "tokens.yaml").write_text("[]")
    (tmp_path / "tokens.yaml").chmod(0o644)
    with pytest.raises(Invalid):
        Access(tmp_path / "tokens.yaml")


def test_only_robots_are_bound_to_their_own_episodes() -> None:
    Client("arm-7", Role.ROBOT).check_author("arm-7")
    Client("rollouts", Role.ACTOR).check_author("arm-7")
    with pytest.raises(Denied, match="set robot='arm-7'"):
        Client("arm-7", Role.ROBOT).check_author("arm-70")
