"""A gRPC server that answers by a script and records the requests.

For what the real server does only on bad days: it is unavailable, slow, or says odd things.
"""

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.protobuf.any_pb2 import Any as AnyPb
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc.status_pb2 import Status

from creditd.v1 import ledger_pb2, pricing_pb2
from tests.support.schema import SERVICES, message_class

ESTIMATE = pricing_pb2.EstimateResponse(
    estimate=pricing_pb2.Estimate(service="ai_scripts", credits="0.2", display_credits="0.2")
)
ENTRY = ledger_pb2.Entry(
    credits="5", available="5", spent="0", held="0", create_time=Timestamp(seconds=1)
)
HOLD = ledger_pb2.HoldState(
    hold_id="h1",
    held="5",
    settled="0",
    status="HOLD_STATUS_OPEN",
    create_time=Timestamp(seconds=1),
    expire_time=Timestamp(seconds=2),
)
GRANT = ledger_pb2.GrantResponse(entry=ENTRY, available="5")
NO_ANSWER = object()
"""No answer until the caller has given up."""


@dataclass(frozen=True)
class Refusal:
    """A failure with these details, or with the bytes of `raw_details` in their place."""

    code: grpc.StatusCode
    message: str = "no"
    details: Sequence[Message] = ()
    raw_details: bytes | None = None
    trailing: Sequence[tuple[str, str]] = ()

    def wire_details(self) -> bytes:
        if self.raw_details is not None:
            return self.raw_details
        return bytes(self.status().SerializeToString())

    def status(self) -> Status:
        status = Status(code=self.code.value[0], message=self.message)
        for detail in self.details:
            packed = AnyPb()
            packed.Pack(detail)
            status.details.append(packed)
        return status


@dataclass
class Scripted:
    """Answers call n by script[n], and every call after the last by the last."""

    script: Sequence[object]
    requests: list[Any] = field(default_factory=list)
    metadata: list[dict[str, str]] = field(default_factory=list)
    metadata_pairs: list[list[tuple[str, Any]]] = field(default_factory=list)
    address: str = ""
    over: threading.Event = field(default_factory=threading.Event)
    stream_ended: threading.Event = field(default_factory=threading.Event)
    stream_seconds_left: list[float | None] = field(default_factory=list)

    def handler(self, service: ServiceDescriptor) -> grpc.GenericRpcHandler:
        """The handler of all methods of a service."""
        handlers = {}
        for method in service.methods:
            make, answer = (
                (grpc.unary_stream_rpc_method_handler, self._stream)
                if method.server_streaming
                else (grpc.unary_unary_rpc_method_handler, self._answer)
            )
            handlers[method.name] = make(
                answer,
                request_deserializer=message_class(method.input_type).FromString,
                response_serializer=message_class(method.output_type).SerializeToString,
            )
        return grpc.method_handlers_generic_handler(service.full_name, handlers)

    def _answer(self, request: Any, context: Any) -> Any:
        step = self.script[min(len(self.requests), len(self.script) - 1)]
        self._record(request, context)
        return self._do(step, context)

    def _stream(self, request: Any, context: Any) -> Iterator[Any]:
        """As `_answer`, where each step is a list of what the stream does, one after the other."""
        context.add_callback(self.stream_ended.set)
        steps = self.script[min(len(self.requests), len(self.script) - 1)]
        assert isinstance(steps, list)
        self._record(request, context)
        self.stream_seconds_left.append(context.time_remaining())
        for step in steps:
            if step is NO_ANSWER:
                self.over.wait()
            else:
                yield self._do(step, context)

    def _record(self, request: Any, context: Any) -> None:
        self.requests.append(request)
        pairs = [(key, value) for key, value in context.invocation_metadata()]
        self.metadata_pairs.append(pairs)
        self.metadata.append(dict(pairs))

    def _do(self, step: object, context: Any) -> Any:
        if step is NO_ANSWER:
            self.over.wait()
        if isinstance(step, Refusal):
            trailing = [("grpc-status-details-bin", step.wire_details()), *step.trailing]
            context.set_trailing_metadata(trailing)
            context.abort(step.code, step.message)
        return step


@contextmanager
def scripted_server(*script: object) -> Iterator[Scripted]:
    """The server with that script; `address` says where it listens."""
    scripted = Scripted(script)
    server = grpc.server(ThreadPoolExecutor(max_workers=4))
    server.add_generic_rpc_handlers([scripted.handler(service) for service in SERVICES])
    scripted.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        yield scripted
    finally:
        scripted.over.set()
        server.stop(grace=None).wait()
