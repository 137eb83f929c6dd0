"""Every noun survives the wire: what is decoded is what was encoded, for whatever hypothesis thinks of."""

from __future__ import annotations

import dataclasses
import string

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rampwire.v1 import replay_pb2 as wire

from ramp.errors import Invalid
from ramp.replay.batches import bytes_to_arrow
from ramp.replay.info import AnnotateResult, EpisodeInfo, Limits, Progress, ReplayInfo, TableInfo
from ramp.types import Batch, Encoding, EpisodeHeader, Order, Outcome, SampleSpec, StepBatch, StepSchema
from services.common import codec
from tests.outlined import outlined

NAMES = st.text(string.ascii_letters + string.digits + "._-", min_size=1, max_size=12)
COUNTS = st.integers(0, 2**31 - 1)
FINITE = st.floats(allow_nan=False, allow_infinity=False)


@st.composite
def schemas(draw: st.DrawFn) -> StepSchema:
    sides = st.tuples(st.integers(1, 5), st.integers(1, 5), st.integers(1, 4))
    low = draw(st.lists(st.floats(-5, 0), min_size=1, max_size=4))
    cameras = draw(st.dictionaries(NAMES, sides, min_size=1, max_size=3))
    encoded = st.sampled_from([Encoding.JPEG, Encoding.PNG])
    return StepSchema(
        cameras=cameras,
        encodings=draw(st.dictionaries(st.sampled_from(sorted(cameras)), encoded)),
        proprio_width=draw(st.integers(1, 5)),
        action_low=tuple(low),
        action_high=tuple(bound + 1 for bound in low),
    )


@st.composite
def headers(draw: st.DrawFn) -> EpisodeHeader:
    return EpisodeHeader(
        episode_id=draw(NAMES),
        task=draw(NAMES),
        instruction=draw(st.text(max_size=40)),
        robot=draw(NAMES),
        seed=draw(st.integers(-(2**63), 2**63 - 1)),
        max_steps=draw(st.integers(1, 2**31)),
        tables=tuple(draw(st.lists(NAMES, min_size=1, max_size=3))),
        schema=draw(schemas()),
        thoughts=draw(st.booleans()),
    )


def frames(generator: np.random.Generator, schema: StepSchema, camera: str, *count: int) -> np.ndarray:
    """Pixels, or cells of any length: nothing here looks into them."""
    if schema.encoding(camera) is Encoding.RAW:
        return generator.integers(0, 256, (*count, *schema.cameras[camera])).astype(np.uint8)
    cells = np.empty(count, object)
    for place in np.ndindex(cells.shape):
        cells[place] = generator.bytes(int(generator.integers(0, 99)))
    return cells


@st.composite
def step_batches(draw: st.DrawFn, schema: StepSchema) -> StepBatch:
    length = draw(st.integers(1, 9))
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    rows = np.flatnonzero(generator.random(length) < draw(st.floats(0, 1))).astype(np.int32)
    texts = draw(st.lists(st.text(max_size=9), min_size=length, max_size=length) | st.none())
    return StepBatch(
        step=np.arange(length, dtype=np.int32) + draw(st.integers(0, 1000)),
        timestamp=np.cumsum(generator.random(length)),
        proprio=generator.standard_normal((length, schema.proprio_width)).astype(np.float32),
        action=generator.standard_normal((length, schema.action_width)).astype(np.float32),
        reward=generator.standard_normal(length).astype(np.float32),
        source=generator.integers(0, 4, length).astype(np.uint8),
        trainable=generator.random(length) < 0.5,
        policy_version=generator.integers(0, 99, length).astype(np.int32),
        frame_row=rows,
        images={name: frames(generator, schema, name, len(rows)) for name in schema.cameras},
        subgoal=None if texts is None else np.array(texts, dtype=object),
        hand=None if texts is None else generator.standard_normal((length, 2)).astype(np.float32),
    )


@st.composite
def batches(draw: st.DrawFn) -> Batch:
    schema = draw(schemas())
    count, chunk, horizons = draw(st.integers(1, 5)), draw(st.integers(1, 4)), draw(st.integers(0, 3))
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    thoughts = draw(st.booleans())

    def ints(dtype: type, high: int = 100) -> np.ndarray:
        return generator.integers(0, high, count).astype(dtype)

    def floats(*shape: int) -> np.ndarray:
        values = generator.standard_normal((count, *shape)).astype(np.float32)
        values[generator.random(values.shape) < 0.1] = np.nan
        return values

    return Batch(
        episode_id=draw(st.lists(NAMES, min_size=count, max_size=count)),
        task=draw(st.lists(NAMES, min_size=count, max_size=count)),
        instruction=draw(st.lists(st.text(max_size=9), min_size=count, max_size=count)),
        step=ints(np.int32),
        length=ints(np.int32),
        max_steps=ints(np.int32),
        success=generator.random(count) < 0.5,
        probability=generator.random(count),
        policy_version=ints(np.int32),
        source=ints(np.uint8, 4),
        images={name: frames(generator, schema, name, count) for name in schema.cameras},
        proprio=floats(schema.proprio_width),
        action=floats(chunk, schema.action_width),
        chunk_valid=generator.random((count, chunk)) < 0.5,
        future_images={name: frames(generator, schema, name, count, horizons) for name in schema.cameras},
        future_proprio=floats(horizons, schema.proprio_width),
        future_valid=generator.random((count, horizons)) < 0.5,
        value=floats(),
        advantage=floats(),
        indicator=(ints(np.int8, 3) - 1).astype(np.int8),
        annotation_version=ints(np.int32),
        subgoal=draw(st.lists(st.text(max_size=9), min_size=count, max_size=count)) if thoughts else None,
        track=floats(10, 2) if thoughts else None,
        track_valid=generator.random((count, 10)) < 0.5 if thoughts else None,
    )


