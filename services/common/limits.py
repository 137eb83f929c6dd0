"""Which values a run may have: a range for every number, and rules between numbers.

A wrong combination found here costs a second; found by a learner that waits for ever it costs a night.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from ramp.data.action_tokens import SCALE, alphabet
from ramp.envs import check_tasks
from ramp.errors import Invalid
from ramp.recipes.recipe import PRETRAINED, SEED_BLOCK
from ramp.replay.info import Limits
from ramp.replay.run_tables import TABLES
from ramp.types import Outcome
from services.common.directory import parse
from services.common.place import ALIAS, MODES
from services.common.quotas import parse_quotas
from services.common.sizes import FULL_RANGES, INFINITE, check_sizes
from services.common.tls import check_exposure

if TYPE_CHECKING:
    from services.common.settings import Settings

RANGES: Mapping[str, tuple[float, float]] = {
    "env.jpeg_quality": (1, 100),
    "env.frame_stride": (1, INFINITE),
    "env.max_steps": (2, 100_000),
    "world.latent_channels": (1, INFINITE),
    "world.width": (8, INFINITE),
    "world.layers": (1, INFINITE),
    "world.heads": (1, INFINITE),
    "value.bins": (1, 100_001),
    "value.width": (8, INFINITE),
    "value.channels": (1, INFINITE),
    "policy.chunk": (1, INFINITE),
    "policy.ode_steps": (1, 1000),
    "policy.width": (8, INFINITE),
    "policy.layers": (1, INFINITE),
    "policy.heads": (1, INFINITE),
    "policy.mask_indicator": (0, 1),
    "policy.mask_world": (0, 1),
    "policy.depth_dropout": (0, 1),
    "policy.guidance": (0, 100),
    "policy.thought_layers": (1, INFINITE),
    "policy.thought_length": (3, INFINITE),
    "policy.text_vocabulary": (256, INFINITE),
    "policy.action_vocabulary": (1, INFINITE),
    "policy.track_stride": (1, 100_000),
    "policy.insulation": (0, 1),
    **FULL_RANGES,
    "advantage.temperature": (1e-6, INFINITE),
    "advantage.weight_clip": (1e-6, INFINITE),
    "advantage.n_steps": (1, INFINITE),
    "advantage.demo_positive": (0, 1),
    "advantage.rollout_positive": (0, 1),
    "demos.episodes_per_task": (1, INFINITE),
    "demos.noise": (0, 10),
    "demos.noise_steps": (1, INFINITE),
    "takeover.patience": (1, INFINITE),
    "takeover.min_progress": (0, 1),
    "takeover.hold": (1, INFINITE),
    "training.policy_batch": (1, 65536),
    "training.world_batch": (1, 65536),
    "training.final_lr": (0, 1),
    "training.beta2": (0, 1),
    "training.ema": (0, 1),
    "training.mixture.demos": (0, INFINITE),
    "training.mixture.online": (0, INFINITE),
    "training.mixture.corrections": (0, INFINITE),
    "training.mixture.imagined": (0, INFINITE),
    "training.world_every": (1, INFINITE),
    "training.publish_every": (1, INFINITE),
    "training.relabel_every": (1, INFINITE),
    "sampling.min_items": (1, INFINITE),
    "evaluation.episodes_per_task": (1, INFINITE),
    "evaluation.interim_every": (1, INFINITE),
    "learner.workers": (1, 4096),
    "learner.threads": (1, 1024),
    "learner.joint_threads": (1, 1024),
    "learner.checkpoint_every": (1, INFINITE),
    "learner.zero_stage": (0, 2),
    "learner.decode_threads": (1, 1024),
    "learner.metrics_port": (0, 65535),
    "actors.count": (1, 1024),  # each has a thread and a stream at the replay server
    "actors.threads": (1, 1024),
    "actors.episode_s": (1, INFINITE),
    "actors.metrics_port": (0, 65535),
    "actors.batch_steps": (1, Limits().max_steps_per_batch),
    "replay.shards": (1, 64),
    "replay.port": (0, 65535),
    "replay.flight_port": (0, 65535),
    "replay.segment_mib": (1, 65536),
    "replay.backup.every_h": (0.01, INFINITE),
    "replay.backup.keep": (1, 100_000),
    "replay.scrub_mib_per_s": (0, 65536),
    "replay.calls": (8, 65536),  # each is a thread while it lasts
    "replay.connections": (16, 1_000_000),
    "replay.max_message_mib": (16, 1024),  # one step of 16 cameras with 480 x 480 pixels fits
    "serving.port": (0, 65535),
    "serving.max_batch": (1, 1024),
    "serving.max_wait_ms": (0, 1000),
    "serving.queue": (1, 65536),
    "serving.threads": (1, 1024),
    "serving.versions": (1, 64),
    "serving.look_s": (0.05, 3600),
    "serving.drain_s": (0, 3600),
    "serving.calls": (8, 65536),  # each is a thread while it lasts
    "serving.connections": (16, 1_000_000),
    "release.min_starts": (1, INFINITE),
    "release.min_gain": (-1, 1),
    "release.rollback_episodes": (1, INFINITE),
    "release.rollback_drop": (0, 1),
    "release.rollback_rise": (0, 1),
    "ray.object_store_mib": (80, INFINITE),  # Ray refuses less than 75 MiB
    "metrics.port": (0, 65535),
}
"""Inclusive. A number that is not listed must be 0 or more."""


def check_range(key: str, value: object) -> None:
    """Invalid where a number lies outside its range."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return
    low, high = RANGES.get(key, (0, INFINITE))
    if not low <= value <= high:
        allowed = f"at least {low:g}" if high == INFINITE else f"from {low:g} to {high:g}"
        raise Invalid(key, value, f"give a number {allowed}")


