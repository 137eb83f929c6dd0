"""One request from its message to its answer. No gRPC in this file."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import CancelledError
from contextlib import suppress
from typing import Any

from rampwire.v1 import policy_pb2 as wire

from ramp.errors import Invalid, NotFound, RampError, Timeout
from ramp.models.agent import Agent
from services.common import metrics
from services.common.errors import status_of
from services.common.inference import Answer, Served
from services.common.policy_codec import observation_from_wire
from services.common.tokens import NAME
from services.policy.sessions import Sessions
from services.policy.versions import Versions
from services.policy.waiting import Ask, Waiting

OnEnd = Callable[[Callable[[], Any]], object]
"""Calls its argument when the client has gone, or has its answer."""


class PolicyCore:
    """What the doors of a policy server call."""

    def __init__(self, versions: Versions, waiting: Waiting, *, mode: str) -> None:
        self._versions, self._waiting, self._mode = versions, waiting, mode
        self._sessions = Sessions()
        metrics.POLICY_QUEUE.set_function(lambda: len(waiting))

    def infer(self, client: str, request: wire.InferRequest, deadline: float, on_end: OnEnd) -> Answer:
        """The answer to a client, until `deadline` on the monotonic clock.

        Raises Invalid, NotFound, OverQuota, Unavailable, Timeout.
        """
        began, code = time.monotonic(), "INTERNAL"
        try:
            answer = self._inferred(client, request, deadline, on_end)
            code = "OK"
        except CancelledError:
            code = "DEADLINE_EXCEEDED" if time.monotonic() >= deadline else "CANCELLED"
            raise Timeout("the client has gone") from None
        except RampError as error:
            code = status_of(error).name
            raise
        finally:
            metrics.POLICY_REQUESTS.labels(code).inc()
            metrics.POLICY_REQUEST_SECONDS.observe(time.monotonic() - began)
        return answer

    def _inferred(self, client: str, request: wire.InferRequest, deadline: float, on_end: OnEnd) -> Answer:
        agent = self._agent(client, request)
        observation = agent.checked(observation_from_wire(request, agent.schema))
        ask = Ask(agent=agent, observation=observation, deadline=deadline)
        self._waiting.put(ask)
        on_end(ask.answer.cancel)  # what nobody waits for any more is not computed
        try:
            return ask.answer.result(max(deadline - time.monotonic(), 0.0))
        except RampError:  # a Timeout is both
            raise
        except TimeoutError as error:
            ask.answer.cancel()
            raise Timeout("the model was not done in time") from error

    def _agent(self, client: str, request: wire.InferRequest) -> Agent:
        """That decides: the one asked for, else the one that the episode began with."""
        if not NAME.fullmatch(request.session):
            raise Invalid("session", request.session[:160], "1 to 128 letters, digits, '.', '_' and '-'")
        if request.version:
            return self._versions.get(request.version)
        current, loaded = self._versions.served(), self._versions.loaded
        key = (client, request.session)
        version = self._sessions.version(key, start=request.episode_start, current=current.version, loaded=loaded)
        with suppress(NotFound):  # let go of since
            return self._versions.get(version)
        return current

    def served(self) -> Served:
        """What is served now."""
        agent = self._versions.current
        return Served(
            version=agent.version if agent else 0,
            loaded=self._versions.loaded,
            alias=self._versions.alias(),
            mode=self._mode,
            schema=agent.schema if agent else None,
            horizon=agent.policy.config.chunk if agent else 0,
            waiting=len(self._waiting),
        )
