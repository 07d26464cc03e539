"""Calls carry the trace of the current span, each its own."""

import asyncio
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import grpc
import pytest
from opentelemetry import baggage, context, propagate, trace
from opentelemetry.context import Context
from opentelemetry.propagators.textmap import (
    CarrierT,
    Getter,
    Setter,
    TextMapPropagator,
    default_getter,
    default_setter,
)
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, TraceState

from creditd import AsyncClient, Client, DeadlineExceededError
from creditd._async.transport import Transport as AsyncTransport
from creditd._channel import Liveness
from creditd._sync.transport import Transport
from tests.conftest import Connect
from tests.support.proxy import running_proxy
from tests.support.scripted import GRANT, Refusal, scripted_server
from tests.support.server import running_server
from tests.support.traces import (
    TRACER,
    UNSAMPLED_TRACER,
    W3C_HEADERS,
    headers,
    lines_of,
    trace_id,
    traceparent,
)
from tests.test_key import INVALID
from tests.test_pages import entries
from tests.test_watch import WAIT_S_MAX

CONCURRENT_CALLS = 16


@dataclass(frozen=True)
class Logging:
    """A real server that logs each call."""

    address: str
    log: Path


@pytest.fixture(scope="module")
def logging(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Logging]:
    folder = tmp_path_factory.mktemp("traces")
    options = ("--log-calls", "--log-format", "json")
    with running_server(folder, "127.0.0.1:0", *options) as address:
        yield Logging(address, folder / "stderr.txt")


def new_account() -> str:
    return f"traced-{uuid4()}"


def test_the_line_of_a_call_has_the_trace_of_its_span(connect: Connect, logging: Logging) -> None:
    driver, account = connect(logging.address), new_account()
    with TRACER.start_as_current_span("render") as span:
        driver.call("grant", account, 5)
        driver.call("charge", account, credits=1)
        # So long that the connection is watched meanwhile.
        driver.call("charge", account, credits=1, timeout=100)
        assert len(list(driver.iterate("list_entries", account, page_size=2))) == 3
    lines = lines_of(logging.log, 5, trace_id=trace_id(span), account=account)
    methods = [line["method"].rpartition("/")[2] for line in lines]
    assert methods == ["Grant", "Charge", "Charge", "ListEntries", "ListEntries"]


