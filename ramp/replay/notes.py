"""Headers and schemas as JSON text: how they rest beside the steps."""

from __future__ import annotations

import json
from dataclasses import asdict
from functools import lru_cache
from typing import Any

from ramp.errors import Corrupt
from ramp.types import Encoding, EpisodeHeader, Outcome, StepSchema


def header_to_note(header: EpisodeHeader) -> str:
    """One text per content, so that two headers are equal exactly where their notes are."""
    return json.dumps(asdict(header), sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def header_from_note(note: str) -> EpisodeHeader:
    """Raises Corrupt for what no header makes."""
    try:
        fields = json.loads(note)
        schema = _schema(fields.pop("schema"))
        header = EpisodeHeader(**{**fields, "tables": tuple(fields["tables"])}, schema=schema)
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise Corrupt(f"an episode's header cannot be read: {str(error)[:160]}") from error
    texts = (header.episode_id, header.task, header.instruction, header.robot, *header.tables, *schema.cameras)
    numbers = (header.seed, header.max_steps, schema.proprio_width, *(side for each in _sides(schema) for side in each))
    if not (all(type(each) is str for each in texts) and all(type(each) is int for each in numbers)):
        raise Corrupt("an episode's header has numbers for texts, or texts for numbers")
    return header


def _sides(schema: StepSchema) -> list[tuple[int, int, int]]:
    return list(schema.cameras.values())


def end_from_note(note: str) -> tuple[Outcome, int, float | None]:
    """Outcome, steps, and seconds since 1970 where the note says them. Raises Corrupt for what no END makes."""
    try:
        outcome, steps, *ended_at = note.split()
        return Outcome(outcome), int(steps), float(ended_at[0]) if ended_at else None
    except ValueError as error:
        raise Corrupt(f"an episode's end cannot be read: {str(error)[:160]}") from error


def schema_to_note(schema: StepSchema) -> str:
    return json.dumps(asdict(schema), sort_keys=True, separators=(",", ":"))


def columns_to_note(header: EpisodeHeader) -> str:
    """Which columns the header's steps have: the schema, and whether there are labels of thought."""
    return _columns_note(_key(header.schema), header.thoughts)


def shared(schema: StepSchema) -> StepSchema:
    """The one that stands for all that are equal to it: a million episodes need not hold a million of them."""
    return _shared(_key(schema))


_Key = tuple[
    tuple[tuple[str, tuple[int, int, int]], ...],
    tuple[tuple[str, Encoding], ...],
    int,
    tuple[float, ...],
    tuple[float, ...],
]


def _key(schema: StepSchema) -> _Key:
    cameras, encodings = tuple(sorted(schema.cameras.items())), tuple(sorted(schema.encodings.items()))
    return cameras, encodings, schema.proprio_width, schema.action_low, schema.action_high


@lru_cache(maxsize=256)
def _shared(key: _Key) -> StepSchema:
    cameras, encodings, proprio_width, low, high = key
    return StepSchema(
        cameras=dict(cameras),
        encodings=dict(encodings),
        proprio_width=proprio_width,
        action_low=low,
        action_high=high,
    )


@lru_cache(maxsize=256)
def _columns_note(key: _Key, thoughts: bool) -> str:
    fields = asdict(_shared(key)) | ({"thoughts": True} if thoughts else {})
    return json.dumps(fields, sort_keys=True, separators=(",", ":"))


def columns_from_note(note: str) -> tuple[StepSchema, bool]:
    """Step schema, and whether there are labels of thought."""
    fields = json.loads(note)
    return _schema(fields), bool(fields.get("thoughts", False))


def _schema(fields: dict[str, Any]) -> StepSchema:
    return StepSchema(
        cameras={name: tuple(shape) for name, shape in fields["cameras"].items()},
        proprio_width=fields["proprio_width"],
        action_low=tuple(fields["action_low"]),
        action_high=tuple(fields["action_high"]),
        encodings={name: Encoding(text) for name, text in fields.get("encodings", {}).items()},
    )
