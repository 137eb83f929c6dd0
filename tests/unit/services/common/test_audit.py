"""What was done is written down, by whom and why, whatever else happens."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from ramp.errors import NotFound
from services.common.audit import Audit, audit_log


def test_a_line_says_who_did_what_and_how_it_went(tmp_path: Path) -> None:
    path = audit_log(tmp_path / "tokens.yaml")
    audit = Audit(path)
    with audit.act("ada", "operator", "Delete", episodes=["größe"], reason='quotes " and\nlines'):
        pass
    with pytest.raises(NotFound), Audit(path).act("ada", "operator", "DropSnapshot", name="friday"):
        raise NotFound("no friday")
    done, refused = (json.loads(line) for line in path.read_text().splitlines())
    assert (done["who"], done["role"], done["what"], done["result"]) == ("ada", "operator", "Delete", "done")
    assert (done["episodes"], done["reason"]) == (["größe"], 'quotes " and\nlines')
    assert refused["result"] == "refused: no friday"
    assert path.stat().st_mode & 0o007 == 0


def test_a_full_disk_does_not_undo_what_was_done(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "logs").write_text("not a folder")
    with caplog.at_level(logging.ERROR):
        Audit(tmp_path / "logs" / "audit.jsonl").write("ada", "operator", "Delete", reason="a test")
    assert "a test" in caplog.text


def test_without_a_path_nothing_is_written() -> None:
    Audit().write("ada", "operator", "Delete")