def test_a_watch_is_part_of_the_trace_in_which_it_was_asked_for(
    connect: Connect, logging: Logging, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when it goes on over another connection."""
    quick = Liveness(0.5, 0.25)
    monkeypatch.setattr(Transport, "_liveness", quick)
    monkeypatch.setattr(AsyncTransport, "_liveness", quick)
    account = new_account()
    with running_proxy(logging.address) as proxy:
        driver = connect(proxy.address)
        driver.call("grant", account, 5)
        with TRACER.start_as_current_span("watches") as span:
            watch = driver.iterate("watch_balance", account)
        next(watch)
        proxy.lose()
        with TRACER.start_as_current_span("charges"):
            driver.call("charge", account, credits=1, timeout=20)
        assert next(watch).available == 4
        watch.close()
    method = "/creditd.v1.LedgerService/WatchBalance"
    lines_of(logging.log, 2, trace_id=trace_id(span), method=method)


def test_threads_do_not_mix_their_traces(logging: Logging) -> None:
    accounts = [new_account() for _ in range(CONCURRENT_CALLS)]
    together = threading.Barrier(CONCURRENT_CALLS)

    def grant(account: str) -> str:
        with TRACER.start_as_current_span(account) as span:
            together.wait()
            client.grant(account, 1)
        return trace_id(span)

    with Client(logging.address) as client, ThreadPoolExecutor(CONCURRENT_CALLS) as pool:
        traces = list(pool.map(grant, accounts))
    assert len(set(traces)) == CONCURRENT_CALLS
    for account, one in zip(accounts, traces, strict=True):
        (line,) = lines_of(logging.log, 1, account=account)
        assert line["trace_id"] == one


def test_tasks_do_not_mix_their_traces(logging: Logging) -> None:
    accounts = [new_account() for _ in range(CONCURRENT_CALLS)]

    async def main() -> list[str]:
        async with AsyncClient(logging.address) as client:
            together = asyncio.Event()

            async def grant(account: str) -> str:
                with TRACER.start_as_current_span(account) as span:
                    await together.wait()
                    await client.grant(account, 1)
                return trace_id(span)

            tasks = [asyncio.create_task(grant(account)) for account in accounts]
            await asyncio.sleep(0)
            together.set()
            return await asyncio.gather(*tasks)

    traces = asyncio.run(main())
    assert len(set(traces)) == CONCURRENT_CALLS
    for account, one in zip(accounts, traces, strict=True):
        (line,) = lines_of(logging.log, 1, account=account)
        assert line["trace_id"] == one


def test_each_attempt_carries_it(connect: Connect) -> None:
    down = Refusal(grpc.StatusCode.UNAVAILABLE)
    with scripted_server(down, down, GRANT) as server, TRACER.start_as_current_span("x") as span:
        connect(server.address).call("grant", "team-a", 5)
    assert headers(server) == [[("traceparent", traceparent(span))]] * 3


def test_an_attempt_with_another_key_carries_it(connect: Connect) -> None:
    """The key's function has a span of its own, and the call keeps its own."""
    keys = iter(["first", "second"])

    def key() -> str:
        with TRACER.start_as_current_span("asks for a key"):
            return next(keys)

    with scripted_server(INVALID, GRANT) as server, TRACER.start_as_current_span("x") as span:
        connect(server.address, key=key).call("grant", "team-a", 5)
    assert headers(server) == [[("traceparent", traceparent(span))]] * 2


def test_each_page_is_part_of_the_trace_that_reads_it(connect: Connect) -> None:
    with scripted_server(entries("1", then="b"), entries("2")) as server:
        iterator = connect(server.address).iterate("list_entries", "team-a")
        spans = []
        for _ in range(2):
            with TRACER.start_as_current_span("reads") as span:
                next(iterator)
            spans.append(span)
    assert headers(server) == [[("traceparent", traceparent(span))] for span in spans]


class Silent(grpc.GenericRpcHandler):
    """Records the headers of all calls, and answers a health check alone, by UNIMPLEMENTED."""

    def __init__(self) -> None:
        self.received: dict[str, list[str]] = {}
        self.over = threading.Event()

    def service(self, handler_call_details: Any) -> Any:
        names = [name for name, _ in handler_call_details.invocation_metadata]
        method = handler_call_details.method.rpartition("/")[2]
        self.received[method] = [name for name in names if name in W3C_HEADERS]
        if method == "Check":
            return None
        return grpc.unary_unary_rpc_method_handler(lambda *_: self.over.wait())


def test_a_probe_is_part_of_no_trace(connect: Connect) -> None:
    silent = Silent()
    server = grpc.server(ThreadPoolExecutor(2))
    server.add_generic_rpc_handlers([silent])
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        driver = connect(address)
        with TRACER.start_as_current_span("x"):
            with pytest.raises(DeadlineExceededError):
                driver.call("get_balance", "team-a", timeout=0.2)
            end_s = time.monotonic() + WAIT_S_MAX
            while "Check" not in silent.received:
                assert time.monotonic() < end_s, "no probe was sent"
                driver.idle(0.01)
    finally:
        silent.over.set()
        server.stop(grace=None).wait()
    assert silent.received == {"GetBalance": ["traceparent"], "Check": []}


def test_nothing_is_sent_without_a_span(connect: Connect) -> None:
    with scripted_server(GRANT) as server:
        connect(server.address).call("grant", "team-a", 5)
    assert headers(server) == [[]]


def test_a_trace_that_is_not_sampled_is_sent_as_such(connect: Connect) -> None:
    with (
        scripted_server(GRANT) as server,
        UNSAMPLED_TRACER.start_as_current_span("x") as span,
    ):
        connect(server.address).call("grant", "team-a", 5)
    assert headers(server) == [[("traceparent", traceparent(span))]]
    assert not span.get_span_context().trace_flags.sampled


REMOTE = SpanContext(
    0x4BF92F3577B34DA6A3CE929D0E0E4736,
    0x00F067AA0BA902B7,
    is_remote=True,
    trace_flags=TraceFlags(1),
    trace_state=TraceState([("vendor", "opaque")]),
)
TRACEPARENT = ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
TRACESTATE = ("tracestate", "vendor=opaque")
BY_HAND = ("traceparent", "00-11111111111111111111111111111111-2222222222222222-01")


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ([], [TRACEPARENT, TRACESTATE, ("baggage", "team=a%C3%A9")]),
        # tracestate would be of another trace.
        ([BY_HAND], [BY_HAND, ("baggage", "team=a%C3%A9")]),
        ([("baggage", "by=hand")], [("baggage", "by=hand"), TRACEPARENT, TRACESTATE]),
    ],
    ids=["nothing by hand", "a trace by hand", "baggage by hand"],
)
def test_what_the_propagators_send(
    given: list[tuple[str, str]], sent: list[tuple[str, str]], connect: Connect
) -> None:
    current = trace.set_span_in_context(NonRecordingSpan(REMOTE))
    token = context.attach(baggage.set_baggage("team", "aé", current))
    try:
        with scripted_server(GRANT) as server:
            connect(server.address).call("grant", "team-a", 5, metadata=given)
    finally:
        context.detach(token)
    # grpc keeps no order.
    assert [sorted(pairs) for pairs in headers(server)] == [sorted(sent)]


