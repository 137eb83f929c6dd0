"""From an observation in the host's memory to an action chunk there: one robot, efficient and standard mode."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor

from benchmarks.gpu.card import forget_peak, peak_bytes
from benchmarks.gpu.compiled import Decision, Recorded, backend_of, compile_layers
from benchmarks.gpu.memory import GB
from benchmarks.gpu.options import Options
from benchmarks.gpu.progress import say
from benchmarks.gpu.sizes import FULL, SMALL, Size, new_policy, new_world, noise_batch
from ramp.evaluation.latency import REPEATS, median_seconds
from ramp.models.agent import POSITIVE
from ramp.models.vla import PaliGemmaPolicy
from ramp.models.world import WanWorldModel
from services.learner.engine import training_device

AIMS = {"efficient": 60.0, "standard": 250.0}
"""Milliseconds a chunk, of each mode."""
Model = TypeVar("Model", PaliGemmaPolicy, WanWorldModel)
OBSERVED = ("images", "proprio", "words")


def latency(options: Options) -> list[dict[str, Any]]:
    """A row per mode. The world model is made after the efficient mode was measured, which does not need it."""
    size, device = SMALL if options.small else FULL, training_device()
    say(f"random weights of the policy, made on {device}")
    policy = prepared(new_policy(size, device), device)
    rows = [_measure("efficient", size, Decider(policy, None, device))]
    say("random weights of the world model")
    world = prepared(new_world(size, device), device)
    return [*rows, _measure("standard", size, Decider(policy, world, device))]


class Decider:
    """An agent's decision without units and bounds: the world model's one step where there is one, then the policy."""

    def __init__(self, policy: PaliGemmaPolicy, world: WanWorldModel | None, device: torch.device) -> None:
        self.policy, self.world, self.device = policy, world, device
        self.generator = torch.Generator(device)
        self.indicator = torch.full((1,), POSITIVE, device=device)

    @torch.no_grad()
    def __call__(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """A normalised chunk [1, H, A]; inputs on the device."""
        tokens = None if self.world is None else self.world.predict(inputs, generator=self.generator).tokens
        return self.policy.act(inputs, tokens, self.indicator, generator=self.generator)

    def recorded(self, inputs: Mapping[str, Tensor]) -> Decision:
        """Started as a whole, where the device can do that."""
        return Recorded(self, inputs, self.generator) if self.device.type == "cuda" else self


def prepared(model: Model, device: torch.device) -> Model:
    """For inference, compiled. No weights are all 0, as those of the gates of a new expert are: nothing would reach the
    actions, and nothing could be compared."""
    with torch.no_grad():
        for parameter in model.parameters():
            if not parameter.any():
                parameter.normal_(std=0.02)
    compile_layers(model, backend_of(device))
    return model.eval()


def _measure(mode: str, size: Size, decider: Decider) -> dict[str, Any]:
    """Median milliseconds, operation by operation and recorded; how far the two chunks of one seed are apart."""
    device = decider.device
    inputs = {name: tensor for name, tensor in noise_batch(size, 1, device).items() if name in OBSERVED}
    say(f"{mode} mode: {REPEATS} chunks, operation by operation")
    with torch.compiler.set_stance("force_eager"):
        plain, plain_seconds = _timed(decider, inputs, decider)
    say(f"median {1e3 * plain_seconds:.4g} ms; now compiled, and recorded where there is a GPU")
    forget_peak(device)
    chunk, seconds = _timed(decider.recorded(inputs), inputs, decider)
    say(f"median {1e3 * seconds:.4g} ms")
    row = {
        "name": f"chunk, {size.name}, {mode} mode",
        "value": 1e3 * seconds,
        "unit": "ms",
        "aim": AIMS[mode],
        "met": 1e3 * seconds < AIMS[mode],
        "uncompiled_ms": 1e3 * plain_seconds,
        "largest_difference": float((chunk - plain).abs().max()),
        "largest_action": float(plain.abs().max()),
        "euler_steps": size.policy.ode_steps,
        "cameras": len(size.schema.cameras),
        "pixels": next(iter(size.schema.cameras.values()))[0],
        "chunks": REPEATS,
    }
    memory = peak_bytes(device)
    return row if memory is None else {**row, "memory_GB": memory / GB}


def _timed(decide: Decision, inputs: Mapping[str, Tensor], decider: Decider) -> tuple[Tensor, float]:
    """The chunk of seed 0, and the median seconds of one from the host's memory and back to it."""
    device = decider.device
    observed = {name: tensor.cpu() for name, tensor in inputs.items()}
    decider.generator.manual_seed(0)
    chunk = decide(inputs).cpu()

    def answer() -> Tensor:
        return decide({name: tensor.to(device) for name, tensor in observed.items()}).cpu()

    return chunk, median_seconds(answer)
