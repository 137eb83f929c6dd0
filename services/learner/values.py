"""One value model, trained on a finished run's experience and tried on episodes that were held out: an arm of Table 1.

    python -m services.learner.values --settings S --model vlm --held-out 0.2 value.bins=1

Reads the run's replay directory, which nobody else may have open, and writes nothing but what is said on standard
output: JSON, a line a second, {"lesson": "value", "update": 120, "of": 1500, "loss": 0.21}, and at the end
{"seconds_per_frame": ..., "parameters": ..., "learnt_from": ..., "episodes": [...], "learnt": [...]}: the held-out
episodes and, of a model with two value outputs, those that it has learnt from. An episode is {"episode", "task",
"predicted": [F], "remaining": [F]}; two outputs say also "label": [F], by the one that labels it in a run, as it takes
no loss from that half of the episodes, and "other": [F]. A training that is killed begins anew.
"""

from __future__ import annotations

import argparse
import sys
import time
import zlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ramp.data.transforms import FOLDS, fold_of
from ramp.evaluation.latency import median_seconds
from ramp.models.world.latents import out_of_fold
from ramp.replay.shard_config import ShardConfig
from ramp.replay.shards import Shards
from services.common.settings import Settings
from services.learner.contestants import Contestant, Lesson, contestant
from services.learner.divergence import DivergedError
from services.learner.division import Division, Tensors, Tried
from services.learner.engine import Engine, Plan, training_device
from services.learner.precision import in_bfloat16
from services.learner.progress import Basis
from services.learner.speaking import speak
from services.learner.trainer import BAD_IN_A_ROW

SAY_S = 1.0
DIGITS = 6  # of what is said of values


def main(arguments: list[str] | None = None) -> int:
    """0 when the figures are said, 1 with one line of what is wrong."""
    options = _parse(arguments)
    home = options.settings.resolve().parent
    return speak(options, lambda settings: measure(settings, home, options.model, options.held_out))


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m services.learner.values", description=__doc__)
    parser.add_argument("--settings", type=Path, required=True, help="the run's settings.yaml")
    parser.add_argument("--model", required=True, help="vlm or world")
    parser.add_argument("--held-out", type=float, default=0.2, help="share of each task's episodes to be tried on")
    parser.add_argument("overrides", nargs="*", help="settings laid over the run's, a.b=c")
    return parser.parse_args(arguments)


def measure(settings: Settings, run_dir: Path, model: str, share: float) -> Iterator[dict[str, Any]]:
    """What is said, as it happens. Raises RampError: no finished run, replay open elsewhere, divergence."""
    torch.set_num_threads(settings.learner.threads)
    basis, penalty = Basis.of_run(run_dir), settings.advantage.failure_penalty
    with closing(Shards(run_dir / "replay", ShardConfig())) as shards:
        division = Division(shards, basis.normalizer, share=share, failure_penalty=penalty)
        subject = contestant(model, settings, basis.schema)
        subject.model.to(training_device())
        for lesson in subject.lessons:
            yield from _teach(subject, lesson, division, settings)
        yield _tried(subject, division, settings.seed)


def _teach(subject: Contestant, lesson: Lesson, division: Division, settings: Settings) -> Iterator[dict[str, Any]]:
    lesson.begin()
    engine, said = Engine(subject.model, _plan(lesson, settings)), 0.0
    draws = np.random.default_rng([settings.seed, zlib.crc32(lesson.name.encode())])
    batches = division.batches(settings.training.world_batch, lesson.horizons, draws)
    while engine.updates < lesson.updates:
        loss = _update(engine, lesson, batches, settings.seed)
        if time.monotonic() - said > SAY_S or engine.updates == lesson.updates:
            said = time.monotonic()
            yield {"lesson": lesson.name, "update": engine.updates, "of": lesson.updates, "loss": loss}
    engine.close()


def _update(engine: Engine, lesson: Lesson, batches: Iterator[Tensors], seed: int) -> float:
    """One applied update's loss; those that are not finite are left out. Raises DivergedError."""
    for attempt in range(BAD_IN_A_ROW):
        tensors = {name: tensor.to(engine.device) for name, tensor in next(batches).items()}
        generator = _generator(f"{seed}/{lesson.name}/{engine.updates}/{attempt}", engine.device)
        loss, _ = engine.loss(lesson.algorithm, tensors, generator=generator)
        if engine.step(loss):
            return float(loss.detach())
    raise DivergedError(f"{BAD_IN_A_ROW} updates of the {lesson.name} in a row were not finite")


def _tried(subject: Contestant, division: Division, seed: int) -> dict[str, Any]:
    subject.model.eval()
    tried = [_says(subject, episode, seed) for episode in division.tried()]
    two = "label" in tried[0]
    return {
        "seconds_per_frame": _seconds_per_frame(subject, division),
        "parameters": sum(parameter.numel() for parameter in subject.model.parameters()),
        "learnt_from": len(division.learnt_from),
        "episodes": tried,
        "learnt": [_says(subject, episode, seed) for episode in division.learnt()] if two else [],
    }


def _says(subject: Contestant, episode: Tried, seed: int) -> dict[str, Any]:
    device = training_device()
    generator = _generator(f"{seed}/tried/{episode.episode_id}", device)
    outputs = torch.cat([subject.outputs(_on(part, device), generator).cpu() for part in episode.parts])
    said = {
        "episode": episode.episode_id,
        "task": episode.task,
        "predicted": _rounded(outputs.mean(dim=1).numpy()),
        "remaining": _rounded(episode.remaining),
    }
    if outputs.shape[1] == FOLDS:
        fold = torch.full((len(outputs),), fold_of(episode.episode_id))
        said["label"] = _rounded(out_of_fold(outputs, fold).numpy())
        said["other"] = _rounded(out_of_fold(outputs, 1 - fold).numpy())
    return said


def _seconds_per_frame(subject: Contestant, division: Division) -> float:
    """Of one observation at a time, on one core where there is no GPU: as a robot asks."""
    device = training_device()
    part = next(division.tried()).parts[0]
    one = _on({name: tensor[:1] for name, tensor in part.items()}, device)
    generator, threads = _generator("latency", device), torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return median_seconds(lambda: float(subject.remaining(one, generator)))
    finally:
        torch.set_num_threads(threads)


def _plan(lesson: Lesson, settings: Settings) -> Plan:
    """For every model the world model's optimiser, one span long."""
    training = settings.training
    return Plan(
        lr=training.world_lr,
        weight_decay=training.weight_decay,
        grad_clip=training.grad_clip,
        spans=(lesson.updates,),
        warmup=training.world_warmup or training.warmup,
        final_lr=training.final_lr,
        beta2=training.beta2,
        bfloat16=in_bfloat16(training.precision, training_device()),
    )


def _generator(place: str, device: torch.device) -> torch.Generator:
    return torch.Generator(device=device).manual_seed(zlib.crc32(place.encode()))


def _on(tensors: Tensors, device: torch.device) -> Tensors:
    return {name: tensor.to(device) for name, tensor in tensors.items()}


def _rounded(values: np.ndarray) -> list[float]:
    return [round(float(value), DIGITS) for value in values]


if __name__ == "__main__":
    sys.exit(main())
