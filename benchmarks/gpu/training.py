"""A training step of a full model on one card, as the learner makes it: float32 weights, products in bfloat16, ZeRO,
activation checkpointing; and compiled layers."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

import torch

from benchmarks.gpu.card import SIZES, SIZES_SMALL, Rate, forget_peak, matrix_peak, peak_bytes, seconds
from benchmarks.gpu.compiled import backend_of, compile_layers
from benchmarks.gpu.memory import GB, Need, fit, free_bytes, numbers
from benchmarks.gpu.options import Options
from benchmarks.gpu.progress import say
from benchmarks.gpu.sizes import FULL, SMALL, Size, noise_batch
from benchmarks.gpu.subjects import PolicySubject, Subject, WorldSubject
from benchmarks.runs import MeasurementError
from ramp.errors import Invalid
from services.learner.engine import Engine, Plan, training_device

ZERO_STAGE = 0
"""One card shares with nobody: the other stages would only copy gradients into buckets."""
BATCHES = (32, 16, 8, 4, 2, 1)
WARM, STEPS = 3, 12
TERA = 1e12
PLAN = Plan(
    lr=1e-5,
    weight_decay=0.01,
    grad_clip=1.0,
    spans=(1000,),
    warmup=1,
    final_lr=0.1,
    zero_stage=ZERO_STAGE,
    bfloat16=True,
)


def policy(options: Options) -> list[dict[str, Any]]:
    """One row."""
    return [_measure(PolicySubject(_size(options)), options)]


def world(options: Options) -> list[dict[str, Any]]:
    """One row."""
    return [_measure(WorldSubject(_size(options)), options)]


def _size(options: Options) -> Size:
    return SMALL if options.small else FULL


def _measure(whole: Subject, options: Options) -> dict[str, Any]:
    """Seconds, tokens, MFU and memory of a step. Raises TooLargeError where no layer fits, Invalid for more layers than
    there are."""
    device = training_device()
    if options.layers > whole.layers:
        raise Invalid("--layers", options.layers, f"the {whole.name} has {whole.layers}")
    say(f"{whole.name}: first what {device} multiplies at best, in bfloat16")
    peak = matrix_peak(device, SIZES_SMALL if options.small else SIZES)
    say(f"{peak.flops / TERA:.4g} TFLOP/s, at {peak.size} x {peak.size}")
    need = planned(whole.resized(options.layers or whole.layers), device, options.batch)
    say(f"ZeRO stage {ZERO_STAGE}, nothing offloaded, {need} of {free_bytes(device) / GB:.1f} GB free")
    if need.layers < whole.layers:
        say(f"ONLY {need.layers} of {whole.layers} layers are trained; the figures are of this shallower model")
    subject = whole.resized(need.layers)
    taken = timed_steps(subject, need.batch, device)
    memory = peak_bytes(device)
    row = figures(subject, need.batch, taken, peak)
    row |= {"layers": f"{need.layers} of {whole.layers}", "trained_parameters": need.trained}
    row |= {"expected_memory_GB": need.peak / GB}
    return row if memory is None else {**row, "memory_GB": memory / GB}


def planned(subject: Subject, device: torch.device, batch: int) -> Need:
    """What fits in the memory that is free; `batch` 0 chooses the largest batch."""
    with_all, with_fewer = (subject.resized(max(1, subject.layers - less)).new(torch.device("meta")) for less in (0, 1))
    trained, frozen = numbers(with_all)
    need = Need(layers=subject.layers, batch=1, trained=trained, frozen=frozen, kept=subject.kept())
    return fit(need, trained - numbers(with_fewer)[0], free_bytes(device), (batch,) if batch else BATCHES)


def timed_steps(subject: Subject, batch: int, device: torch.device) -> list[float]:
    """Seconds of each step after the first few, which compile. Leaves the card's peak memory to be read."""
    say(f"{subject.layers} layers of random weights, made on {device}")
    model = subject.new(device)
    compile_layers(model, backend_of(device))
    engine = Engine(model, PLAN)
    tensors = noise_batch(subject.size, batch, device)
    generator = torch.Generator(device).manual_seed(0)
    forget_peak(device)

    def step() -> None:
        loss, _ = engine.loss(subject.algorithm, tensors, generator=generator)
        if not engine.step(loss):
            raise MeasurementError("the loss of random weights is not finite")

    for turn in range(WARM):
        say(f"step {turn + 1} of {WARM} to warm up: {seconds(step, device):.4g} s")
    taken = [seconds(step, device) for _ in range(STEPS)]
    say(f"{STEPS} steps: {statistics.median(taken):.4g} s each (median), {max(taken):.4g} s at most")
    return taken


def figures(subject: Subject, batch: int, taken: Sequence[float], peak: Rate) -> dict[str, Any]:
    """MFU is achieved model FLOP/s over the card's measured best; what is computed twice counts once."""
    median, flops = statistics.median(taken), subject.flops().step
    achieved = batch * flops / median
    share = achieved / peak.flops
    return {
        "name": f"{subject.name}, {subject.size.name}: training, model FLOP/s / the card's matrix peak (MFU)",
        "ratio": share,
        "target": subject.aim,
        "met": share >= subject.aim,
        "TFLOP_per_s": achieved / TERA,
        "peak_TFLOP_per_s": peak.flops / TERA,
        "peak_at": peak.size,
        "model_TFLOP_per_sample": flops / TERA,
        "s_per_step": median,
        "slowest_s": max(taken),
        "steps": len(taken),
        "batch": batch,
        "samples_per_s": batch / median,
        "tokens_per_s": batch * subject.tokens() / median,
        "zero_stage": ZERO_STAGE,
    }
