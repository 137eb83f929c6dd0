"""Observations, answers and what is served, between the policy server's wire and the nouns.

Frames of strangers are looked at by their headers before anything is decoded, as replay does.
"""

from __future__ import annotations

import math

import numpy as np
from rampwire.v1 import policy_pb2 as wire

from ramp.data.images import QUALITY, decode, encode
from ramp.data.picture_header import max_cell, read_header
from ramp.errors import Invalid
from ramp.types import Encoding, Observation, StepSchema
from services.common.inference import Answer, Served
from services.common.schema_codec import ENCODINGS, ENCODINGS_BACK, schema_from_wire, schema_to_wire

MAX_INSTRUCTION = 1024  # characters
NO_VALUE = float("nan")

Shape = tuple[int, int, int]


# --------------------------------------------------------------------------------------------- requests


def request_to_wire(
    observation: Observation, *, session: str, start: bool, version: int, encoding: Encoding, quality: int = QUALITY
) -> wire.InferRequest:
    """Frames are uint8 [height, width, channels]. Raises Invalid for a JPEG of frames with depth."""
    frames = [
        wire.Frame(camera=camera, encoding=ENCODINGS[encoding], data=encode(pixels, encoding, quality))
        for camera, pixels in observation.images.items()
    ]
    return wire.InferRequest(
        session=session,
        episode_start=start,
        version=version,
        frames=frames,
        proprio=np.asarray(observation.proprio, np.float32).tolist(),
        instruction=observation.instruction,
    )


def observation_from_wire(message: wire.InferRequest, schema: StepSchema) -> Observation:
    """With pixels. What does not fit `schema` by names or sizes is refused before it is decoded. Raises Invalid."""
    if len(message.instruction) > MAX_INSTRUCTION:
        raise Invalid("instruction", f"{len(message.instruction)} characters", f"at most {MAX_INSTRUCTION}")
    names = [frame.camera for frame in message.frames]
    if sorted(names) != sorted(schema.cameras):
        found = ", ".join(name[:64] for name in names[:8])
        raise Invalid("frames", found or "none", f"send exactly the cameras {', '.join(sorted(schema.cameras))}")
    images = {frame.camera: _pixels(frame, schema.cameras[frame.camera]) for frame in message.frames}
    proprio = np.array(message.proprio, np.float32)
    return Observation(images=images, proprio=proprio, instruction=message.instruction)


def _pixels(frame: wire.Frame, shape: Shape) -> np.ndarray:
    try:
        return _decoded(frame, shape)
    except ValueError as error:
        wanted = " x ".join(map(str, shape))
        raise Invalid(f"frames.{frame.camera}", str(error), f"send {wanted} raw, or a whole JPEG or PNG") from error


def _decoded(frame: wire.Frame, shape: Shape) -> np.ndarray:
    """uint8, without depth where the robot has none: whether the policy can do without is for it to say."""
    encoding = ENCODINGS_BACK.get(frame.encoding)
    if encoding is None:
        raise ValueError(f"encoding {frame.encoding}")
    if len(frame.data) > max_cell(shape, encoding):
        raise ValueError(f"{len(frame.data)} bytes")
    accepted = {shape, (*shape[:2], min(shape[2], 3))}
    if encoding is Encoding.RAW:
        return _raw(frame.data, accepted)
    header = read_header(frame.data)
    if header.encoding is not encoding or header.shape not in accepted:
        raise ValueError(f"{header.encoding} of {header.shape}")
    return decode(frame.data, header.shape)


def _raw(data: bytes, accepted: set[Shape]) -> np.ndarray:
    for shape in accepted:
        if len(data) == math.prod(shape):
            return np.frombuffer(data, np.uint8).reshape(shape)
    raise ValueError(f"{len(data)} bytes")


# ---------------------------------------------------------------------------------------------- answers


def answer_to_wire(answer: Answer) -> wire.InferResponse:
    return wire.InferResponse(
        action=answer.chunk.ravel().tolist(),
        horizon=len(answer.chunk),
        version=answer.version,
        remaining=None if math.isnan(answer.remaining) else answer.remaining,
        queued_s=answer.queued_s,
        infer_s=answer.infer_s,
        batch=answer.batch,
    )


def answer_from_wire(message: wire.InferResponse) -> Answer:
    """Raises Invalid where the actions are no chunk."""
    actions = np.array(message.action, np.float32)
    if not message.horizon or actions.size % message.horizon or not actions.size:
        raise Invalid("action", f"{actions.size} numbers in {message.horizon} steps", "update this client")
    return Answer(
        chunk=actions.reshape(message.horizon, -1),
        version=message.version,
        remaining=message.remaining if message.HasField("remaining") else NO_VALUE,
        queued_s=message.queued_s,
        infer_s=message.infer_s,
        batch=message.batch,
    )


def served_to_wire(served: Served) -> wire.PolicyInfo:
    return wire.PolicyInfo(
        version=served.version,
        loaded=served.loaded,
        alias=served.alias,
        mode=served.mode,
        schema=None if served.schema is None else schema_to_wire(served.schema),
        horizon=served.horizon,
        waiting=served.waiting,
    )


def served_from_wire(message: wire.PolicyInfo) -> Served:
    return Served(
        version=message.version,
        loaded=tuple(message.loaded),
        alias=message.alias,
        mode=message.mode,
        schema=schema_from_wire(message.schema) if message.HasField("schema") else None,
        horizon=message.horizon,
        waiting=message.waiting,
    )
