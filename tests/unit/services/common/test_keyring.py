"""A run's own tokens are made once, and again where one was lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from ramp.errors import Invalid, NotFound
from services.clients.credentials import own_credentials
from services.common.access import Access
from services.common.keyring import own_secret, provide, tokens_file
from services.common.settings import Settings, compose
from services.common.tokens import Role, revoke_tokens

INFO = "/ramp.v1.Replay/Info"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return compose("counting", None, [f"dir={tmp_path / 'run 1'}"])


def test_every_role_of_a_run_gets_a_token_that_opens_its_server(settings: Settings) -> None:
    assert own_secret(settings, Role.ACTOR) == own_credentials(settings, Role.ACTOR).token == ""
    made = provide(settings)
    assert [token.name for token in made] == ["run-1-actor", "run-1-learner", "run-1-operator"]
    access = Access(tokens_file(settings))
    for role in (Role.ACTOR, Role.LEARNER, Role.OPERATOR):
        assert access.admit(own_credentials(settings, role).token, INFO).role is role
        assert (Path(settings.dir) / "secrets" / role).stat().st_mode & 0o077 == 0


def test_they_are_kept_over_a_restart_and_made_again_where_one_was_lost(settings: Settings) -> None:
    provide(settings)
    kept = own_secret(settings, Role.LEARNER)
    assert provide(settings) == []
    (Path(settings.dir) / "secrets" / "actor").unlink()
    revoke_tokens(tokens_file(settings), "run-1-operator")
    assert [token.role for token in provide(settings)] == [Role.ACTOR, Role.OPERATOR]
    assert own_secret(settings, Role.LEARNER) == kept


def test_tokens_of_a_server_elsewhere_come_from_a_folder(tmp_path: Path) -> None:
    settings = compose("counting", None, ["replay.address=replay.example:7001", f"replay.secrets={tmp_path}"])
    with pytest.raises(NotFound, match="actor"):
        own_secret(settings, Role.ACTOR)
    secret = tmp_path / "actor"
    secret.touch(mode=0o640)
    secret.write_text("ramp_secret\n")
    assert own_secret(settings, Role.ACTOR) == "ramp_secret"
    secret.chmod(0o644)
    with pytest.raises(Invalid, match="chmod 600"):
        own_secret(settings, Role.ACTOR)
