"""Connections to one port are found among all that a process has open, and the kernel asks whether they still live."""

from __future__ import annotations

import socket
from contextlib import ExitStack

from services.replay import vanished
from services.replay.vanished import Keepalive, connections


def test_the_server_end_of_every_connection_is_told_and_no_other(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    with ExitStack() as stack:
        door, other = (stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(2))
        clients = [stack.enter_context(socket.create_connection(door.getsockname())) for _ in range(2)]
        stranger = stack.enter_context(socket.create_connection(other.getsockname()))
        served = [stack.enter_context(door.accept()[0]) for _ in clients]
        elsewhere = stack.enter_context(other.accept()[0])
        port = door.getsockname()[1]
        assert {peer for peer, _ in connections(port)} == {client.getsockname() for client in clients}

        upkeep, told = Keepalive(port), list[object]()
        assert upkeep.turn()
        for each in served:
            assert each.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            assert each.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == vanished.IDLE_S
        for each in (*clients, stranger, elsewhere):
            assert not each.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)

        monkeypatch.setattr(vanished, "ask", told.append)
        assert upkeep.turn()
        assert told == [], "each is told once"
