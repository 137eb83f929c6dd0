"""The rollout actor as Ray sees it: a process with a collector, its presence on the notice board, its metrics.

The conductor replaces a dead actor by one of the same name, which finds its spool, and asks for another episode.
World-model rollouts will enter by the same door: an assignment whose environment is a dream.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import ray
import torch

from ramp.errors import RampError
from ramp.types import EpisodeSummary
from services.actor.assignment import Assignment
from services.actor.collector import Collector
from services.clients.connect import connect
from services.clients.credentials import own_credentials
from services.clients.registry import DirectoryRegistry
from services.common import metrics
from services.common.coordination import board_of, serving
from services.common.settings import Settings, load_settings, mujoco_gl
from services.common.tokens import Role

FAREWELL_S = 2.0  # for what the spool still holds; the rest is delivered by the next actor of this name

logger = logging.getLogger("services.actor")


@ray.remote(max_restarts=0, max_task_retries=0)
class RolloutActor:
    """Collects one episode per `run`; calls queue up behind each other."""

    def __init__(self, name: str, settings_path: str, replay_address: str, redis_url: str) -> None:
        """`redis_url` is of the conductor's own Redis; what the settings name comes first."""
        settings = load_settings(settings_path)
        run_dir = Path(settings.dir)
        _log_to(run_dir / "logs" / f"{name}.log")
        torch.set_num_threads(settings.actors.threads)
        self._name = name
        self._board = board_of(settings, redis_url)
        shown, spool = own_credentials(settings, Role.ACTOR), run_dir / "spool" / name
        self._replay = connect(replay_address, name=name, board=self._board, spool=spool, credentials=shown)
        registry = DirectoryRegistry(run_dir / "registry")
        self._collector = Collector(
            settings, registry, self._replay, robot=name, batch_steps=settings.actors.batch_steps
        )
        parts = ("actor", "spool", "coordination")
        self._metrics_port = metrics.serve(settings.actors.metrics_port, settings.metrics.host, services=parts)
        self._serving = serving(settings.metrics.host, self._metrics_port)
        self._episodes = 0
        self._announce("idle", 0)
        logger.info("%s collects, pid %d, metrics on port %d", name, os.getpid(), self._metrics_port)

    def run(self, assignment: Assignment) -> EpisodeSummary:
        """Collect the assigned episode; returns when replay has acknowledged it."""
        self._announce(f"{assignment.purpose} {assignment.task}", assignment.policy_version)
        try:
            summary = self._collector.run(assignment)
        except RampError as error:
            logger.error("%s failed: %s", assignment, error)
            raise
        self._episodes += 1
        self._announce("idle", summary.policy_version)
        return summary

    def whoami(self) -> dict[str, int]:
        """pid and metrics_port; answers once the actor is ready."""
        return {"pid": os.getpid(), "metrics_port": self._metrics_port}

    def close(self) -> None:
        """Leave in order."""
        self._collector.close()
        self._replay.flush(FAREWELL_S)
        self._replay.close()
        self._board.close()

    def _announce(self, doing: str, policy_version: int) -> None:
        now: dict[str, str | int | float] = {"doing": doing, "policy_version": policy_version}
        where = {"pid": os.getpid(), **self._serving}
        self._board.announce("actor", self._name, {**now, "episodes": self._episodes, **where})


def _log_to(file: Path) -> None:
    """This process's log, beside those of the other services."""
    file.parent.mkdir(parents=True, exist_ok=True)
    form = "%(asctime)s %(levelname)s %(name)s: %(message)s"
    logging.basicConfig(filename=file, level=logging.INFO, format=form, force=True)


def start_actor(
    name: str, settings: Settings, settings_path: str, replay_address: str, redis_url: str
) -> ray.actor.ActorHandle:
    """Launch a rollout actor on the connected cluster, with rendering and threads as the settings say, on a node with
    its resource.

    It reserves no CPU: on a small machine actors and learner share the cores.
    """
    threads = str(settings.actors.threads)
    environment = {"MUJOCO_GL": mujoco_gl(), "OMP_NUM_THREADS": threads}
    actor: Any = RolloutActor  # Ray's decorator changes the class beyond what types can say
    place = {settings.actors.resource: 1} if settings.actors.resource else {}
    options = actor.options(num_cpus=0, resources=place, runtime_env={"env_vars": environment})
    return options.remote(name, settings_path, replay_address, redis_url)
