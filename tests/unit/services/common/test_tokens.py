"""The file of tokens: what it may say, who may read it, and that a secret is in it nowhere."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ramp.errors import Invalid, NotFound
from services.common.tokens import Role, add_token, digest, new_token, read_tokens, revoke_tokens

NOW = datetime(2026, 5, 1, 8, tzinfo=UTC)
ROW = f"[{{name: a, role: actor, sha256: '{'0' * 64}'"


def test_what_was_added_is_read_and_only_the_digest_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "etc" / "tokens.yaml"
    made = [new_token("arm-7", Role.ROBOT, 90, NOW), new_token("ada", Role.OPERATOR, None, NOW)]
    for token, _ in made:
        add_token(path, token)
    assert read_tokens(path) == [token for token, _ in made]
    assert made[0][0].expires == NOW + timedelta(days=90)
    assert made[1][0].expires is None
    assert path.stat().st_mode & 0o777 == 0o600
    for token, secret in made:
        assert digest(secret) == token.sha256
        assert secret not in path.read_text()


def test_no_two_tokens_are_alike() -> None:
    assert len({new_token("a", Role.ACTOR, None)[1] for _ in range(50)}) == 50


def test_a_name_may_have_several_tokens_of_one_role(tmp_path: Path) -> None:
    path = tmp_path / "tokens.yaml"
    for day in range(3):
        add_token(path, new_token("arm-7", Role.ROBOT, None, NOW + timedelta(days=day))[0])
    with pytest.raises(Invalid, match="arm-7 is robot"):
        add_token(path, new_token("arm-7", Role.ACTOR, None)[0])
    assert revoke_tokens(path, "arm-7", keep_newest=True) == 2
    assert [token.made for token in read_tokens(path)] == [NOW + timedelta(days=2)]
    assert revoke_tokens(path, "arm-7") == 1
    assert read_tokens(path) == []
    with pytest.raises(NotFound, match="nobody"):
        revoke_tokens(path, "arm-7")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{a: b}", "list of tokens"),
        ("a: [", "no YAML"),
        ("\x00", "no YAML"),
        ("[5]", "not a token"),
        ("[{name: a, role: actor}]", "not a token"),
        (ROW + ", admin: true}]", "not a token"),
        (ROW.replace("actor", "king") + "}]", "choose robot"),
        (ROW.replace("0" * 64, "secret") + "}]", "64 hexadecimal"),
        (ROW.replace("name: a", "name: 'a b'") + "}]", "letters, digits"),
        (ROW + ", expires: soon}]", "write it like"),
        (ROW + "}, " + ROW[1:].replace("actor", "robot") + "}]", "choose another name"),
    ],
)
def test_a_file_that_says_something_else_is_refused_by_name(tmp_path: Path, text: str, why: str) -> None:
    path = tmp_path / "tokens.yaml"
    path.touch(mode=0o600)
    path.write_text(text)
    with pytest.raises(Invalid, match=why) as caught:
        read_tokens(path)
    assert "tokens.yaml" in str(caught.value) or caught.value.field in ("name", "role")


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("2026-08-01", datetime(2026, 8, 1, tzinfo=UTC)),
        ("2026-08-01T08:00:00", datetime(2026, 8, 1, 8, tzinfo=UTC)),
        ("'2026-08-01T08:00:00+02:00'", datetime(2026, 8, 1, 6, tzinfo=UTC)),
    ],
)
def test_a_person_may_write_a_date(tmp_path: Path, written: str, meant: datetime) -> None:
    path = tmp_path / "tokens.yaml"
    path.touch(mode=0o600)
    path.write_text(f"{ROW}, expires: {written}}}]")
    assert read_tokens(path)[0].expires == meant


@pytest.mark.parametrize("mode", [0o604, 0o620, 0o602, 0o666])
def test_a_file_that_others_may_read_or_change_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "tokens.yaml"
    path.write_text("[]")
    path.chmod(mode)
    with pytest.raises(Invalid, match="chmod 600"):
        read_tokens(path)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="nowhere"):
        read_tokens(tmp_path / "nowhere")
