"""A child's lines are told as they come; its last word is what it has found."""

from __future__ import annotations

from pathlib import Path

import pytest

from ramp.errors import RampError
from services.conductor.study.child import Said, ask


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a module `saying` may be written that a child finds."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return tmp_path / "saying.py"


def asked(folder: Path, *words: str) -> tuple[Said, list[Said]]:
    told: list[Said] = []
    return ask("saying", words, folder / "log", told.append), told


def test_updates_are_told_and_the_last_word_is_returned(module: Path, tmp_path: Path) -> None:
    module.write_text("""import sys
print("DeepSpeed greets")
print('{"update": 1, "of": 2}')
print('{"found": "%s"}' % sys.argv[1])
print("warned", file=sys.stderr)""")

    assert asked(tmp_path, "word") == ({"found": "word"}, [{"update": 1, "of": 2}])
    assert (tmp_path / "log").read_text() == "warned\n"


@pytest.mark.parametrize("text", ["raise SystemExit(1)", "print('{\"found\": 1}'); raise SystemExit(1)", "pass"])
def test_a_child_that_fails_or_finds_nothing_is_named_with_its_log(module: Path, tmp_path: Path, text: str) -> None:
    module.write_text(text)
    with pytest.raises(RampError, match=r"training failed \(a\.b=1\): see .*log"):
        asked(tmp_path, "a.b=1")


def test_a_child_ends_with_whoever_asks(module: Path, tmp_path: Path) -> None:
    module.write_text("print('{\"update\": 1}', flush=True)\nimport threading\nthreading.Event().wait()")

    def stop(_: Said) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ask("saying", [], tmp_path / "log", stop)
