"""Step schemas between the wire and the nouns; everything else is in codec.py."""

from __future__ import annotations

from collections.abc import Mapping

from rampwire.v1 import replay_pb2 as wire

from ramp.errors import Invalid
from ramp.types import Encoding, StepSchema

ENCODINGS: Mapping[Encoding, wire.Encoding.ValueType] = {
    Encoding.RAW: wire.ENCODING_RAW,
    Encoding.JPEG: wire.ENCODING_JPEG,
    Encoding.PNG: wire.ENCODING_PNG,
}
ENCODINGS_BACK: Mapping[int, Encoding] = {int(number): encoding for encoding, number in ENCODINGS.items()}


def schema_to_wire(schema: StepSchema) -> wire.StepSchema:
    cameras = [
        wire.Camera(
            name=name,
            height=shape[0],
            width=shape[1],
            channels=shape[2],
            encoding=ENCODINGS[schema.encoding(name)],
        )
        for name, shape in sorted(schema.cameras.items())
    ]
    return wire.StepSchema(
        cameras=cameras,
        proprio_width=schema.proprio_width,
        action_low=schema.action_low,
        action_high=schema.action_high,
    )


def schema_from_wire(message: wire.StepSchema) -> StepSchema:
    cameras = {camera.name: (camera.height, camera.width, camera.channels) for camera in message.cameras}
    if len(cameras) != len(message.cameras):
        raise Invalid("schema.cameras", [camera.name for camera in message.cameras], "name each camera once")
    return StepSchema(
        cameras=cameras,
        proprio_width=message.proprio_width,
        action_low=tuple(message.action_low),
        action_high=tuple(message.action_high),
        encodings={camera.name: encoding_from_wire(camera) for camera in message.cameras if camera.encoding},
    )


def encoding_from_wire(camera: wire.Camera) -> Encoding:
    if camera.encoding not in ENCODINGS_BACK:
        remedy = f"send 0 to {max(ENCODINGS_BACK)}: {', '.join(ENCODINGS_BACK.values())}"
        raise Invalid(f"schema.cameras.{camera.name[:160]}.encoding", camera.encoding, remedy)
    return ENCODINGS_BACK[camera.encoding]
