"""What is committed beside the protos is what the compiler makes of them."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.sources import ROOT

PROTO = ROOT / "proto"


def test_the_generated_code_is_of_these_protos(tmp_path: Path) -> None:
    if importlib.util.find_spec("grpc_tools") is None:
        pytest.skip("grpcio-tools is not installed; it belongs to the extra `dev`")
    made = subprocess.run(
        [sys.executable, str(PROTO / "generate.py"), str(tmp_path)], capture_output=True, text=True, timeout=120
    )
    assert made.returncode == 0, made.stderr
    fresh = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*_pb2*"))
    kept = sorted(path.relative_to(PROTO) for path in PROTO.rglob("*_pb2*.py*") if "__pycache__" not in path.parts)
    assert fresh == kept
    for path in fresh:
        assert (tmp_path / path).read_text() == (PROTO / path).read_text(), f"run python proto/generate.py: {path}"