def check_rules(settings: Settings) -> None:
    """Invalid where two settings contradict each other."""
    check_sizes(settings)
    _check_tasks(settings)
    _check_horizons(settings)
    _check_conditioning(settings)
    _check_widths(settings)
    _check_rhythm(settings)
    _check_thought(settings)
    _check_mixture(settings)
    _check_limiter(settings)
    _check_retention(settings)
    _check_safety(settings)
    _check_shards(settings)
    _check_one_a_node(settings)
    _check_serving(settings)


def _check_tasks(settings: Settings) -> None:
    if not settings.tasks:
        raise Invalid("tasks", "()", "name at least one task")
    if len(set(settings.tasks)) < len(settings.tasks):
        raise Invalid("tasks", settings.tasks, "name each task once")
    if not settings.env.cameras:
        raise Invalid("env.cameras", "()", "name at least one camera")
    check_tasks(settings.env, settings.tasks)


def _check_horizons(settings: Settings) -> None:
    stride, horizons = settings.env.frame_stride, settings.world.horizons
    if not horizons or list(horizons) != sorted(set(horizons)):
        raise Invalid("world.horizons", horizons, "give ascending numbers of steps, e.g. 12,24,36,48")
    for horizon in horizons:
        if horizon <= 0 or horizon % stride:
            raise Invalid("world.horizons", horizons, f"use multiples of env.frame_stride={stride}")
    if horizons[-1] >= settings.env.max_steps:
        raise Invalid("world.horizons", horizons, f"stay below env.max_steps={settings.env.max_steps}")


def _check_conditioning(settings: Settings) -> None:
    """RAMP's policy is told of future frames; the others are not."""
    if settings.world.predicts == "value" and settings.training.algorithm == "ramp":
        remedy = "RAMP is conditioned on the predicted state: use state, or training.algorithm=recap"
        raise Invalid("world.predicts", settings.world.predicts, remedy)


def _check_widths(settings: Settings) -> None:
    for name, part in (("world", settings.world), ("policy", settings.policy)):
        if part.width % part.heads:
            raise Invalid(f"{name}.width", part.width, f"use a multiple of {name}.heads={part.heads}")


def _check_rhythm(settings: Settings) -> None:
    chunk, stride, limit = settings.policy.chunk, settings.env.frame_stride, settings.env.max_steps
    if chunk % stride and stride % chunk:
        raise Invalid("policy.chunk", chunk, f"use a multiple or a divisor of env.frame_stride={stride}")
    if chunk > limit:
        raise Invalid("policy.chunk", chunk, f"stay at or below env.max_steps={limit}")
    training = settings.training
    if training.restart == PRETRAINED and training.relabel_every % training.publish_every:
        remedy = f"use a multiple of training.publish_every={training.publish_every}: a restart forgets the rest"
        raise Invalid("training.relabel_every", training.relabel_every, remedy)
    first = settings.evaluation.first_seed
    if first < SEED_BLOCK:
        raise Invalid("evaluation.first_seed", first, f"keep {SEED_BLOCK} or more: training seeds lie below")


