"""Compiled layers, and whole decisions recorded as one CUDA graph."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn

from ramp.models.vla import PaliGemmaPolicy
from ramp.models.world import WanWorldModel
from ramp.models.world.wan_predictor import WanPredictor

Decision = Callable[[Mapping[str, Tensor]], Tensor]


def compile_layers(model: PaliGemmaPolicy | WanWorldModel, backend: str | Callable[..., Any]) -> None:
    """Compile every repeated layer in place, without a graph break (torch.compile refuses one). Layers of one kind
    share the code, so that 30 of them are compiled once."""
    for layer in repeated(model):
        layer.compile(backend=backend, fullgraph=True, dynamic=False)


def repeated(model: PaliGemmaPolicy | WanWorldModel) -> Iterator[nn.Module]:
    """The layers that nearly all the work is in. The frozen image tokenizer is left as it is."""
    if isinstance(model, WanWorldModel):
        yield from cast(WanPredictor, model.predictor).transformer.blocks
        return
    yield from model.prefix.backbone.model.vision_tower.encoder.layers
    yield from model.prefix.backbone.model.language_model.layers
    yield from model.expert.layers


def backend_of(device: torch.device) -> str:
    """Inductor's kernels on a GPU; without one the same graphs, run operation by operation, need no C++ compiler."""
    return "inductor" if device.type == "cuda" else "aot_eager"


class Recorded:
    """A decision whose thousands of kernels start at once: recorded on its first inputs, replayed on others of the same
    shapes. `generator` is the one that it draws from, on the same device."""

    def __init__(self, decide: Decision, inputs: Mapping[str, Tensor], generator: torch.Generator) -> None:
        self.inputs = {name: tensor.clone() for name, tensor in inputs.items()}
        self._warm(decide)
        self.graph = torch.cuda.CUDAGraph()
        self.graph.register_generator_state(generator)
        with torch.cuda.graph(self.graph):
            self.answer = decide(self.inputs)

    def __call__(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """The answer; the next call overwrites it."""
        for name, tensor in self.inputs.items():
            tensor.copy_(inputs[name])
        self.graph.replay()
        return self.answer

    def _warm(self, decide: Decision) -> None:
        """What happens at first only (compiling, choosing kernels, allocating workspaces) cannot be recorded."""
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(3):
                decide(self.inputs)
        torch.cuda.current_stream().wait_stream(aside)
