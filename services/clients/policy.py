"""The policy server from outside: what a robot or an actor asks what to do next. No torch, no Ray.

with PolicyClient("127.0.0.1:7003", credentials=Credentials(token="ramp_...")) as policy:
    answer = policy.infer(observation, session="arm-7", start=True, timeout=0.5)  # answer.chunk [H, A]
"""

from __future__ import annotations

from typing import Any

from rampwire.v1 import policy_pb2 as wire

from ramp.data.images import QUALITY
from ramp.types import Encoding, Observation
from services.clients.channel import NOBODY, await_ready, call, open_channel
from services.clients.credentials import Credentials
from services.common.inference import Answer, Served
from services.common.policy_codec import answer_from_wire, request_to_wire, served_from_wire

INFER_S = 1.0  # a robot waits no longer for one chunk unless it says so
INFO_S = 10.0


class PolicyClient:
    """One connection, used by any number of threads and sessions.

    Frames travel as `encoding` says: raw on a fast network, JPEG or PNG on a slow one. Calls are tried again, with
    growing pauses, until their time is over: where the server is away, and where it says when to come again.
    """

    def __init__(
        self,
        address: str,
        *,
        credentials: Credentials = NOBODY,
        encoding: Encoding = Encoding.RAW,
        quality: int = QUALITY,
    ) -> None:
        self.address, self._metadata = address, credentials.metadata()
        self._encoding, self._quality = encoding, quality
        self._channel = open_channel(address, credentials)

    def infer(
        self, observation: Observation, *, session: str, start: bool = False, version: int = 0, timeout: float = INFER_S
    ) -> Answer:
        """A chunk of actions. `start` with the first request of an episode: its version then answers them all. A
        `version` asks for that one, where it is loaded.

        Raises Invalid (the observation does not fit), NotFound (that version), OverQuota, Unavailable, Timeout,
        Unauthenticated, Denied.
        """
        request = request_to_wire(
            observation, session=session, start=start, version=version, encoding=self._encoding, quality=self._quality
        )
        return answer_from_wire(self._unary("Infer", request, wire.InferResponse, timeout))

    def served(self, timeout: float = INFO_S) -> Served:
        """Versions, and what an observation has to look like. Raises Unavailable."""
        return served_from_wire(self._unary("Info", wire.PolicyInfoRequest(), wire.PolicyInfo, timeout))

    def wait_ready(self, timeout: float) -> None:
        """Raises Unavailable unless the server answers within `timeout` s."""
        await_ready(self._channel, self.address, timeout)

    def _unary(self, name: str, request: Any, answer: Any, timeout: float) -> Any:
        method = self._channel.unary_unary(
            f"/ramp.v1.Policy/{name}",
            request_serializer=type(request).SerializeToString,
            response_deserializer=answer.FromString,
        )
        return call(lambda left: method(request, timeout=left, metadata=self._metadata), timeout=timeout)

    def close(self) -> None:
        self._channel.close()

    def __enter__(self) -> PolicyClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
