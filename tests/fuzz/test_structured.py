"""True messages with some fields made false, field by field, and true files with some bytes made false."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.descriptor import FieldDescriptor
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.replay import core
from tests.fuzz.mutation import mutated
from tests.fuzz.target import Target, load
from tests.fuzz.targets.service import Service, parsed, scripts

SCRIPTS = list(scripts())
INTEGERS = st.sampled_from([0, 1, 2, 3, 63, 64, 65, 2**15, 2**31 - 1, 2**31, 2**63 - 1, -1, -(2**31), -(2**63)])
FLOATS = st.sampled_from([0.0, -0.0, 1.0, -1.0, float("nan"), float("inf"), -float("inf"), 1e308, 5e-324, 1e39])
TEXTS = st.sampled_from(["", "e", "ended", "open", "other", "demos", "a/b", "../x", "é" * 200, "\0", "x" * 5000, "'"])
BYTES = st.sampled_from([b"", b"\xff" * 8, b"\xff\xff\xff\xff\xf0\xff\xff\x7f", b"x" * 4096])
RANGES = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_ENUM: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
}


def twist(message: Any, data: st.DataObject) -> None:
    """One field of the message, or of a message within it, becomes something else."""
    fields = list(message.DESCRIPTOR.fields)
    if not fields:
        return
    field = data.draw(st.sampled_from(fields), label="field")
    inner = field.cpp_type == FieldDescriptor.CPPTYPE_MESSAGE
    if field.is_repeated:
        rows = getattr(message, field.name)
        if inner and rows:
            twist(data.draw(st.sampled_from(list(rows))), data)
        elif inner:
            rows.add()
        elif rows and data.draw(st.booleans()):
            rows.pop()
        else:
            rows.append(_value(field, data))
    elif inner:
        twist(getattr(message, field.name), data) if data.draw(st.integers(0, 5)) else message.ClearField(field.name)
    else:
        setattr(message, field.name, _value(field, data))


def _value(field: FieldDescriptor, data: st.DataObject) -> object:
    if field.cpp_type in RANGES:
        low, high = RANGES[field.cpp_type]
        return min(max(data.draw(INTEGERS), low), high)
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        return data.draw(st.booleans())
    if field.type == FieldDescriptor.TYPE_BYTES:
        return data.draw(BYTES)
    return data.draw(TEXTS if field.cpp_type == FieldDescriptor.CPPTYPE_STRING else FLOATS)


def test_no_field_of_a_request_breaks_the_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core, "POLL_S", 0.0)
    service = Service(tmp_path)

    @settings(max_examples=120, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(number=st.integers(0, len(SCRIPTS) - 1), data=st.data())
    def attack(number: int, data: st.DataObject) -> None:
        name, messages = parsed(SCRIPTS[number])
        for _ in range(data.draw(st.integers(0, 3))):
            twist(data.draw(st.sampled_from(messages)), data)
        if name == "sample" and messages[0].spec.batch_size * (1 + messages[0].spec.chunk) > 2**16:
            return  # allowed as far as it fits into a batch's bound, and slow
        if name == "sample":
            messages[0].credit = 2
        service.call(name, messages)

    attack()
    service.settle()


SMALL = ("sampled", "answers", "requests", "tickets", "parcels", "pictures", "footer")
FILES = ("annotations", "checkpoint", "tombstones", "snapshots", "spool")


@pytest.mark.parametrize("name", [*SMALL, *FILES])
def test_no_change_of_true_bytes_breaks_a_decoder(name: str, tmp_path: Path) -> None:
    target: Target = load(name)(tmp_path)
    seeds = target.seeds()

    @settings(max_examples=40, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(number=st.integers(0, len(seeds) - 1), draw=st.integers(0, 2**32))
    def attack(number: int, draw: int) -> None:
        target.feed(mutated(seeds[number], seeds, random.Random(draw)))

    for seed in seeds:
        target.feed(seed)
    attack()
    target.settle()
