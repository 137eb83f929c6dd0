"""The gRPC door: decode, call, encode."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import numpy as np
from rampwire.v1 import replay_pb2 as wire

from ramp.errors import Invalid, Unavailable
from ramp.replay.annotations import Values
from ramp.replay.entry import Written
from ramp.replay.gather import MAX_BATCH_BYTES
from services.common import codec, keeping_codec
from services.common.access import Client
from services.common.append_codec import request_from_bytes
from services.common.certificates import Certificates
from services.common.code import code
from services.common.gate import Gate
from services.common.interceptors import Guard
from services.common.server import Bounds, Server
from services.common.tls import CertificateFiles
from services.replay.appending import Request, appended
from services.replay.author import Author
from services.replay.core import MAX_DELETED, MAX_REASON, POLL_S, ReplayCore
from services.replay.streams import Credit, Inbox
from services.replay.upkeep import Recheck

logger = logging.getLogger(__name__)

SERVICE = "ramp.v1.Replay"
ENDLESS = (f"/{SERVICE}/Append", f"/{SERVICE}/Sample")
CALLS, CONNECTIONS = 128, 2048  # at the same time, where nobody says otherwise
MAX_SEND_BYTES = MAX_BATCH_BYTES + 2**26  # with the texts of every item; what clients accept too


class ReplayService:
    """The methods of the contract."""

    def __init__(
        self,
        core: ReplayCore,
        gate: Gate,
        caller: Callable[[grpc.ServicerContext], Client],
        bulk: wire.Bulk | None,
    ) -> None:
        self._core, self._gate, self._caller, self._bulk = core, gate, caller, bulk
        self._stopping = threading.Event()

    def interrupt(self) -> None:
        """Let the streams end: the server is going."""
        self._stopping.set()
        self._core.shard.interrupt()

    # ---------------------------------------------------------------------------------------- Append

    def append(self, requests: Iterator[Request], context: grpc.ServicerContext) -> Iterator[wire.Appended]:
        """Writes what has arrived, syncs once, then answers it all."""
        author = Author(self._core, self._gate.quotas, self._caller(context))
        with Inbox(requests) as inbox:
            while group := inbox.take():
                written: list[Written] = []
                answers = [appended(author, request, written, context.is_active) for request in group]
                self._core.sync(written)
                yield from answers
                author.slow_down(self._stopping.wait)

    # ---------------------------------------------------------------------------------------- Sample

    def sample(self, requests: Iterator[wire.SampleRequest], context: grpc.ServicerContext) -> Iterator[bytes]:
        first = next(requests, None)
        if first is None or not first.HasField("spec"):
            raise Invalid("spec", "missing", "say in the first request what to sample")
        spec, credit = codec.spec_from_wire(first.spec), Credit(first.credit)
        self._core.check(spec)
        context.add_callback(credit.close)
        threading.Thread(target=credit.read, args=(requests,), name="credit", daemon=True).start()
        generator, client = self._core.shard.generator(), self._caller(context)
        while credit.take() and self._await_quota(client, context.is_active):
            data = self._core.sampled(spec, generator, context.is_active)
            if data is None:
                return
            self._gate.quotas.charge(client, len(data))
            yield data

    def _await_quota(self, client: Client, alive: Callable[[], bool]) -> bool:
        """Until the client may be sent more; False once it has gone, or the server goes."""
        while alive() and (debt_s := self._gate.quotas.debt_s(client)) > 0 and not self._stopping.is_set():
            self._stopping.wait(min(debt_s, POLL_S))
        return not self._stopping.is_set() and alive()

    # ----------------------------------------------------------------------------------------- others

    def update_priorities(
        self, request: wire.UpdatePrioritiesRequest, _: grpc.ServicerContext
    ) -> wire.UpdatePrioritiesResponse:
        priorities = np.array(request.priority, dtype=np.float64)
        updated = self._core.shard.update_priorities(
            request.table, list(request.episode_id), np.array(request.step, dtype=np.int64), priorities
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

    def fetch(self, request: wire.FetchRequest, context: grpc.ServicerContext) -> Iterator[wire.FetchedSteps]:
        client = self._caller(context)
        header, outcome, parts = self._core.shard.fetch_parts(request.episode_id)
        for number, part in enumerate(parts):
            if not self._await_quota(client, context.is_active):
                raise Unavailable("the server is going")
            message = wire.FetchedSteps(arrow=codec.steps_to_ipc(part, header.schema))
            if number == 0:
                message.header.CopyFrom(codec.header_to_wire(header))
                message.outcome = codec.outcome_to_wire(outcome)
            self._gate.quotas.charge(client, len(message.arrow))
            yield message

    def delete(self, request: wire.DeleteRequest, context: grpc.ServicerContext) -> wire.DeleteResponse:
        episodes, reason = list(request.episode_id), request.reason
        with self._gate.audited(
            self._caller(context), "Delete", episodes=episodes[:MAX_DELETED], reason=reason[:MAX_REASON]
        ):
            return wire.DeleteResponse(deleted=self._core.delete(episodes, reason))

    def snapshot(self, request: wire.SnapshotRequest, context: grpc.ServicerContext) -> wire.SnapshotInfo:
        with self._gate.audited(self._caller(context), "Snapshot", name=request.name[:160]):
            return keeping_codec.snapshot_to_wire(self._core.shard.snapshot(request.name))

    def list_snapshots(self, _: wire.ListSnapshotsRequest, __: grpc.ServicerContext) -> wire.ListSnapshotsResponse:
        return wire.ListSnapshotsResponse(snapshots=map(keeping_codec.snapshot_to_wire, self._core.shard.snapshots()))

    def drop_snapshot(
        self, request: wire.DropSnapshotRequest, context: grpc.ServicerContext
    ) -> wire.DropSnapshotResponse:
        with self._gate.audited(self._caller(context), "DropSnapshot", name=request.name[:160]):
            self._core.shard.drop_snapshot(request.name)
        return wire.DropSnapshotResponse()

    def create_view(self, request: wire.CreateViewRequest, context: grpc.ServicerContext) -> wire.ViewInfo:
        name, query = request.name, request.query
        with self._gate.audited(self._caller(context), "CreateView", name=name[:160], query=query[:MAX_REASON]):
            return keeping_codec.view_to_wire(self._core.shard.view(name, list(request.episode_id), query))

    def list_views(self, _: wire.ListViewsRequest, __: grpc.ServicerContext) -> wire.ListViewsResponse:
        return wire.ListViewsResponse(views=map(keeping_codec.view_to_wire, self._core.shard.views()))

    def drop_view(self, request: wire.DropViewRequest, context: grpc.ServicerContext) -> wire.DropViewResponse:
        with self._gate.audited(self._caller(context), "DropView", name=request.name[:160]):
            self._core.shard.drop_view(request.name)
        return wire.DropViewResponse()

    def info(self, _: wire.InfoRequest, __: grpc.ServicerContext) -> wire.InfoResponse:
        message = codec.info_to_wire(self._core.shard.info())
        message.code = code()
        if self._bulk is not None:
            message.bulk.CopyFrom(self._bulk)
        return message

    # --------------------------------------------------------------------------------------- handlers

    def handlers(self) -> grpc.GenericRpcHandler:
        """As generated code would make them, but for Sample, whose answers are serialised already."""
        streamed = grpc.stream_stream_rpc_method_handler
        methods: dict[str, Any] = {
            "Append": streamed(self.append, request_from_bytes, wire.Appended.SerializeToString),
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

    def __init__(
        self,
        core: ReplayCore,
        gate: Gate | None = None,
        *,
        calls: int = CALLS,
        connections: int = CONNECTIONS,
        bulk: wire.Bulk | None = None,
    ) -> None:
        """Without a gate everybody is served. At most `calls` are served at the same time; every producer's and every
        learner's stream is one. Info tells of the `bulk` door, where there is one."""
        gate = gate or Gate()
        received = 2 * core.shard.config.limits.max_message_bytes
        bounds = Bounds(calls=calls, connections=connections, max_receive_bytes=received, max_send_bytes=MAX_SEND_BYTES)
        guard = Guard(gate, ENDLESS)
        self._service = ReplayService(core, gate, guard.caller, bulk)
        self._server = Server(bounds, (guard,))
        self._server.grpc.add_generic_rpc_handlers((self._service.handlers(),))
        self._recheck = Recheck(guard.recheck)

    def start(self, host: str, port: int, tls: CertificateFiles | None = None) -> int:
        """The port served. Raises Unavailable where it is taken; Invalid, NotFound for unfit certificates."""
        bound = self._server.start(host, port, (SERVICE,), Certificates(tls) if tls else None)
        self._recheck.start()
        return bound

    def retire(self) -> None:
        """Tell probes and balancers that this server is going; calls are still answered."""
        self._server.retire()

    def stop(self, grace_s: float = 2.0) -> None:
        """Tell probes, wake whoever waits, answer what was asked, cut the rest."""
        self._recheck.stop()
        self.retire()
        self._service.interrupt()
        self._server.stop(grace_s)
