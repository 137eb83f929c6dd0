"""Where Reverb cannot be had, the reason is one line."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks.peers.reverb_home import PACKAGES, reverb_python
from benchmarks.runs import MeasurementError


def home(folder: Path, script: str) -> Path:
    """An environment that looks installed, and whose interpreter does this."""
    python = folder / "bin" / "python"
    python.parent.mkdir()
    python.write_text(f"#!/bin/sh\n{script}\n")
    python.chmod(0o755)
    (folder / "ready").write_text("\n".join(PACKAGES))
    return folder


def test_an_installed_one_is_used_as_it_is(tmp_path: Path) -> None:
    assert reverb_python(home(tmp_path, "exit 0")) == tmp_path / "bin" / "python"


def test_one_that_cannot_be_imported_is_refused_with_its_last_words(tmp_path: Path) -> None:
    with pytest.raises(MeasurementError, match=r"Reverb cannot be had here: ImportError: no libpython"):
        reverb_python(home(tmp_path, "echo first >&2; echo 'ImportError: no libpython' >&2; exit 1"))


def test_where_nothing_can_be_installed_the_reason_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "executable", str(home(tmp_path, "echo no network >&2; exit 1") / "bin" / "python"))

    with pytest.raises(MeasurementError, match="no network"):
        reverb_python(tmp_path / "other")
    assert "installing dm-reverb" in capsys.readouterr().out
