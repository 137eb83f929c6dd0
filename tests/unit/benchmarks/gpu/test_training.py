"""The training piece, through its real path: planned, compiled, DeepSpeed in bfloat16, timed. Its figures mean nothing
at this size."""

from __future__ import annotations

import json

import pytest

from benchmarks.gpu import training
from benchmarks.gpu.options import Options
from ramp.errors import Invalid


@pytest.mark.parametrize(("piece", "layers"), [(training.policy, 0), (training.world, 1)])
def test_a_step_is_measured_against_what_the_device_can_do(
    piece: object, layers: int, capsys: pytest.CaptureFixture[str]
) -> None:
    (row,) = piece(Options(small=True, batch=2, layers=layers))
    assert row["ratio"] == pytest.approx(row["TFLOP_per_s"] / row["peak_TFLOP_per_s"])
    assert row["TFLOP_per_s"] == pytest.approx(2 * row["model_TFLOP_per_sample"] / row["s_per_step"])
    assert row["met"] == (row["ratio"] >= row["target"])
    assert (row["batch"], row["zero_stage"]) == (2, 0)
    assert row["layers"] == ("1 of 2" if layers else "2 of 2")
    json.dumps(row)
    said = capsys.readouterr().out
    assert "ZeRO stage 0, nothing offloaded" in said
    assert ("ONLY 1 of 2 layers" in said) == bool(layers)


def test_more_layers_than_there_are_are_refused() -> None:
    with pytest.raises(Invalid, match="the policy has 2"):
        training.policy(Options(small=True, layers=3))