def assert_same(one: object, other: object) -> None:
    for field in dataclasses.fields(one):  # type: ignore[arg-type]
        left, right = getattr(one, field.name), getattr(other, field.name)
        pairs = [(left[key], right[key]) for key in left] if isinstance(left, dict) else [(left, right)]
        for a, b in pairs:
            np.testing.assert_array_equal(a, b)
            if isinstance(a, np.ndarray):
                assert (a.dtype, a.shape) == (b.dtype, b.shape), field.name


@given(headers())
def test_headers(header: EpisodeHeader) -> None:
    assert codec.header_from_wire(codec.header_to_wire(header)) == header


@settings(max_examples=60)
@given(st.data())
def test_steps(data: st.DataObject) -> None:
    schema = data.draw(schemas())
    steps = data.draw(step_batches(schema))
    request = codec.batch_request("e", 3, steps, schema)
    assert (request.episode_id, request.batch.number) == ("e", 3)
    thoughts = steps.subgoal is not None
    assert_same(steps, codec.steps_from_ipc(request.batch.arrow, schema, len(steps), thoughts=thoughts))
    with pytest.raises(Invalid, match="rows"):
        codec.steps_from_ipc(request.batch.arrow, schema, len(steps) - 1, thoughts=thoughts)
    with pytest.raises(Invalid, match="columns"):
        codec.steps_from_ipc(request.batch.arrow, schema, len(steps), thoughts=not thoughts)


@settings(max_examples=60)
@given(batches(), st.floats(0, 1e6))
def test_sampled_batches(batch: Batch, waited_s: float) -> None:
    data = codec.sampled_to_bytes(bytes_to_arrow(*outlined(batch)), waited_s)
    decoded, waited = codec.sampled_from_bytes(data)
    assert waited == waited_s
    assert_same(batch, decoded)
    message = wire.SampledBatch.FromString(data)  # and it is what generated code would have written
    assert (message.SerializeToString(), message.waited_s) == (data, waited_s) if waited_s else True
    assert_same(batch, codec.sampled_from_bytes(message.SerializeToString() + b"\x1a\x00")[0])


@given(
    NAMES,
    st.integers(1, 2**16),
    st.integers(1, 99),
    st.lists(st.integers(1, 999), max_size=5),
    st.sampled_from(Order),
    COUNTS,
)
def test_specs(table: str, batch_size: int, chunk: int, horizons: list[int], order: Order, stride: int) -> None:
    spec = SampleSpec(
        table=table,
        batch_size=batch_size,
        chunk=chunk,
        horizons=tuple(horizons),
        order=order,
        track_stride=stride,
    )
    assert codec.spec_from_wire(codec.spec_to_wire(spec)) == spec


@given(NAMES, st.lists(st.tuples(COUNTS, st.floats(-10, 10, width=32)), max_size=9))
def test_values(name: str, pairs: list[tuple[int, float]]) -> None:
    steps = np.array([step for step, _ in pairs], np.int32)
    remaining = np.array([value for _, value in pairs], np.float32)
    found = codec.values_from_wire(codec.values_to_wire(name, steps, remaining).values)
    assert found[0] == name
    np.testing.assert_array_equal(found[1], steps)
    np.testing.assert_array_equal(found[2], remaining)


@given(st.data())
def test_what_a_shard_tells(data: st.DataObject) -> None:
    tables = data.draw(
        st.lists(
            st.builds(
                TableInfo,
                name=NAMES,
                episodes=COUNTS,
                items=COUNTS,
                steps=COUNTS,
                inserted_items=COUNTS,
                sampled_items=COUNTS,
                lead=FINITE,
                insert_wait_s=FINITE,
                sample_wait_s=FINITE,
                labelled=FINITE,
                episodes_by_task=st.dictionaries(NAMES, COUNTS, max_size=3),
            ),
            max_size=3,
        )
    )
    limits = st.builds(Limits, max_message_bytes=COUNTS, max_steps_per_batch=COUNTS, max_episode_steps=COUNTS)
    info = ReplayInfo(
        tables=tuple(tables),
        limits=data.draw(limits),
        annotation_version=data.draw(COUNTS),
        disk_bytes=data.draw(COUNTS),
        open_episodes=data.draw(COUNTS),
        quarantined_segments=data.draw(COUNTS),
    )
    assert codec.info_from_wire(codec.info_to_wire(info)) == info


@given(NAMES, st.sampled_from(Outcome), COUNTS, st.lists(NAMES, min_size=1, max_size=3))
def test_episodes_and_results(name: str, outcome: Outcome, count: int, tables: list[str]) -> None:
    info = EpisodeInfo(
        episode_id=name,
        task=name,
        outcome=outcome,
        steps=count,
        frames=count,
        human_steps=count,
        policy_version=count,
        tables=tuple(tables),
        seed=-count,
    )
    assert codec.episode_info_from_wire(codec.episode_info_to_wire(info)) == info
    result = AnnotateResult(episodes=count, items=count, positive=0.25)
    assert codec.annotated_from_wire(codec.annotated_to_wire(result)) == result
    answer = codec.progress_to_wire(name, Progress(next_batch=count, ended=True))
    assert (answer.episode_id, answer.next_batch, answer.ended) == (name, count, True)


@pytest.mark.parametrize(
    "data", [b"", b"\x0a", b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", b"\x0a\x03abc", b"{}"]
)
def test_bytes_that_are_no_batch_are_refused(data: bytes) -> None:
    with pytest.raises(Invalid):
        codec.sampled_from_bytes(data)
