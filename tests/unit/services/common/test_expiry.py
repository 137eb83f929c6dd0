"""The first certificate of a file to expire is the one that counts, and a renewed one is told at once."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from ramp.errors import Invalid
from services.common.certificates import Certificates
from services.common.expiry import expires_at
from tests.certificates import Authority
from tests.told import told

DAY = 86_400


def test_of_a_chain_the_first_to_expire_counts(tmp_path: Path) -> None:
    authority = Authority(tmp_path, "ca")
    late, early = (authority.issue(name, days=days).certificate for name, days in (("late", 8), ("early", 2)))
    late.write_bytes(late.read_bytes() + early.read_bytes())
    assert expires_at(late) == expires_at(early) == pytest.approx(time.time() + 2 * DAY, abs=60)


def test_what_is_no_certificate_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.pem").write_text("nothing")
    with pytest.raises(Invalid, match="PEM"):
        expires_at(tmp_path / "x.pem")


def test_a_server_tells_when_its_certificates_expire_and_after_a_renewal_anew(tmp_path: Path) -> None:
    authority = Authority(tmp_path, "ca")
    files = replace(authority.issue("server", days=3), client_ca=authority.path)
    shown = Certificates(files)
    shown.credentials()
    name = "ramp_process_certificate_expiry_seconds"
    assert told(name, what="certificate") == pytest.approx(time.time() + 3 * DAY, abs=60)
    assert told(name, what="client_ca") == pytest.approx(time.time() + 10 * DAY, abs=60)
    authority.issue("server", days=6)
    assert shown._renewed() is not None
    assert told(name, what="certificate") == pytest.approx(time.time() + 6 * DAY, abs=60)
