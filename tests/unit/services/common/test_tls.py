"""Where a server may listen without TLS and tokens."""

from __future__ import annotations

import pytest

from ramp.errors import Invalid
from services.common.tls import check_exposure


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "::1", "[::1]", "localhost"])
def test_on_this_machine_a_server_may_be_open(host: str) -> None:
    check_exposure(host, tls=False, tokens=False, exposed=False)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.1.2.3", "replay.example", "", "localhost.example"])
@pytest.mark.parametrize(
    ("tls", "tokens", "missing"), [(False, False, "TLS and tokens"), (True, False, "tokens"), (False, True, "TLS")]
)
def test_for_other_machines_it_may_not_unless_that_is_meant(host: str, tls: bool, tokens: bool, missing: str) -> None:
    with pytest.raises(Invalid, match=f"without {missing}$|without {missing};") as caught:
        check_exposure(host, tls=tls, tokens=tokens, exposed=False)
    assert "replay.exposed=true" in caught.value.remedy
    check_exposure(host, tls=tls, tokens=tokens, exposed=True)
    check_exposure(host, tls=True, tokens=True, exposed=False)
