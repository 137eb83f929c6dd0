"""The latency piece through its real path, and that compiled layers answer as the others do."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from benchmarks.gpu.compiled import compile_layers, repeated
from benchmarks.gpu.latency import AIMS, Decider, latency, prepared
from benchmarks.gpu.options import Options
from benchmarks.gpu.sizes import SMALL, new_policy, new_world, noise_batch

CPU = torch.device("cpu")
FLOAT = replace(SMALL, dtype=torch.float32)


def test_both_modes_are_measured_and_compared_with_what_was_not_compiled() -> None:
    rows = latency(Options(small=True))
    assert [row["aim"] for row in rows] == [AIMS["efficient"], AIMS["standard"]] == [60.0, 250.0]
    for row in rows:
        assert row["value"] > 0.0
        assert row["met"] == (row["value"] < row["aim"])
        assert (row["euler_steps"], row["cameras"]) == (10, 2)
        assert row["largest_difference"] <= 0.02 * row["largest_action"]


@pytest.mark.parametrize("standard", [False, True], ids=["efficient", "standard"])
def test_compiled_layers_act_as_the_others_do(standard: bool) -> None:
    policy, world = prepared(new_policy(FLOAT, CPU), CPU), prepared(new_world(FLOAT, CPU), CPU)
    decider = Decider(policy, world if standard else None, CPU)
    inputs = noise_batch(FLOAT, 1, CPU)
    decider.generator.manual_seed(0)
    with torch.compiler.set_stance("force_eager"):
        plain = decider(inputs)
    decider.generator.manual_seed(0)
    torch.testing.assert_close(decider(inputs), plain, rtol=1e-4, atol=1e-5)


def test_layers_of_one_kind_are_compiled_once() -> None:
    """SigLIP's, Gemma's, the expert's and Wan's: four graphs for eight layers, and none is broken off."""
    torch._dynamo.reset()
    graphs = []

    def counting(graph: torch.fx.GraphModule, example: list[torch.Tensor]) -> object:
        graphs.append(graph)
        return graph.forward

    policy, world = new_policy(FLOAT, CPU).eval(), new_world(FLOAT, CPU).eval()
    for model in (policy, world):
        compile_layers(model, counting)
    Decider(policy, world, CPU)(noise_batch(FLOAT, 1, CPU))
    assert len(list(repeated(policy))) + len(list(repeated(world))) == 8
    assert len(graphs) == 4
