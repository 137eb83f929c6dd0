"""TLS and mTLS at a real server: who is connected, and what the others are told."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from ramp.errors import Invalid, NotFound, RampError, Unauthenticated, Unavailable
from ramp.replay.shard import Shard, ShardConfig
from services.clients.credentials import Credentials
from services.clients.handshake import shown_until
from services.clients.replay import ReplayClient
from services.common.tls import CertificateFiles
from services.replay.core import ReplayCore
from services.replay.flight import FlightDoor
from services.replay.server import ReplayServer
from tests.certificates import Authority
from tests.experience import make_header, store_episode
from tests.tokens import SHOWN, TOKEN, gate_knowing

WAIT_S = 20.0  # for what must not take so long


class House:
    """One shard; servers before it come and go."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder, self._stack = folder, stack
        self.ours, self.theirs = Authority(folder / "ours", "ours"), Authority(folder / "theirs", "theirs")
        self.gate = gate_knowing(folder)
        self.shard = Shard(folder / "shard", ShardConfig())
        stack.callback(self.shard.close)

    def serve(self, tls: CertificateFiles | None) -> str:
        server = ReplayServer(ReplayCore(self.shard), self.gate)
        self._stack.callback(server.stop, 0.1)
        return f"127.0.0.1:{server.start('127.0.0.1', 0, tls)}"

    def client(self, address: str, shown: Credentials) -> ReplayClient:
        return self._stack.enter_context(ReplayClient(address, name="test", credentials=shown))

    def trouble(self, address: str, shown: Credentials) -> RampError:
        client = self.client(address, shown)
        with pytest.raises(RampError) as caught:
            client.info(timeout=1.0)
        return caught.value

    def trusting(self, authority: Authority, own: CertificateFiles | None = None) -> Credentials:
        certificate, key = (own.certificate, own.key) if own else (None, None)
        return Credentials(token=TOKEN, ca=authority.path, certificate=certificate, key=key)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with ExitStack() as stack:
        yield House(tmp_path, stack)


def test_an_episode_crosses_encrypted(house: House) -> None:
    client = house.client(house.serve(house.ours.issue("replay")), house.trusting(house.ours))
    client.wait_ready(WAIT_S)
    store_episode(client, "e0")
    assert client.fetch("e0").header.episode_id == "e0"
    with pytest.raises(Unauthenticated, match="no token"):
        house.client(client.address, Credentials(ca=house.ours.path)).info()


def test_a_server_of_another_ca_is_not_trusted_and_nobody_waits(house: House) -> None:
    address = house.serve(house.ours.issue("replay"))
    error = house.trouble(address, house.trusting(house.theirs))
    assert isinstance(error, Unauthenticated)
    assert "replay.tls.ca" in str(error)
    stranger = house.client(address, house.trusting(house.theirs))
    with pytest.raises(Unauthenticated, match=r"replay\.tls\.ca"):
        stranger.wait_ready(600.0)
    with pytest.raises(Unauthenticated):
        stranger.open(make_header())


def test_an_expired_certificate_and_one_of_another_host_are_told_apart(house: House) -> None:
    expired = house.trouble(house.serve(house.ours.issue("old", days=-1)), house.trusting(house.ours))
    elsewhere = house.trouble(house.serve(house.ours.issue("far", host="10.9.8.7")), house.trusting(house.ours))
    assert isinstance(expired, Unauthenticated)
    assert "expired" in str(expired)
    assert isinstance(elsewhere, Unauthenticated)
    assert "another host" in str(elsewhere)


def test_plaintext_and_tls_do_not_wait_for_each_other(house: House) -> None:
    plain = house.trouble(house.serve(house.ours.issue("replay")), SHOWN)
    assert isinstance(plain, Unavailable)
    assert "it may want TLS" in str(plain)
    crypted = house.trouble(house.serve(None), house.trusting(house.ours))
    assert isinstance(crypted, Unavailable)
    assert "does not speak TLS" in str(crypted)


