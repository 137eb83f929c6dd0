"""Observations and answers over the wire, and strangers' bytes in their place."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from rampwire.v1 import policy_pb2 as wire

from ramp.data.images import encode
from ramp.errors import Invalid
from ramp.types import Encoding, Observation, StepSchema
from services.common.inference import Answer, Served
from services.common.policy_codec import (
    answer_from_wire,
    answer_to_wire,
    observation_from_wire,
    request_to_wire,
    served_from_wire,
    served_to_wire,
)

SCHEMA = StepSchema(cameras={"top": (16, 24, 3)}, proprio_width=2, action_low=(-1.0,) * 2, action_high=(1.0,) * 2)
FRAME = np.random.default_rng(0).integers(0, 256, (16, 24, 3), np.uint8)
SEEN = Observation(images={"top": FRAME}, proprio=np.array([0.5, -2.0], np.float32), instruction="open the drawer")


def request(encoding: Encoding = Encoding.RAW, seen: Observation = SEEN) -> wire.InferRequest:
    message = request_to_wire(seen, session="arm-7", start=True, version=3, encoding=encoding)
    return wire.InferRequest.FromString(message.SerializeToString())


@pytest.mark.parametrize("encoding", Encoding)
def test_an_observation_crosses_the_wire(encoding: Encoding) -> None:
    message = request(encoding)

    there = observation_from_wire(message, SCHEMA)

    assert (message.session, message.episode_start, message.version) == ("arm-7", True, 3)
    assert there.instruction == "open the drawer"
    assert np.array_equal(there.proprio, SEEN.proprio)
    assert there.images["top"].shape == FRAME.shape
    if encoding is not Encoding.JPEG:
        assert np.array_equal(there.images["top"], FRAME)


def test_a_robot_without_depth_may_ask_a_policy_that_sees_it() -> None:
    deep = replace(SCHEMA, cameras={"top": (16, 24, 4)})
    assert observation_from_wire(request(), deep).images["top"].shape == (16, 24, 3)


def frame(**fields: object) -> wire.InferRequest:
    message = request()
    for name, value in fields.items():
        setattr(message.frames[0], name, value)
    return message


def twice() -> wire.InferRequest:
    message = request()
    message.frames.append(message.frames[0])
    return message


@pytest.mark.parametrize(
    ("message", "field"),
    [
        (wire.InferRequest(), "frames"),
        (frame(camera="side"), "frames"),
        (twice(), "frames"),
        (frame(data=b"\0" * 5), "frames.top"),
        (frame(encoding=7), "frames.top"),
        (frame(encoding=1), "frames.top"),
        (frame(encoding=1, data=b"\0" * 5000), "frames.top"),
        (frame(encoding=2, data=encode(FRAME, Encoding.JPEG)), "frames.top"),
        (frame(encoding=2, data=encode(FRAME[:8], Encoding.PNG)), "frames.top"),
        (frame(encoding=2, data=encode(FRAME, Encoding.PNG)[:-20] + b"\0\0\0\0IEND\xaeB`\x82"), "frames.top"),
        (request(seen=replace(SEEN, instruction="x" * 1025)), "instruction"),
    ],
)
def test_what_is_no_observation_of_this_robot_is_refused_by_name(message: wire.InferRequest, field: str) -> None:
    with pytest.raises(Invalid) as refused:
        observation_from_wire(message, SCHEMA)
    assert refused.value.field == field


@pytest.mark.parametrize("remaining", [0.25, math.nan])
def test_an_answer_crosses_the_wire(remaining: float) -> None:
    chunk = np.arange(8, dtype=np.float32).reshape(4, 2)
    here = Answer(chunk=chunk, version=7, remaining=remaining, queued_s=0.5, infer_s=0.25, batch=3)

    there = answer_from_wire(wire.InferResponse.FromString(answer_to_wire(here).SerializeToString()))

    assert np.array_equal(there.chunk, chunk)
    assert np.array_equal([there.remaining], [remaining], equal_nan=True)
    assert (there.version, there.queued_s, there.infer_s, there.batch) == (7, 0.5, 0.25, 3)


@pytest.mark.parametrize(("numbers", "horizon"), [(0, 4), (7, 4), (8, 0)])
def test_actions_that_are_no_chunk_are_refused(numbers: int, horizon: int) -> None:
    with pytest.raises(Invalid, match="numbers in"):
        answer_from_wire(wire.InferResponse(action=[0.0] * numbers, horizon=horizon))


@pytest.mark.parametrize("schema", [SCHEMA, None])
def test_what_is_served_crosses_the_wire(schema: StepSchema | None) -> None:
    here = Served(version=7, loaded=(6, 7), alias="stable", mode="standard", schema=schema, horizon=16, waiting=2)
    assert served_from_wire(wire.PolicyInfo.FromString(served_to_wire(here).SerializeToString())) == here
