"""Between wire and nouns, for what is kept: snapshots and views. As services.common.codec; this is its other half."""

from __future__ import annotations

from dataclasses import asdict, fields

from rampwire.v1 import replay_pb2 as wire

from ramp.replay.snapshot import Snapshot
from ramp.replay.views import ViewInfo


def snapshot_to_wire(snapshot: Snapshot) -> wire.SnapshotInfo:
    return wire.SnapshotInfo(**asdict(snapshot))


def snapshot_from_wire(message: wire.SnapshotInfo) -> Snapshot:
    return Snapshot(**{field.name: getattr(message, field.name) for field in fields(Snapshot)})


def view_to_wire(view: ViewInfo) -> wire.ViewInfo:
    return wire.ViewInfo(**asdict(view))


def view_from_wire(message: wire.ViewInfo) -> ViewInfo:
    return ViewInfo(**{field.name: getattr(message, field.name) for field in fields(ViewInfo)})
