"""The command says what it needs where there is no GPU; pieces are published one by one."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from benchmarks.gpu import __main__ as command
from benchmarks.gpu.child import PIECES
from benchmarks.gpu.options import Options
from benchmarks.page import GPU_PIECES, NOT_RUN, page
from benchmarks.runs import MeasurementError
from services.conductor.record import Result, load

RESULT = Result(
    name="gpu_policy",
    command="python -m benchmarks.gpu policy",
    commit="0123456789abcdef",
    date="2026-11-21T10:00:00+00:00",
    machine={"gpu": "some card", "gpu_memory_bytes": 141 << 30},
    seeds=(0,),
    seconds=240.0,
    rows=({"name": "policy: MFU", "ratio": 0.47, "target": 0.45, "met": True},),
)


def call(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["benchmarks.gpu", *words])
    return command.main()


@pytest.mark.parametrize(
    ("version", "says"), [(None, "torch built for it"), ("13.0", "not run: needs a CUDA GPU; torch sees none here")]
)
def test_without_a_gpu_it_says_so_in_one_line_and_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], version: str | None, says: str
) -> None:
    monkeypatch.setattr(torch.version, "cuda", version)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert call(monkeypatch, "policy") == command.NO_GPU
    said = capsys.readouterr().err
    assert says in said
    assert said.count("\n") == 1


def test_without_its_libraries_it_names_them(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "find_spec", lambda name: None if name in ("deepspeed", "diffusers") else name)
    assert call(monkeypatch, "--small") == command.NO_GPU
    assert "needs deepspeed, diffusers" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["training"], "there are policy, world, latency"),
        (["--batch", "4"], "name policy or world"),
        (["world", "--layers", "0"], "invalid positive value"),
    ],
)
def test_what_cannot_be_measured_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str], says: str
) -> None:
    with pytest.raises(SystemExit):
        call(monkeypatch, *words)
    assert says in capsys.readouterr().err


def test_small_runs_measure_every_piece_and_write_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(command, "publish", lambda result: pytest.fail("published"))
    monkeypatch.setattr(command, "measure", lambda piece, options: asked.append((piece, options.small)) or RESULT)
    assert call(monkeypatch, "--small") == 0
    assert asked == [("policy", True), ("world", True), ("latency", True)]


def test_a_piece_that_fails_does_not_take_the_others_with_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    published = []

    def measure(piece: str, options: Options) -> Result:
        if piece == "world":
            raise MeasurementError("world: not measured")
        return RESULT

    monkeypatch.setattr(command, "lacking", lambda options: None)
    monkeypatch.setattr(command, "measure", measure)
    monkeypatch.setattr(command, "publish", published.append)
    assert call(monkeypatch) == 1
    assert len(published) == 2
    assert "world: not measured" in capsys.readouterr().err


def test_a_piece_is_measured_in_a_process_of_its_own() -> None:
    result = command.measure("latency", Options(small=True))
    assert result.name == "gpu_latency"
    assert result.command == "python -m benchmarks.gpu latency --small"
    assert [row["name"] for row in result.rows] == ["chunk, tiny, efficient mode", "chunk, tiny, standard mode"]
    assert result.machine["torch"] == torch.__version__
    assert "host" not in result.machine


def test_every_piece_that_the_page_names_can_be_measured() -> None:
    assert tuple(PIECES) == GPU_PIECES


def test_a_piece_is_kept_beside_the_others(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(command, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(command, "PAGE", tmp_path / "page.md")
    command.publish(RESULT)
    text = (tmp_path / "page.md").read_text()
    assert load(tmp_path / "results") == [RESULT]
    assert "| policy: MFU | 0.47 | 0.45 |" in text
    assert "gpu some card, gpu_memory_bytes 141 GiB" in text
    assert f"### gpu_world\n\n{NOT_RUN}\n" in text


def test_the_page_says_that_nothing_was_measured() -> None:
    assert page([]).endswith(f"## Full size on one GPU\n\n{NOT_RUN}\n")
    assert NOT_RUN == "not run: needs a CUDA GPU; `make bench-gpu`"
