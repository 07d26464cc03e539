"""Both clients under OpenTelemetry's instrumentation of grpc, and behind the usual interceptors."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any
from uuid import uuid4

import grpc
import pytest
from grpc import aio
from opentelemetry import trace
from opentelemetry.instrumentation.grpc import GrpcAioInstrumentorClient, GrpcInstrumentorClient
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from creditd import (
    AsyncClient,
    Client,
    CreditdError,
    DeadlineExceededError,
    InsufficientCreditsError,
    NotFoundError,
    UnavailableError,
)
from creditd._async.transport import Transport as AsyncTransport
from creditd._channel import Liveness
from creditd._sync import stream as sync_stream
from creditd._sync.transport import Transport
from tests.conftest import Connect
from tests.support.proxy import running_proxy
from tests.support.scripted import GRANT, NO_ANSWER, Refusal, scripted_server
from tests.support.traces import headers, traceparent
from tests.test_watch import WAIT_S_MAX, balance, check_stream_ended

Names = Callable[[], list[str]]


@pytest.fixture(scope="module")
def exporter() -> InMemorySpanExporter:
    """Where all spans go; a process has one such place."""
    recorded = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(recorded))
    trace.set_tracer_provider(provider)
    return recorded


@pytest.fixture
def spans(exporter: InMemorySpanExporter) -> Iterator[Names]:
    """Instruments grpc; gives the names of the spans that ended."""
    exporter.clear()
    make: list[Any] = [GrpcInstrumentorClient, GrpcAioInstrumentorClient]
    instrumentors = [one() for one in make]
    for one in instrumentors:
        one.instrument()
    try:
        yield lambda: [span.name.rpartition("/")[2] for span in exporter.get_finished_spans()]
    finally:
        for one in instrumentors:
            one.uninstrument()


def test_calls(connect: Connect, server: str, spans: Names) -> None:
    driver = connect(server)
    account = f"spans-{uuid4()}"
    driver.call("grant", account, 5)
    assert driver.call("charge", account, credits=1, timeout=100).available == Decimal(4)
    assert [entry.credits for entry in driver.iterate("list_entries", account)] == [-1, 5]
    with pytest.raises(InsufficientCreditsError) as caught:
        driver.call("charge", account, credits=9)
    assert caught.value.shortfall == Decimal(5)
    assert caught.value.x_request_id
    assert spans() == ["Grant", "Charge", "ListEntries", "Charge"]


def test_retries(connect: Connect, spans: Names) -> None:
    down = Refusal(grpc.StatusCode.UNAVAILABLE)
    with scripted_server(down) as server, pytest.raises(DeadlineExceededError) as caught:
        connect(server.address).call("get_balance", "team-a", timeout=3)
    assert isinstance(caught.value.__cause__, UnavailableError)
    assert spans().count("GetBalance") == caught.value.attempts > 1


@pytest.mark.usefixtures("spans")
def test_a_watch_in_its_block(connect: Connect, server: str) -> None:
    driver = connect(server)
    account = f"spans-{uuid4()}"
    driver.call("grant", account, 5)
    watch = driver.iterate("watch_balance", account)
    assert next(watch).available == Decimal(5)
    driver.call("charge", account, credits=1)
    assert next(watch).available == Decimal(4)
    watch.close()
    watch.close()
    assert list(watch) == []


def test_the_end_of_its_block_ends_the_stream(spans: Names) -> None:
    with scripted_server([balance("5"), NO_ANSWER]) as server, Client(server.address) as client:
        with client.watch_balance("team-a") as watch:
            next(watch)
        check_stream_ended(server)
        end_s = time.monotonic() + WAIT_S_MAX
        while spans() != ["WatchBalance"] and time.monotonic() < end_s:
            time.sleep(0.01)
    assert spans() == ["WatchBalance"]


def test_a_watch_that_nobody_closes_ends(spans: Names) -> None:
    with scripted_server([balance("5"), NO_ANSWER]) as server, Client(server.address) as client:
        watch = client.watch_balance("team-a")
        next(watch)
        del watch
        check_stream_ended(server)
        end_s = time.monotonic() + WAIT_S_MAX
        while spans() != ["WatchBalance"] and time.monotonic() < end_s:
            time.sleep(0.01)
    assert spans() == ["WatchBalance"]


@pytest.mark.usefixtures("spans")
def test_another_thread_closes_a_watch_that_waits() -> None:
    with (
        scripted_server([balance("5"), NO_ANSWER]) as server,
        Client(server.address) as client,
        client.watch_balance("team-a") as watch,
    ):
        next(watch)
        closing = threading.Timer(0.1, watch.close)
        closing.start()
        start_s = time.monotonic()
        assert list(watch) == []
        assert time.monotonic() - start_s < WAIT_S_MAX
        closing.join()


@pytest.mark.usefixtures("spans")
def test_a_watch_that_fails(connect: Connect) -> None:
    with scripted_server([balance("5"), Refusal(grpc.StatusCode.UNAVAILABLE, "down")]) as server:
        watch = connect(server.address).iterate("watch_balance", "team-a")
        next(watch)
        for _ in range(2):
            with pytest.raises(UnavailableError, match="down"):
                next(watch)


@pytest.mark.usefixtures("spans")
def test_a_wrapped_watch_is_renewed(monkeypatch: pytest.MonkeyPatch, server: str) -> None:
    """It ends by a deadline, since another thread cannot cancel a generator that is waited for."""
    monkeypatch.setattr(sync_stream, "RENEWAL_S", 0.2)
    account = f"renewed-{uuid4()}"
    with Client(server) as client:
        client.grant(account, 5)
        with client.watch_balance(account) as watch:
            assert next(watch).available == Decimal(5)
            charging = threading.Timer(1, client.charge, [account], {"credits": 1})
            charging.start()
            assert next(watch).available == Decimal(4)
            charging.join()
        with client.watch_balance(account, timeout=0.7) as watch:
            next(watch)
            with pytest.raises(DeadlineExceededError):
                next(watch)


@pytest.mark.usefixtures("spans")
def test_a_lost_connection_is_replaced(
    connect: Connect, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = Liveness(0.5, 0.25)
    monkeypatch.setattr(Transport, "_liveness", quick)
    monkeypatch.setattr(AsyncTransport, "_liveness", quick)
    account = f"lost-{uuid4()}"
    with running_proxy(server) as proxy:
        driver = connect(proxy.address)
        driver.call("grant", account, 5)
        watch = driver.iterate("watch_balance", account)
        next(watch)
        proxy.lose()
        assert driver.call("charge", account, credits=1, timeout=20).available == Decimal(4)
        assert next(watch).available == Decimal(4)
        assert proxy.accepted == 2
        watch.close()


def test_the_span_of_a_call_is_what_the_server_sees(
    connect: Connect, exporter: InMemorySpanExporter, spans: Names
) -> None:
    """It is a child of the current one, and takes its place in the headers, also one by hand."""
    by_hand = [("traceparent", "00-11111111111111111111111111111111-2222222222222222-01")]
    with (
        scripted_server(GRANT, GRANT, [balance("5")]) as server,
        trace.get_tracer("tests").start_as_current_span("render") as span,
    ):
        driver = connect(server.address)
        driver.call("grant", "team-a", 5)
        driver.call("grant", "team-a", 5, metadata=by_hand)
        assert [one.available for one in driver.iterate("watch_balance", "team-a")] == [5]
    assert sorted(spans()) == ["Grant", "Grant", "WatchBalance", "render"]
    calls = [one for one in exporter.get_finished_spans() if one.kind is trace.SpanKind.CLIENT]
    for one in calls:
        assert one.parent == span.get_span_context()
    assert headers(server) == [[("traceparent", traceparent(one))] for one in calls]


class Headers(grpc.UnaryUnaryClientInterceptor, grpc.UnaryStreamClientInterceptor):
    """Adds a header, and returns the call."""

    def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
        return continuation(details._replace(metadata=[*details.metadata, ("team", "a")]), request)

    def intercept_unary_stream(self, continuation: Any, details: Any, request: Any) -> Any:
        return self.intercept_unary_unary(continuation, details, request)


class Counting(grpc.UnaryStreamClientInterceptor):
    """Counts replies of a stream, by a generator around the call, as metrics do."""

    def __init__(self) -> None:
        self.replies = 0

    def intercept_unary_stream(self, continuation: Any, details: Any, request: Any) -> Any:
        return self._count(continuation(details, request))

    def _count(self, replies: Any) -> Iterator[Any]:
        for reply in replies:
            self.replies += 1
            yield reply


class Failing(grpc.UnaryUnaryClientInterceptor):
    """Raises an error of grpc's class that is no call."""

    def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
        del continuation, details, request
        raise grpc.RpcError("broken circuit")


