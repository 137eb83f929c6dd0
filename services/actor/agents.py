"""The agents an actor can act with: loaded from the registry at episode edges, refused where they do not fit."""

from __future__ import annotations

import logging
from collections import OrderedDict

from ramp.errors import Corrupt, Invalid, NotFound
from ramp.interfaces import Registry
from ramp.models.agent import Agent
from ramp.types import POSITIVE, Kind, StepSchema
from services.clients.agents import check_schema, read_agent
from services.common.metrics import ACTOR_POLICY, ACTOR_REFUSED

logger = logging.getLogger(__name__)

KEPT = 3  # agents in memory: the latest one, and one or two under evaluation


class Agents:
    """Agents by policy version. A published version that is damaged or of another schema never acts."""

    def __init__(self, registry: Registry, *, alias: str = "latest") -> None:
        self._registry, self._alias = registry, alias
        ACTOR_REFUSED.labels(Kind.POLICY.value)  # 0 is told, too
        self._kept: OrderedDict[int, Agent] = OrderedDict()
        self._refused: set[int] = set()
        self._acting = 0  # newest version that the alias brought and that fitted

    def get(self, version: int, schema: StepSchema, *, efficient: bool = False, indicator: int = POSITIVE) -> Agent:
        """The agent of a policy version; of the alias for version 0; in efficient mode and told I as asked.

        Where the alias points to weights that are refused, the last good ones go on acting. Raises NotFound where
        there is nothing to act with, Corrupt or Invalid where a version asked for by number is refused.
        """
        agent = self._load(version, schema) if version else self._latest(schema)
        agent.efficient, agent.indicator = efficient, indicator
        return agent

    def _latest(self, schema: StepSchema) -> Agent:
        version = self._registry.resolve(Kind.POLICY, self._alias)
        if version is None:
            raise NotFound(f"no policy has the alias {self._alias!r} yet; a rollout needs one")
        try:
            if version in self._refused and self._acting:
                return self._load(self._acting, schema)
            agent = self._load(version, schema)
        except (Corrupt, Invalid, NotFound) as error:
            logger.error("policy %d is refused: %s", version, error)
            self._refused.add(version)
            ACTOR_REFUSED.labels(Kind.POLICY.value).inc()
            if not self._acting:
                raise
            return self._load(self._acting, schema)
        self._acting = version
        ACTOR_POLICY.set(version)
        return agent

    def _load(self, version: int, schema: StepSchema) -> Agent:
        agent = self._kept.get(version) or read_agent(self._registry, version)
        if not agent.serves(schema):
            check_schema(version, agent.schema, schema)
        self._kept[version] = agent
        self._kept.move_to_end(version)
        while len(self._kept) > KEPT:
            oldest = next(kept for kept in self._kept if kept != self._acting)
            del self._kept[oldest]
        return agent