def test_with_a_client_ca_only_its_clients_are_served(house: House) -> None:
    address = house.serve(replace(house.ours.issue("replay"), client_ca=house.theirs.path))
    assert house.client(address, house.trusting(house.ours, house.theirs.issue("arm"))).info().open_episodes == 0
    for own in (None, house.ours.issue("stranger")):
        error = house.trouble(address, house.trusting(house.ours, own))
        assert isinstance(error, Unavailable)
        assert "client certificate" in str(error)


def test_a_renewed_certificate_is_shown_to_the_next_connection(house: House) -> None:
    files = house.ours.issue("replay")
    address = house.serve(files)
    before = house.client(address, house.trusting(house.ours))
    before.info()
    files.key.write_bytes(house.theirs.issue("replay").key.read_bytes())  # half renewed: the old one goes on
    house.client(address, house.trusting(house.ours)).info()
    os.replace(house.theirs.issue("replay").key, files.key)
    new = house.theirs.issue("replay")
    os.replace(new.certificate, files.certificate)
    os.replace(new.key, files.key)
    house.client(address, house.trusting(house.theirs)).info()
    assert isinstance(house.trouble(address, house.trusting(house.ours)), Unauthenticated)
    before.info()  # a connection that stands goes on


def test_both_doors_show_a_renewed_certificate_flight_after_its_next_start(house: House) -> None:
    """Rotation as docs/operations.md has it: renew, then drain and restart; `ramp doctor --cluster` sees the same."""
    files, shown = house.ours.issue("replay", days=5), house.trusting(house.ours)
    address, door = house.serve(files), FlightDoor(ReplayCore(house.shard), house.gate, house.folder / "segments")
    (house.folder / "segments").mkdir()
    bulk = f"127.0.0.1:{door.start('127.0.0.1', 0, files).flight_port}"

    def days(place: str) -> int:
        return round((shown_until(place, shown) - time.time()) / 86_400)

    assert (days(address), days(bulk)) == (5, 5)
    house.ours.issue("replay", days=9)
    assert (days(address), days(bulk)) == (9, 5)
    assert door.stop()
    again = FlightDoor(ReplayCore(house.shard), house.gate, house.folder / "segments")
    bulk = f"127.0.0.1:{again.start('127.0.0.1', 0, files).flight_port}"
    assert days(bulk) == 9
    assert again.stop()
    with pytest.raises(Unauthenticated):
        shown_until(address, house.trusting(house.theirs))


def test_files_that_do_not_fit_are_refused_before_anything_is_served(house: House) -> None:
    files, other = house.ours.issue("replay"), house.ours.issue("other")
    with pytest.raises(Invalid, match="PEM chain that fits"):
        house.serve(replace(files, key=other.key))
    with pytest.raises(NotFound, match="certificate"):
        house.serve(replace(files, certificate=house.folder / "nowhere"))
    with pytest.raises(Invalid, match="PEM certificate"):
        house.serve(replace(files, client_ca=files.key))
    files.key.chmod(0o644)
    with pytest.raises(Invalid, match="chmod 600"):
        house.serve(files)


def test_half_a_set_of_credentials_is_refused_by_the_client(house: House) -> None:
    files = house.ours.issue("arm")
    for shown in (
        Credentials(ca=house.ours.path, certificate=files.certificate),
        Credentials(certificate=files.certificate, key=files.key),
        Credentials(token="two words"),
        Credentials(token="line\n"),
    ):
        with pytest.raises(Invalid):
            ReplayClient("127.0.0.1:1", name="test", credentials=shown)
    with pytest.raises(NotFound, match="nowhere"):
        ReplayClient("127.0.0.1:1", name="test", credentials=Credentials(ca=house.folder / "nowhere"))


def test_a_token_does_not_show_where_credentials_are_printed() -> None:
    assert TOKEN not in repr(SHOWN)
