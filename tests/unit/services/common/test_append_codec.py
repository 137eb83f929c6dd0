"""What is written and read by hand is what the generated code writes and reads."""

from __future__ import annotations

import pytest
from google.protobuf.message import DecodeError
from rampwire.v1 import replay_pb2 as wire

from services.common import codec
from services.common.append_codec import Batch, batch_frame, request_from_bytes
from tests.experience import SCHEMA, make_header, make_steps


@pytest.mark.parametrize("number", [0, 1, 300])
def test_a_frame_is_what_the_generated_code_would_write(number: int) -> None:
    steps = make_steps(0, 12, thoughts=number == 1)
    frame = batch_frame("größe-7", number, steps, SCHEMA)
    assert frame == codec.batch_request("größe-7", number, steps, SCHEMA).SerializeToString()
    found = request_from_bytes(frame)
    assert isinstance(found, Batch)
    assert (found.episode_id, found.number) == ("größe-7", number)
    assert bytes(found.arrow) == wire.AppendRequest.FromString(frame).batch.arrow


def test_whatever_is_no_batch_in_that_form_is_left_to_the_generated_code() -> None:
    batch = codec.batch_request("e0", 3, make_steps(0, 8), SCHEMA)
    twisted = batch.batch.SerializeToString()
    other = wire.AppendRequest(episode_id="e0").SerializeToString()
    late = b"\x1a" + bytes([len(twisted) & 0x7F | 0x80, len(twisted) >> 7]) + twisted + other  # the id comes last
    for message in (codec.open_request(make_header()), codec.abort_request("e0"), wire.AppendRequest()):
        assert request_from_bytes(message.SerializeToString()) == message
    assert request_from_bytes(late) == batch


def test_bytes_that_are_no_message_are_refused() -> None:
    frame = batch_frame("e0", 0, make_steps(0, 8), SCHEMA)
    for harm in (frame[:40], b"\x0a\x02\xff\xfe" + frame[4:], b"\x0a\xff", b"\x0a\x02e0\x1a\x05\x12\xff\xff\xff\xff"):
        with pytest.raises(DecodeError):
            request_from_bytes(harm)