class OddPropagator(TextMapPropagator):
    """Sends names in capitals, and what no header can have."""

    def inject(
        self,
        carrier: CarrierT,
        context: Context | None = None,
        setter: Setter[CarrierT] = default_setter,
    ) -> None:
        del context
        setter.set(carrier, "X-Team-Trace", "1")
        setter.set(carrier, "x-lines", "1\n2")
        setter.set(carrier, "no name", "1")
        setter.set(carrier, "x-trace-bin", "1")

    def extract(
        self,
        carrier: CarrierT,
        context: Context | None = None,
        getter: Getter[CarrierT] = default_getter,
    ) -> Context:
        raise NotImplementedError

    @property
    def fields(self) -> set[str]:
        return {"X-Team-Trace"}


def test_no_call_fails_for_what_a_propagator_sends(connect: Connect) -> None:
    before = propagate.get_global_textmap()
    propagate.set_global_textmap(OddPropagator())
    try:
        with scripted_server(GRANT) as server, TRACER.start_as_current_span("x"):
            connect(server.address).call("grant", "team-a", 5)
    finally:
        propagate.set_global_textmap(before)
    names = ("x-team-trace", "x-lines", "no name", "x-trace-bin")
    assert headers(server, *names) == [[("x-team-trace", "1")]]


# Run by a Python of its own. A span can be current although what sends it is missing.
WITHOUT = """
import asyncio, logging, sys
logging.basicConfig()
blocked, address = sys.argv[1:]
if blocked == "opentelemetry.propagate":
    from opentelemetry.sdk.trace import TracerProvider
    span = TracerProvider().get_tracer("tests").start_as_current_span("x")
    span.__enter__()
if blocked:
    sys.modules[blocked] = None
import creditd

async def main():
    async with creditd.AsyncClient(address) as client:
        await client.grant("team-a", 5)

with creditd.Client(address) as client:
    client.grant("team-a", 5)
    imported = set(sys.modules)
    client.grant("team-a", 5)
    assert set(sys.modules) == imported
asyncio.run(main())
"""


@pytest.mark.parametrize(
    ("blocked", "environment", "printed"),
    [
        ("opentelemetry", {}, ""),
        ("opentelemetry.propagate", {}, ""),
        ("", {"OTEL_PROPAGATORS": "unheard-of"}, "WARNING:creditd:calls carry no trace context: "),
    ],
)
def test_without_opentelemetry(blocked: str, environment: dict[str, str], printed: str) -> None:
    with scripted_server(GRANT) as server:
        done = subprocess.run(  # noqa: S603 - this Python
            [sys.executable, "-c", WITHOUT, blocked, server.address],
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 0, done.stdout
    assert done.stdout.startswith(printed)
    assert bool(done.stdout) is bool(printed)
    assert headers(server) == [[]] * 3
