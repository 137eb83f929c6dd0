"""Headers and schemas as JSON text: how they rest beside the steps."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from ramp.types import Encoding, EpisodeHeader, StepSchema


def header_to_note(header: EpisodeHeader) -> str:
    """One text per content, so that two headers are equal exactly where their notes are."""
    return json.dumps(asdict(header), sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def header_from_note(note: str) -> EpisodeHeader:
    fields = json.loads(note)
    schema = _schema(fields.pop("schema"))
    return EpisodeHeader(**{**fields, "tables": tuple(fields["tables"])}, schema=schema)


def schema_to_note(schema: StepSchema) -> str:
    return json.dumps(asdict(schema), sort_keys=True, separators=(",", ":"))


def columns_to_note(header: EpisodeHeader) -> str:
    """Which columns the header's steps have: the schema, and whether there are labels of thought."""
    return json.dumps(
        asdict(header.schema) | ({"thoughts": True} if header.thoughts else {}), sort_keys=True, separators=(",", ":")
    )


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
