"""The Flight door has the same gate as the gRPC one: TLS, roles, authors, quotas, and tokens that end."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import flight
from rampwire.v1 import replay_pb2 as wire

from ramp.errors import Denied, Full, OverQuota, RampError, Timeout, Unauthenticated
from ramp.replay.shard import Shard, ShardConfig
from ramp.types import Episode, Outcome, SampleSpec
from services.clients.credentials import Credentials
from services.clients.flight import Lanes, answers, open_flight
from services.clients.uploading import Uploader, _requests
from services.common import bulk_codec, codec, quotas
from services.common.quotas import Quota
from services.common.tls import CertificateFiles
from services.common.tokens import Role, revoke_tokens
from services.replay.core import ReplayCore
from services.replay.flight import FlightDoor
from tests.certificates import Authority
from tests.experience import make_header, make_steps
from tests.tokens import SHOWN, TOKEN, gate_knowing, know

SPEC = SampleSpec(table="demos", batch_size=4, chunk=2)
STEPS = [make_steps(0, 8), make_steps(8, 16)]


class House:
    """One shard behind a Flight door of its own."""

    def __init__(self, folder: Path, stack: ExitStack, tls: CertificateFiles | None = None, **bounds: Quota) -> None:
        self.folder, self._stack = folder, stack
        self.shard = Shard(folder / "shard", ShardConfig())
        stack.callback(self.shard.close)
        door = FlightDoor(ReplayCore(self.shard), gate_knowing(folder, **bounds), folder / "shard" / "segments")
        self.bulk = door.start("127.0.0.1", 0, tls)
        self.bulk.nonce = ""  # whatever files a client would find
        stack.callback(door.stop, 0.2)

    def token(self, role: Role, name: str) -> Credentials:
        know(self.folder / "tokens.yaml", f"secret-of-{name}", role, name)
        return Credentials(token=f"secret-of-{name}")

    def door(self, shown: Credentials) -> flight.FlightClient:
        return self._stack.enter_context(open_flight("127.0.0.1:1", self.bulk, shown))

    def send(self, shown: Credentials, name: str = "e0", robot: str = "") -> None:
        """Once: what is refused is not tried again."""
        header = make_header(name)
        header = replace(header, robot=robot or header.robot)
        episode = Episode(header=header, steps=make_steps(0, 16), outcome=Outcome.SUCCESS)
        uploader = Uploader(self.door(shown), shown.metadata())
        uploader._say(_requests(episode, STEPS), time.monotonic() + 60)

    def draw(self, shown: Credentials) -> list[str]:
        return list(Lanes(self.door(shown), shown.metadata(), SPEC, self.bulk)._ask(False).column("episode_id"))


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def test_roles_are_those_of_the_other_door(tmp_path: Path, stack: ExitStack) -> None:
    house = House(tmp_path, stack)
    house.send(SHOWN)
    learner, actor = house.token(Role.LEARNER, "learner-0"), house.token(Role.ACTOR, "actor-0")
    assert len(house.draw(learner)) == SPEC.batch_size
    with pytest.raises(Denied, match="may not call Sample"):
        house.draw(actor)
    with pytest.raises(Denied, match="may not call Append"):
        house.send(learner, "e1")
    with pytest.raises(Unauthenticated, match="no token"):
        house.draw(Credentials())
    house.send(actor, "e1")
    assert [info.episode_id for info in house.shard.query()] == ["e0", "e1"]


def test_a_robot_uploads_what_it_has_done_itself(tmp_path: Path, stack: ExitStack) -> None:
    house = House(tmp_path, stack)
    arm = house.token(Role.ROBOT, "arm-7")
    house.send(arm, robot="arm-7")
    with pytest.raises(Denied, match="may not append episodes of 'arm-8'"):
        house.send(arm, "e1", robot="arm-8")
    assert [info.episode_id for info in house.shard.query()] == ["e0"]


def test_a_token_that_is_revoked_ends_a_stream_that_lives(tmp_path: Path, stack: ExitStack) -> None:
    house = House(tmp_path, stack)
    shown = house.token(Role.ACTOR, "actor-0")
    options = flight.FlightCallOptions(headers=[(b"authorization", f"Bearer {shown.token}".encode())])
    command = flight.FlightDescriptor.for_command(bulk_codec.APPEND)
    writer, answered = house.door(shown).do_put(command, pa.schema([]), options)

    def said(name: str) -> wire.Appended:
        writer.write_metadata(bulk_codec.append_to_buffer(codec.open_request(make_header(name))))
        return wire.Appended.FromString(answered.read().to_pybytes())

    assert not said("e0").HasField("error")
    revoke_tokens(tmp_path / "tokens.yaml", "actor-0")
    assert said("e1").error.code == "UNAUTHENTICATED"
    writer.close()


def test_quotas_hold_at_both_doors(tmp_path: Path, stack: ExitStack, monkeypatch: pytest.MonkeyPatch) -> None:
    small = Quota(mib_s=0.001)
    house = House(tmp_path, stack, robot=small, learner=small)
    monkeypatch.setattr(quotas, "BURST_S", 1e-9)
    arm, learner = house.token(Role.ROBOT, "arm-7"), house.token(Role.LEARNER, "learner-0")
    with pytest.raises(OverQuota, match="MiB/s"):
        house.send(arm, robot="arm-7")
    house.send(SHOWN, "e1")
    house.draw(learner)
    with pytest.raises(Timeout, match="quota"):
        house.draw(learner)


def test_a_client_s_calls_are_bounded(tmp_path: Path, stack: ExitStack) -> None:
    house = House(tmp_path, stack, actor=Quota(calls=1))
    shown = house.token(Role.ACTOR, "actor-0")
    options = flight.FlightCallOptions(headers=[(b"authorization", f"Bearer {shown.token}".encode())])
    command = flight.FlightDescriptor.for_command(bulk_codec.APPEND)
    writer, answered = house.door(shown).do_put(command, pa.schema([]), options)
    writer.write_metadata(bulk_codec.append_to_buffer(codec.open_request(make_header("e1"))))
    assert answered.read() is not None  # the first call stands
    with pytest.raises(Full, match="at once"):
        house.send(shown)
    writer.close()


@pytest.mark.parametrize("mutual", [False, True])
def test_bulk_data_crosses_encrypted(tmp_path: Path, stack: ExitStack, mutual: bool) -> None:
    ours, theirs = Authority(tmp_path / "ours", "ours"), Authority(tmp_path / "theirs", "theirs")
    files = replace(ours.issue("replay"), client_ca=theirs.path if mutual else None)
    house = House(tmp_path, stack, files)
    own = theirs.issue("arm") if mutual else None
    shown = Credentials(
        token=TOKEN, ca=ours.path, certificate=own.certificate if own else None, key=own.key if own else None
    )
    assert answers(house.door(shown), shown.metadata())
    house.send(shown)
    assert len(house.draw(shown)) == SPEC.batch_size
    strangers = [SHOWN, replace(shown, ca=theirs.path)] + ([Credentials(token=TOKEN, ca=ours.path)] if mutual else [])
    for stranger in strangers:
        assert not answers(house.door(stranger), stranger.metadata())
        with pytest.raises(RampError):
            house.draw(stranger)
