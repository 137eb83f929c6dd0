"""The only file that copies fields between messages of the wire and the nouns.

Bulk data is Arrow IPC inside `bytes` fields. Bytes of a stranger go through `record_from_ipc`, which believes nothing.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from google.protobuf.message import DecodeError
from rampwire.v1 import replay_pb2 as wire

from ramp.errors import Invalid
from ramp.replay.batches import batch_from_arrow
from ramp.replay.columns import step_columns, steps_from_arrow, steps_to_arrow
from ramp.replay.gather import MAX_BATCH
from ramp.replay.info import AnnotateResult, EpisodeInfo, Limits, Progress, ReplayInfo, TableInfo
from ramp.types import Batch, EpisodeHeader, Order, Outcome, SampleSpec, StepBatch, StepSchema
from services.common.arrow_bytes import record_from_ipc, record_parts, record_to_ipc
from services.common.schema_codec import schema_from_wire, schema_to_wire
from services.common.varint import read_varint, varint

OUTCOMES: Mapping[Outcome, wire.Outcome.ValueType] = {
    Outcome.SUCCESS: wire.OUTCOME_SUCCESS,
    Outcome.FAILURE: wire.OUTCOME_FAILURE,
}
OUTCOMES_BACK: Mapping[int, Outcome] = {int(number): outcome for outcome, number in OUTCOMES.items()}

ORDERS: Mapping[Order, wire.Order.ValueType] = {
    Order.UNIFORM: wire.ORDER_UNIFORM,
    Order.PRIORITIZED: wire.ORDER_PRIORITIZED,
    Order.STRATIFIED: wire.ORDER_STRATIFIED,
    Order.FIFO: wire.ORDER_FIFO,
    Order.LIFO: wire.ORDER_LIFO,
}
ORDERS_BACK: Mapping[int, Order] = {int(number): order for order, number in ORDERS.items()}

# ------------------------------------------------------------------------------------------------ nouns


def header_to_wire(header: EpisodeHeader) -> wire.EpisodeHeader:
    return wire.EpisodeHeader(
        episode_id=header.episode_id,
        task=header.task,
        instruction=header.instruction,
        robot=header.robot,
        seed=header.seed,
        max_steps=header.max_steps,
        tables=header.tables,
        schema=schema_to_wire(header.schema),
        thoughts=header.thoughts,
    )


def header_from_wire(message: wire.EpisodeHeader) -> EpisodeHeader:
    return EpisodeHeader(
        episode_id=message.episode_id,
        task=message.task,
        instruction=message.instruction,
        robot=message.robot,
        seed=message.seed,
        max_steps=message.max_steps,
        tables=tuple(message.tables),
        schema=schema_from_wire(message.schema),
        thoughts=message.thoughts,
    )


def outcome_to_wire(outcome: Outcome) -> wire.Outcome.ValueType:
    return OUTCOMES[outcome]


def outcome_from_wire(number: int) -> Outcome:
    if number not in OUTCOMES_BACK:
        raise Invalid("outcome", number, "send OUTCOME_SUCCESS or OUTCOME_FAILURE")
    return OUTCOMES_BACK[number]


def order_from_wire(number: int) -> Order:
    if number not in ORDERS_BACK:
        raise Invalid("order", number, f"send 0 to {max(ORDERS_BACK)}: {', '.join(ORDERS_BACK.values())}")
    return ORDERS_BACK[number]


def spec_to_wire(spec: SampleSpec) -> wire.SampleSpec:
    return wire.SampleSpec(
        table=spec.table,
        batch_size=spec.batch_size,
        chunk=spec.chunk,
        horizons=spec.horizons,
        order=ORDERS[spec.order],
        track_stride=spec.track_stride,
    )


def spec_from_wire(message: wire.SampleSpec) -> SampleSpec:
    return SampleSpec(
        table=message.table,
        batch_size=message.batch_size,
        chunk=message.chunk,
        horizons=tuple(message.horizons),
        order=order_from_wire(message.order),
        track_stride=message.track_stride,
    )


def progress_to_wire(episode_id: str, progress: Progress) -> wire.Appended:
    return wire.Appended(episode_id=episode_id, next_batch=progress.next_batch, ended=progress.ended)


def episode_info_to_wire(info: EpisodeInfo) -> wire.EpisodeInfo:
    return wire.EpisodeInfo(
        episode_id=info.episode_id,
        task=info.task,
        outcome=OUTCOMES[info.outcome],
        steps=info.steps,
        frames=info.frames,
        human_steps=info.human_steps,
        policy_version=info.policy_version,
        tables=info.tables,
        seed=info.seed,
        ended_at=info.ended_at,
    )


def episode_info_from_wire(message: wire.EpisodeInfo) -> EpisodeInfo:
    return EpisodeInfo(
        episode_id=message.episode_id,
        task=message.task,
        outcome=outcome_from_wire(message.outcome),
        steps=message.steps,
        frames=message.frames,
        human_steps=message.human_steps,
        policy_version=message.policy_version,
        tables=tuple(message.tables),
        seed=message.seed,
        ended_at=message.ended_at,
    )


def annotated_to_wire(result: AnnotateResult) -> wire.AnnotateResponse:
    return wire.AnnotateResponse(episodes=result.episodes, items=result.items, positive=result.positive)


def annotated_from_wire(message: wire.AnnotateResponse) -> AnnotateResult:
    return AnnotateResult(episodes=message.episodes, items=message.items, positive=message.positive)


def begin_request(world_version: int, *, extends: bool) -> wire.AnnotateRequest:
    return wire.AnnotateRequest(begin=wire.AnnotateRequest.Begin(world_version=world_version, extends=extends))


def commit_request() -> wire.AnnotateRequest:
    return wire.AnnotateRequest(commit=wire.AnnotateRequest.Commit())


def values_to_wire(episode_id: str, steps: np.ndarray, remaining: np.ndarray) -> wire.AnnotateRequest:
    values = wire.AnnotateRequest.Values(episode_id=episode_id, step=steps.tolist(), remaining=remaining.tolist())
    return wire.AnnotateRequest(values=values)


def values_from_wire(message: wire.AnnotateRequest.Values) -> tuple[str, np.ndarray, np.ndarray]:
    steps = np.fromiter(message.step, dtype=np.int32, count=len(message.step))
    remaining = np.fromiter(message.remaining, dtype=np.float32, count=len(message.remaining))
    return message.episode_id, steps, remaining


TABLE_FIELDS = (
    "name",
    "episodes",
    "items",
    "steps",
    "inserted_items",
    "sampled_items",
    "lead",
    "insert_wait_s",
    "sample_wait_s",
    "labelled",
)
TASK_FIELDS = ("episodes_by_task", "unseen_by_task", "dropped_by_task")
LIMIT_FIELDS = ("max_message_bytes", "max_steps_per_batch", "max_episode_steps")
INFO_FIELDS = (
    *("annotation_version", "disk_bytes", "disk_free_bytes", "open_episodes", "quarantined_segments"),
    *("deleted_episodes", "now"),
)


def info_to_wire(info: ReplayInfo) -> wire.InfoResponse:
    tables = [
        wire.TableInfo(**{name: getattr(table, name) for name in TABLE_FIELDS + TASK_FIELDS}) for table in info.tables
    ]
    limits = wire.Limits(**{name: getattr(info.limits, name) for name in LIMIT_FIELDS})
    return wire.InfoResponse(tables=tables, limits=limits, **{name: getattr(info, name) for name in INFO_FIELDS})


def _table_from_wire(table: wire.TableInfo) -> TableInfo:
    values: dict[str, Any] = {name: getattr(table, name) for name in TABLE_FIELDS}
    return TableInfo(**values | {name: dict(getattr(table, name)) for name in TASK_FIELDS})


def info_from_wire(message: wire.InfoResponse) -> ReplayInfo:
    tables = tuple(map(_table_from_wire, message.tables))
    limits = Limits(**{name: getattr(message.limits, name) for name in LIMIT_FIELDS})
    return ReplayInfo(tables=tables, limits=limits, **{name: getattr(message, name) for name in INFO_FIELDS})


# ---------------------------------------------------------------------------------------------- appends


def open_request(header: EpisodeHeader) -> wire.AppendRequest:
    return wire.AppendRequest(episode_id=header.episode_id, open=header_to_wire(header))


def batch_request(episode_id: str, number: int, steps: StepBatch, schema: StepSchema) -> wire.AppendRequest:
    arrow = record_to_ipc(steps_to_arrow(steps, schema)).to_pybytes()
    return wire.AppendRequest(episode_id=episode_id, batch=wire.StepBatch(number=number, arrow=arrow))


def end_request(episode_id: str, outcome: Outcome, batches: int) -> wire.AppendRequest:
    return wire.AppendRequest(episode_id=episode_id, end=wire.End(outcome=OUTCOMES[outcome], batches=batches))


def abort_request(episode_id: str) -> wire.AppendRequest:
    return wire.AppendRequest(episode_id=episode_id, abort=wire.Abort())


def steps_from_ipc(
    arrow: bytes | memoryview, schema: StepSchema, max_rows: int, *, thoughts: bool = False
) -> StepBatch:
    """Steps that a stranger sent. Raises Invalid; the numbers themselves are not looked at here."""
    return steps_from_arrow(record_from_ipc(arrow, step_columns(schema, thoughts=thoughts), max_rows), schema)


def steps_to_ipc(steps: StepBatch, schema: StepSchema) -> bytes:
    return bytes(record_to_ipc(steps_to_arrow(steps, schema)).to_pybytes())


# ---------------------------------------------------------------------------------------------- samples

ARROW_TAG = b"\x0a"  # field 1 of SampledBatch, length-delimited
WAITED_TAG = b"\x11"  # field 2, a double


def sampled_to_bytes(record: pa.RecordBatch, waited_s: float) -> bytes:
    """A serialised SampledBatch. Written by hand, because the generated code would copy the pixels twice more."""
    arrow = record_parts(record)
    size = varint(sum(map(len, arrow)))
    return b"".join((ARROW_TAG, size, *arrow, WAITED_TAG, struct.pack("<d", waited_s)))


def sampled_from_bytes(data: bytes) -> tuple[Batch, float]:
    """The batch as views of `data`, and the seconds that it waited. Raises Invalid."""
    arrow, waited_s = _split_sampled(data)
    return batch_from_arrow(record_from_ipc(arrow, None, MAX_BATCH)), waited_s


def _split_sampled(data: bytes) -> tuple[pa.Buffer, float]:
    """Fields as our server orders them; anything else is left to the generated code."""
    if data[:1] == ARROW_TAG:
        size, begin = read_varint(data, 1)
        rest = data[begin + size :]
        if len(rest) == 9 and rest[:1] == WAITED_TAG:
            return pa.py_buffer(data).slice(begin, size), float(struct.unpack("<d", rest[1:])[0])
    try:
        message = wire.SampledBatch.FromString(data)
    except DecodeError as error:
        raise Invalid("SampledBatch", str(error), "check that client and server speak one version") from error
    return pa.py_buffer(message.arrow), message.waited_s


def priorities_request(
    table: str, episode_ids: Iterable[str], steps: Iterable[int], priorities: Iterable[float]
) -> wire.UpdatePrioritiesRequest:
    return wire.UpdatePrioritiesRequest(table=table, episode_id=episode_ids, step=steps, priority=priorities)
