"""The versions that are served: the one that the alias points to, and those that episodes began with.

A version is read and tried beside the one that serves; it takes over when it is known to be good, or never does.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ramp.errors import Corrupt, Invalid, NotFound, Unavailable
from ramp.models.agent import Agent
from ramp.models.manifest import check_architecture
from ramp.models.vla.config import PolicyConfig
from ramp.types import Kind, Observation, StepSchema
from services.clients.agents import check_schema, read_agent
from services.clients.registry import DirectoryRegistry
from services.clients.releases import Releases
from services.common import metrics
from services.common.errors import status_of

logger = logging.getLogger(__name__)

UNFIT = (Corrupt, Invalid, NotFound)
TRIED = 8  # earlier versions, by a server that starts where the alias points to a bad one


@dataclass(frozen=True, kw_only=True, slots=True)
class Following:
    """What a server serves."""

    aliases: tuple[str, ...]  # the first that there is
    config: PolicyConfig  # of the run: weights of another architecture are refused
    efficient: bool = False  # without world models
    kept: int = 3  # versions in memory


class Versions:
    """Reads are thread-safe; `look` is for one thread."""

    def __init__(self, registry: DirectoryRegistry, following: Following) -> None:
        self._registry, self._following = registry, following
        self._releases = Releases(registry)
        self._loaded: OrderedDict[int, Agent] = OrderedDict()  # the newest last
        self._current: Agent | None = None
        self._refused = 0  # the version that was refused last
        self._lock = threading.Lock()

    @property
    def current(self) -> Agent | None:
        """That new episodes begin with."""
        return self._current

    @property
    def loaded(self) -> tuple[int, ...]:
        with self._lock:
            return tuple(self._loaded)

    def get(self, version: int) -> Agent:
        """Raises NotFound where it is not loaded."""
        with self._lock:
            if version not in self._loaded:
                there = ", ".join(map(str, self._loaded)) or "none"
                raise NotFound(f"policy {version} is not loaded; these are: {there}")
            return self._loaded[version]

    def served(self) -> Agent:
        """Raises Unavailable where there is nothing to serve yet."""
        if self._current is None:
            raise Unavailable(f"no policy that fits has the alias {' or '.join(self._following.aliases)} yet")
        return self._current

    def alias(self) -> str:
        """That is followed now; "" where none of them is there."""
        return next((name for name in self._following.aliases if self._pointed(name)), "")

    def _pointed(self, alias: str) -> int:
        try:
            return self._registry.resolve(Kind.POLICY, alias) or 0
        except (Corrupt, OSError) as error:
            logger.error("alias %s cannot be read: %s", alias, error)
            return 0

    # ------------------------------------------------------------------------------------------- following

    def look(self) -> None:
        """Serve what the alias points to, if that is not served already and can be."""
        alias = self.alias()
        version = self._pointed(alias) if alias else 0
        if not version or version == self._refused or (self._current and version == self._current.version):
            return
        if self._take(version) or self._current:
            return
        for earlier in self._earlier(alias, version)[:TRIED]:  # this server has just started, and robots wait
            if self._take(earlier):
                return

    def _earlier(self, alias: str, version: int) -> Sequence[int]:
        """What the alias pointed to before, newest first; `latest` points to every version in turn."""
        released = self._releases.past(alias)
        if released:
            return [each for each in released if each != version]
        return [each for each in reversed(self._registry.versions(Kind.POLICY)) if each < version]

    def _take(self, version: int) -> bool:
        """Whether it serves now."""
        try:
            agent = self._loaded.get(version) or self._read(version)
        except (*UNFIT, OSError) as error:
            code = status_of(error).name if isinstance(error, UNFIT) else "UNAVAILABLE"
            logger.error("policy %d is refused: %s", version, error)
            metrics.POLICY_REFUSED.labels(code).inc()
            self._refused = version if isinstance(error, UNFIT) else 0
            return False
        self._switch(agent)
        logger.info("policy %d is served", version)
        return True

    def _switch(self, agent: Agent) -> None:
        with self._lock:
            self._loaded[agent.version] = agent
            self._loaded.move_to_end(agent.version)
            self._current, self._refused = agent, 0
            while len(self._loaded) > self._following.kept:
                self._loaded.popitem(last=False)
        metrics.POLICY_VERSION.set(agent.version)

    def _read(self, version: int) -> Agent:
        """Raises NotFound, Corrupt, Invalid, OSError."""
        check_architecture(self._registry.manifest(Kind.POLICY, version), self._following.config)
        agent = read_agent(self._registry, version, efficient=self._following.efficient)
        if self._current is not None:
            check_robot(agent, self._current)
        _try(agent)
        return agent


def check_robot(agent: Agent, serving: Agent) -> None:
    """Raises Invalid where `agent` was trained for another robot than the one that serves: by its schema, or by the
    statistics that its units come from."""
    check_schema(agent.version, agent.schema, serving.schema)
    ours = serving.normalizer.to_dict()
    for name, theirs in agent.normalizer.to_dict().items():
        if theirs != ours[name]:
            remedy = "serve versions of one run: actions in another robot's units would be wrong without looking so"
            raise Invalid(f"normalizer.{name}", f"other statistics than policy {serving.version}'s", remedy)


def _try(agent: Agent) -> None:
    """One decision on nothing at all: it warms up, and shows numbers that overflow. Raises Invalid."""
    chunk = agent.decide(blank(agent.schema), generator=torch.Generator().manual_seed(0)).chunk
    if not np.isfinite(chunk).all():
        raise Invalid("weights", "actions that are not finite", "publish weights of a training that has not diverged")


def blank(schema: StepSchema) -> Observation:
    """Black pictures and zeros."""
    images = {camera: np.zeros(shape, np.uint8) for camera, shape in schema.cameras.items()}
    return Observation(images=images, proprio=np.zeros(schema.proprio_width, np.float32), instruction="")
