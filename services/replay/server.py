"""The gRPC door: decode, call, encode."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import numpy as np
from rampwire.v1 import replay_pb2 as wire

from ramp.errors import Invalid
from ramp.replay.annotations import Values
from ramp.replay.entry import Written
from ramp.replay.gather import MAX_BATCH_BYTES
from services.common import codec, keeping_codec
from services.common.interceptors import Guard
from services.common.server import Bounds, Server
from services.replay.appending import appended
from services.replay.core import ReplayCore
from services.replay.streams import Credit, Inbox

logger = logging.getLogger(__name__)

SERVICE = "ramp.v1.Replay"
ENDLESS = (f"/{SERVICE}/Append", f"/{SERVICE}/Sample")
CALLS = 128  # served at the same time, where a run does not need more
MAX_SEND_BYTES = MAX_BATCH_BYTES + 2**26  # with the texts of every item; what clients accept too


class ReplayService:
    """The methods of the contract."""

    def __init__(self, core: ReplayCore, bulk: wire.Bulk | None) -> None:
        self._core, self._bulk = core, bulk
        self._stopping = threading.Event()

    def interrupt(self) -> None:
        """Let the streams end: the server is going."""
        self._stopping.set()
        self._core.shard.interrupt()

    # ---------------------------------------------------------------------------------------- Append

    def append(self, requests: Iterator[wire.AppendRequest], context: grpc.ServicerContext) -> Iterator[wire.Appended]:
        """Writes what has arrived, syncs once, then answers it all."""
        with Inbox(requests) as inbox:
            while group := inbox.take():
                written: list[Written] = []
                answers = [appended(self._core, request, written, context.is_active) for request in group]
                self._core.sync(written)
                yield from answers

    # ---------------------------------------------------------------------------------------- Sample

    def sample(self, requests: Iterator[wire.SampleRequest], context: grpc.ServicerContext) -> Iterator[bytes]:
        first = next(requests, None)
        if first is None or not first.HasField("spec"):
            raise Invalid("spec", "missing", "say in the first request what to sample")
        spec, credit = codec.spec_from_wire(first.spec), Credit(first.credit)
        self._core.check(spec)
        context.add_callback(credit.close)
        threading.Thread(target=credit.read, args=(requests,), name="credit", daemon=True).start()
        generator = self._core.shard.generator()
        while credit.take() and not self._stopping.is_set():
            data = self._core.sampled(spec, generator, context.is_active)
            if data is None:
                return
            yield data

    # ----------------------------------------------------------------------------------------- others

    def update_priorities(
        self, request: wire.UpdatePrioritiesRequest, _: grpc.ServicerContext
    ) -> wire.UpdatePrioritiesResponse:
        priorities = np.array(request.priority, dtype=np.float64)
        updated = self._core.shard.update_priorities(
            request.table, list(request.episode_id), list(request.step), priorities
        )
        return wire.UpdatePrioritiesResponse(updated=updated)

    def annotate(self, requests: Iterator[wire.AnnotateRequest], _: grpc.ServicerContext) -> wire.AnnotateResponse:
        first = next(requests, None)
        if first is None or first.WhichOneof("event") != "begin":
            raise Invalid("event", "not begin", "send BEGIN, then VALUES, then COMMIT")
        values: Values = {}
        for request in requests:
            event = request.WhichOneof("event")
            if event == "commit":
                begin = first.begin
                result = self._core.shard.annotate(begin.world_version, values, extends=begin.extends)
                return codec.annotated_to_wire(result)
            if event != "values":
                raise Invalid("event", str(event), "send VALUES or COMMIT after BEGIN")
            episode_id, steps, remaining = codec.values_from_wire(request.values)
            self._core.shard.check_annotation(episode_id, steps, remaining)
            values[episode_id] = (steps, remaining)
        raise Invalid("event", "the stream ended without COMMIT", "send COMMIT last; nothing was labelled")

    def query(self, request: wire.QueryRequest, _: grpc.ServicerContext) -> wire.QueryResponse:
        found = self._core.shard.query(request.table, request.unlabelled_by, request.limit)
        return wire.QueryResponse(episodes=[codec.episode_info_to_wire(info) for info in found])

    def fetch(self, request: wire.FetchRequest, _: grpc.ServicerContext) -> Iterator[wire.FetchedSteps]:
        header, outcome, parts = self._core.shard.fetch_parts(request.episode_id)
        for number, part in enumerate(parts):
            message = wire.FetchedSteps(arrow=codec.steps_to_ipc(part, header.schema))
            if number == 0:
                message.header.CopyFrom(codec.header_to_wire(header))
                message.outcome = codec.outcome_to_wire(outcome)
            yield message

    def delete(self, request: wire.DeleteRequest, _: grpc.ServicerContext) -> wire.DeleteResponse:
        return wire.DeleteResponse(deleted=self._core.delete(list(request.episode_id), request.reason))

    def snapshot(self, request: wire.SnapshotRequest, _: grpc.ServicerContext) -> wire.SnapshotInfo:
        return keeping_codec.snapshot_to_wire(self._core.shard.snapshot(request.name))

    def list_snapshots(self, _: wire.ListSnapshotsRequest, __: grpc.ServicerContext) -> wire.ListSnapshotsResponse:
        return wire.ListSnapshotsResponse(snapshots=map(keeping_codec.snapshot_to_wire, self._core.shard.snapshots()))

    def drop_snapshot(self, request: wire.DropSnapshotRequest, _: grpc.ServicerContext) -> wire.DropSnapshotResponse:
        self._core.shard.drop_snapshot(request.name)
        return wire.DropSnapshotResponse()

    def create_view(self, request: wire.CreateViewRequest, _: grpc.ServicerContext) -> wire.ViewInfo:
        view = self._core.shard.view(request.name, list(request.episode_id), request.query)
        return keeping_codec.view_to_wire(view)

    def list_views(self, _: wire.ListViewsRequest, __: grpc.ServicerContext) -> wire.ListViewsResponse:
        return wire.ListViewsResponse(views=map(keeping_codec.view_to_wire, self._core.shard.views()))

    def drop_view(self, request: wire.DropViewRequest, _: grpc.ServicerContext) -> wire.DropViewResponse:
        self._core.shard.drop_view(request.name)
        return wire.DropViewResponse()

    def info(self, _: wire.InfoRequest, __: grpc.ServicerContext) -> wire.InfoResponse:
        message = codec.info_to_wire(self._core.shard.info())
        if self._bulk is not None:
            message.bulk.CopyFrom(self._bulk)
        return message

    # --------------------------------------------------------------------------------------- handlers

    def handlers(self) -> grpc.GenericRpcHandler:
        """As generated code would make them, but for Sample, whose answers are serialised already."""
        streamed = grpc.stream_stream_rpc_method_handler
        methods: dict[str, Any] = {
            "Append": streamed(self.append, wire.AppendRequest.FromString, wire.Appended.SerializeToString),
            "Sample": streamed(self.sample, wire.SampleRequest.FromString, None),
            "Annotate": grpc.stream_unary_rpc_method_handler(
                self.annotate, wire.AnnotateRequest.FromString, wire.AnnotateResponse.SerializeToString
            ),
            "Fetch": grpc.unary_stream_rpc_method_handler(
                self.fetch, wire.FetchRequest.FromString, wire.FetchedSteps.SerializeToString
            ),
            "UpdatePriorities": _unary(self.update_priorities, wire.UpdatePrioritiesRequest),
            "Query": _unary(self.query, wire.QueryRequest),
            "Delete": _unary(self.delete, wire.DeleteRequest),
            "Snapshot": _unary(self.snapshot, wire.SnapshotRequest),
            "ListSnapshots": _unary(self.list_snapshots, wire.ListSnapshotsRequest),
            "DropSnapshot": _unary(self.drop_snapshot, wire.DropSnapshotRequest),
            "CreateView": _unary(self.create_view, wire.CreateViewRequest),
            "ListViews": _unary(self.list_views, wire.ListViewsRequest),
            "DropView": _unary(self.drop_view, wire.DropViewRequest),
            "Info": _unary(self.info, wire.InfoRequest),
        }
        return grpc.method_handlers_generic_handler(SERVICE, methods)


def _unary(method: Callable[[Any, grpc.ServicerContext], Any], request: Any) -> Any:
    return grpc.unary_unary_rpc_method_handler(method, request.FromString, lambda answer: answer.SerializeToString())


class ReplayServer:
    """A core served over gRPC: what `main` runs and tests start in their own process."""

    def __init__(self, core: ReplayCore, token: str = "", calls: int = CALLS, bulk: wire.Bulk | None = None) -> None:
        """At most `calls` are served at the same time; every producer's and every learner's stream is one. Info tells
        of the `bulk` door, where there is one."""
        received = 2 * core.shard.config.limits.max_message_bytes
        bounds = Bounds(calls=calls, max_receive_bytes=received, max_send_bytes=MAX_SEND_BYTES)
        self._service = ReplayService(core, bulk)
        self._server = Server(bounds, (Guard(token, ENDLESS),))
        self._server.grpc.add_generic_rpc_handlers((self._service.handlers(),))

    def start(self, host: str, port: int) -> int:
        """The port served. Raises Unavailable where it is taken."""
        return self._server.start(host, port, (SERVICE,))

    def stop(self, grace_s: float = 2.0) -> None:
        """Tell probes, wake whoever waits, answer what was asked, cut the rest."""
        self._server.retire()
        self._service.interrupt()
        self._server.stop(grace_s)