def _check_thought(settings: Settings) -> None:
    if settings.policy.insulation < 1 and not settings.policy.thought:
        remedy = "keep 1 without policy.thought: the flow's gradient is the only one that trains the backbone"
        raise Invalid("policy.insulation", settings.policy.insulation, remedy)
    needed = alphabet(settings.policy.chunk, SCALE)
    if settings.policy.thought and settings.policy.action_vocabulary < needed:
        remedy = f"give {needed} or more: so many values has the quantiser of policy.chunk={settings.policy.chunk}"
        raise Invalid("policy.action_vocabulary", settings.policy.action_vocabulary, remedy)


def _check_mixture(settings: Settings) -> None:
    """A learner would wait for corrections that nobody makes."""
    if settings.training.mixture.corrections > 0 and not settings.takeover.max_takeovers:
        remedy = "keep 0 without takeovers, or raise takeover.max_takeovers"
        raise Invalid("training.mixture.corrections", settings.training.mixture.corrections, remedy)


def _check_limiter(settings: Settings) -> None:
    """With too little slack both sides of the rate limiter would wait for each other for good."""
    sampling = settings.sampling
    if settings.sampling.samples_per_insert <= 0:
        raise Invalid("sampling.samples_per_insert", sampling.samples_per_insert, "give a number above 0")
    frames = -(-settings.env.max_steps // settings.env.frame_stride)
    needed = max(settings.training.policy_batch, settings.training.world_batch, frames * sampling.samples_per_insert)
    if sampling.slack < needed:
        raise Invalid("sampling.slack", sampling.slack, f"give {needed:g} or more: an episode or a batch must fit")


def _check_retention(settings: Settings) -> None:
    """A misspelt name would keep everything for ever, or the wrong things."""
    known = {"tables": TABLES, "tasks": settings.tasks, "outcomes": tuple(Outcome)}
    for field, names in known.items():
        for name in getattr(settings.retention, field):
            if name not in names:
                raise Invalid(f"retention.{field}", name, f"choose from {', '.join(names)}")


def _check_safety(settings: Settings) -> None:
    """What would leave a door open, or keep the run's own clients out."""
    replay, tls = settings.replay, settings.replay.tls
    parse_quotas(replay.quotas.clients)
    paths = {"tokens": replay.tokens, "secrets": replay.secrets}
    paths |= {f"tls.{name}": getattr(tls, name) for name in (each.name for each in fields(tls))}
    for name, path in paths.items():
        if path and not Path(path).is_absolute():
            raise Invalid(f"replay.{name}", path, "give an absolute path: processes elsewhere read it too")
    for one, other in (("certificate", "key"), ("client_certificate", "client_key")):
        if bool(getattr(tls, one)) != bool(getattr(tls, other)):
            raise Invalid(f"replay.tls.{one}", getattr(tls, one), f"give it and replay.tls.{other}, or neither")
    for name in ("certificate", "client_certificate"):
        if getattr(tls, name) and not tls.ca:
            raise Invalid("replay.tls.ca", "''", "name the CA's file: the run's own clients check the server by it")
    if tls.client_ca and not (tls.certificate and tls.client_certificate):
        remedy = "give replay.tls.certificate, and replay.tls.client_certificate for the run's own clients, too"
        raise Invalid("replay.tls.client_ca", tls.client_ca, remedy)
    if not replay.address:
        check_exposure(replay.host, tls=bool(tls.certificate), tokens=True, exposed=replay.exposed)


def _check_shards(settings: Settings) -> None:
    """Of servers that run elsewhere, the address says how many there are."""
    replay = settings.replay
    if replay.address:
        parse(replay.address)
    elif replay.port and replay.port + replay.shards - 1 > 65535:
        raise Invalid("replay.port", replay.port, f"leave room for replay.shards={replay.shards} ports from it on")


def _check_one_a_node(settings: Settings) -> None:
    """Processes of one machine cannot share a port."""
    for name, place, count in (
        ("actors", settings.actors, settings.actors.count),
        ("learner", settings.learner, settings.learner.workers),
    ):
        if place.metrics_port and count > 1 and not place.resource:
            remedy = f"keep 0, or name in {name}.resource a Ray resource of which every node has 1"
            raise Invalid(f"{name}.metrics_port", place.metrics_port, remedy)


def _check_serving(settings: Settings) -> None:
    """A misspelt alias would serve nothing for ever."""
    serving = settings.serving
    if serving.mode not in MODES:
        raise Invalid("serving.mode", serving.mode, f"choose {' or '.join(MODES)}")
    if not serving.alias or not all(ALIAS.fullmatch(name) for name in serving.alias):
        raise Invalid("serving.alias", serving.alias, "name aliases of the registry, e.g. stable,latest")
    if serving.max_batch > serving.queue:
        raise Invalid("serving.queue", serving.queue, f"give serving.max_batch={serving.max_batch} or more")
