"""The probe against real servers, with and without TLS."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from services.clients.probe import main
from services.common.certificates import Certificates
from services.common.server import Bounds, Server
from services.common.settings import child_environment
from tests.certificates import Authority
from tests.unit.sources import ROOT


@contextmanager
def serving(tls: Certificates | None = None) -> Iterator[tuple[Server, str]]:
    server = Server(Bounds(calls=2), ())
    try:
        yield server, f"127.0.0.1:{server.start('127.0.0.1', 0, ('test.Echo',), tls)}"
    finally:
        server.stop(0.1)


def test_it_says_whether_a_server_and_its_services_serve(capsys: pytest.CaptureFixture[str]) -> None:
    with serving() as (server, address):
        assert main([address]) == main([address, "--service", "test.Echo"]) == 0
        assert main([address, "--service", "test.Other"]) == 1
        server.retire()
        assert main([address]) == 1
    assert main([address]) == 1
    said = [line.removeprefix(address).split(":")[0].strip() for line in capsys.readouterr().out.splitlines()]
    assert said == ["SERVING", "SERVING", "NOT_FOUND", "NOT_SERVING", "UNAVAILABLE"]


def test_it_knows_a_server_by_its_ca(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ours, theirs = Authority(tmp_path / "ours", "ours"), Authority(tmp_path / "theirs", "theirs")
    with serving(Certificates(ours.issue("server", host="10.1.2.3"))) as (_, address):
        assert main([address, "--ca", str(ours.path), "--name", "10.1.2.3"]) == 0
        assert main([address, "--ca", str(ours.path)]) == 1, "the certificate is another host's"
        assert main([address, "--ca", str(theirs.path), "--name", "10.1.2.3"]) == 1
        assert main([address, "--ca", str(tmp_path / "none.pem")]) == 1
    assert "none.pem" in capsys.readouterr().out


def test_it_imports_little() -> None:
    """A pod is asked every few seconds."""
    heavy = {"torch", "numpy", "pyarrow", "yaml", "pydantic", "google.protobuf"}
    code = f"import sys, services.clients.probe; sys.exit(len({heavy} & set(sys.modules)))"
    environment = child_environment(PYTHONPATH=f"{ROOT}:{ROOT / 'proto'}")

    assert subprocess.run([sys.executable, "-c", code], env=environment, timeout=60).returncode == 0
