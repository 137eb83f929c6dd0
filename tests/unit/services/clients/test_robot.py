"""What a robot does with chunks, and without a server."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest

from ramp.errors import Invalid, RampError, Unavailable
from ramp.types import Observation
from services.clients.robot import Fallback, RobotPolicy
from services.common.inference import Answer

SEEN = Observation(images={}, proprio=np.zeros(2, np.float32), instruction="count")
HOLD = np.full(2, -1.0, np.float32)


@dataclass
class Server:
    """Answers with chunks whose numbers count on; raises `trouble` while there is any."""

    trouble: RampError | None = None
    starts: list[bool] = field(default_factory=list)

    def infer(self, observation: Observation, *, session: str, start: bool, timeout: float) -> Answer:
        if self.trouble:
            raise self.trouble
        self.starts.append(start)
        chunk = np.arange(8, dtype=np.float32).reshape(4, 2) + 100 * len(self.starts)
        return Answer(chunk=chunk, version=5, remaining=0.5, queued_s=0.0, infer_s=0.0, batch=1)


def look() -> Observation:
    return SEEN


def robot(server: Server, fallback: Fallback = Fallback.HOLD, execute: int = 0) -> RobotPolicy:
    return RobotPolicy(server, session="arm-7", hold=HOLD, fallback=fallback, execute=execute)


def first(policy: RobotPolicy, steps: int, seen: Callable[[], Observation] = look) -> list[float]:
    """The first number of each action."""
    return [float(policy.move(seen).action[0]) for _ in range(steps)]


def test_a_chunk_is_executed_before_the_next_is_asked_for() -> None:
    server = Server()
    assert first(robot(server), 5) == [100, 102, 104, 106, 200]
    assert server.starts == [True, False]


def test_only_the_first_steps_of_a_chunk_are_executed_where_that_is_asked() -> None:
    assert first(robot(Server(), execute=2), 5) == [100, 102, 200, 202, 300]


def test_an_episode_begins_with_a_chunk_of_its_own() -> None:
    server = Server()
    policy = robot(server)
    first(policy, 1)
    policy.begin()

    assert first(policy, 1) == [200]
    assert server.starts == [True, True]


@pytest.mark.parametrize(("fallback", "done"), [(Fallback.HOLD, [-1, -1, -1]), (Fallback.FINISH, [104, 106, -1])])
def test_without_the_server_the_robot_does_as_it_was_told(fallback: Fallback, done: list[float]) -> None:
    server = Server()
    policy = robot(server, fallback, execute=2)
    first(policy, 2)
    server.trouble = Unavailable("gone")

    assert first(policy, 3) == done
    assert (policy.move(look).version, policy.move(look).chosen) == (0, False)
    server.trouble = None
    assert first(policy, 1) == [200]


def test_a_mistake_is_no_reason_to_fall_back() -> None:
    with pytest.raises(Invalid, match="camera"):
        robot(Server(trouble=Invalid("frames", "none", "send the camera"))).move(look)