@contextmanager
def intercepted(address: str, *interceptors: Any) -> Iterator[Client]:
    with grpc.insecure_channel(address) as channel:
        yield Client(channel=grpc.intercept_channel(channel, *interceptors))


def test_interceptors_of_a_given_channel(server: str) -> None:
    counting = Counting()
    account = f"intercepted-{uuid4()}"
    with intercepted(server, Headers(), counting) as client:
        client.grant(account, 5)
        with client.watch_balance(account) as watch:
            assert next(watch).available == Decimal(5)
            client.charge(account, credits=2)
            assert next(watch).available == Decimal(3)
        with pytest.raises(NotFoundError):
            client.get_balance(f"nobody-{uuid4()}")
    assert counting.replies == 2


def test_an_interceptor_that_fails(server: str) -> None:
    with intercepted(server, Failing()) as client, pytest.raises(CreditdError) as caught:
        client.get_balance("team-a")
    assert caught.value.code is grpc.StatusCode.UNKNOWN


class AioHeaders(aio.UnaryUnaryClientInterceptor):
    """Headers, for an event loop."""

    async def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
        details.metadata.add("team", "a")
        return await continuation(details, request)


class AioCounting(aio.UnaryStreamClientInterceptor):
    """Counting, for an event loop."""

    def __init__(self) -> None:
        self.replies = 0

    async def intercept_unary_stream(self, continuation: Any, details: Any, request: Any) -> Any:
        return self._count(await continuation(details, request))

    async def _count(self, replies: Any) -> Any:
        async for reply in replies:
            self.replies += 1
            yield reply


def test_interceptors_of_a_given_asynchronous_channel(server: str) -> None:
    counting = AioCounting()
    account = f"intercepted-{uuid4()}"

    async def main() -> None:
        async with aio.insecure_channel(server, interceptors=[AioHeaders(), counting]) as channel:
            client = AsyncClient(channel=channel)
            await client.grant(account, 5)
            async with client.watch_balance(account) as watch:
                assert (await anext(watch)).available == Decimal(5)
                await client.charge(account, credits=2)
                assert (await anext(watch)).available == Decimal(3)
            with pytest.raises(NotFoundError):
                await client.get_balance(f"nobody-{uuid4()}")

    asyncio.run(main())
    assert counting.replies == 2
