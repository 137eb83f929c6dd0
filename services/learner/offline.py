"""One policy, trained on experience that already lies in replay: an arm of a comparison.

    python -m services.learner.offline --settings S --replay HOST:PORT --start stage2 training.algorithm=awr

Starts from a registered policy and the world model with the alias `final`, labels all episodes with that world model,
makes `stages.policy_updates` updates on the data of `tasks` and publishes one version. Speaks JSON, a line a second:
{"update": 120, "of": 1500, "loss": 0.21}, and at the end {"version": 7}. A training that is killed has published
nothing and begins anew.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import torch

from ramp.errors import NotFound, Unavailable
from ramp.models.build import instructions
from ramp.models.manifest import check_architecture, load_weights, policy_manifest
from ramp.models.vla.instructions import TOKENIZER
from ramp.types import Kind
from services.clients.connect import AnyClient, connect
from services.clients.credentials import own_credentials
from services.clients.registry import DirectoryRegistry
from services.common.settings import Settings
from services.common.tokens import Role
from services.learner.batches import Mixture, policy_batches, shares
from services.learner.precision import published
from services.learner.progress import Basis
from services.learner.published import PublishedWorld
from services.learner.relabel import Relabeller
from services.learner.speaking import speak
from services.learner.trainer import POLICY, Trainer

POLL_S = 60.0  # longest wait for one batch: nobody else uses this replay server
LABEL_S = 600.0  # for all episodes
SAY_S = 1.0


def main(arguments: list[str] | None = None) -> int:
    """0 when the version is published, 1 with one line of what is wrong."""
    options = _parse(arguments)
    home = options.settings.resolve().parent
    return speak(options, lambda settings: train(settings, home, options.replay, options.start))


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m services.learner.offline", description=__doc__)
    parser.add_argument("--settings", type=Path, required=True, help="the run's settings.yaml")
    parser.add_argument("--replay", required=True, help="host:port of the replay service, or of each of its shards")
    parser.add_argument("--start", default="stage2", help="alias or number of the policy to start from")
    parser.add_argument("overrides", nargs="*", help="settings laid over the run's, a.b=c")
    return parser.parse_args(arguments)


def train(settings: Settings, run_dir: Path, replay_address: str, start: str) -> Iterator[dict[str, Any]]:
    """What is said, as it happens. Raises RampError: an unknown start or one of another size, no world model, a task
    without data, a replay server that is away."""
    torch.set_num_threads(settings.learner.threads)
    registry, basis = DirectoryRegistry(run_dir / "registry"), Basis.of_run(run_dir)
    first = _version(registry, Kind.POLICY, start)
    tensors, found = registry.load(Kind.POLICY, first)
    check_architecture(found, settings.policy)
    tokenizer = registry.file(Kind.POLICY, first, TOKENIZER)
    prompts = instructions(settings.policy, tokenizer)
    credentials = own_credentials(settings, Role.LEARNER)
    with closing(connect(replay_address, name="offline", credentials=credentials)) as replay:
        world = PublishedWorld.from_registry(registry, _version(registry, Kind.WORLD, "final"), torch.device("cpu"))
        _check_tasks(settings, replay)
        _label(replay, basis, world)
        trainer = Trainer(settings, basis, {}, filled=True)
        load_weights(trainer.policy, tensors)
        rows = shares(settings.training.policy_batch, settings.training.mixture, 1)
        with policy_batches(replay, settings, basis, rows, prompts, of=settings.tasks) as batches:
            yield from _updates(trainer, batches, world, settings.stages.policy_updates)
    engine = trainer.engine(POLICY)
    manifest = policy_manifest(trainer.policy, basis.normalizer, trainer.told, basis.thoughts) | {
        "stage": "offline",
        "algorithm": settings.training.algorithm,
        "tasks": list(settings.tasks),
        "update": engine.updates,
        "world_version": world.version,
        "parent": first,
    }
    weights = published(engine.weights(averaged=True), settings.training.precision)
    beside = {} if tokenizer is None else {TOKENIZER: tokenizer}
    yield {"version": registry.publish(Kind.POLICY, weights, manifest, beside)}


def _updates(trainer: Trainer, batches: Mixture, world: PublishedWorld, count: int) -> Iterator[dict[str, Any]]:
    done, said = 0, 0.0
    while done < count:
        sampled = batches.poll(POLL_S)
        if sampled is None:
            raise Unavailable(f"no batch came within {POLL_S:g} s; does the replay service run?")
        applied, report = trainer.update(POLICY, sampled, world)
        done += int(applied)
        if applied and (time.monotonic() - said > SAY_S or done == count):
            said = time.monotonic()
            yield {"update": done, "of": count, "loss": report["flow"]}


def _label(replay: AnyClient, basis: Basis, world: PublishedWorld) -> None:
    """Every episode by this world model, unless that is done already."""
    relabeller = Relabeller(replay, basis.normalizer)
    relabeller.use(world)
    with closing(relabeller):
        until = time.monotonic() + LABEL_S
        while not relabeller.work(SAY_S):
            if time.monotonic() > until:
                raise Unavailable(f"the episodes were not labelled within {LABEL_S:g} s: see the messages above")


def _check_tasks(settings: Settings, replay: AnyClient) -> None:
    """Raises NotFound where replay has nothing of a task."""
    known = {info.task for info in replay.query()}
    for task in settings.tasks:
        if task not in known:
            raise NotFound(f"replay has no episodes of {task}; there are {', '.join(sorted(known))}")


def _version(registry: DirectoryRegistry, kind: Kind, name: str) -> int:
    number = int(name) if name.isdecimal() else registry.resolve(kind, name)
    if number is None:
        raise NotFound(f"no {kind.value} has the alias {name!r}; let the run finish first")
    return number


if __name__ == "__main__":
    sys.exit(main())
