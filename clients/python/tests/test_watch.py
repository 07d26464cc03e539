"""A watched balance: what it yields, how it ends, and that it is not sent again."""

import asyncio
import threading
import time
from decimal import Decimal
from pathlib import Path

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from creditd import (
    AsyncBalanceWatch,
    AsyncClient,
    Client,
    CreditdError,
    DeadlineExceededError,
    UnavailableError,
)
from creditd.v1 import ledger_pb2
from tests.conftest import Connect
from tests.support.scripted import NO_ANSWER, Refusal, Scripted, scripted_server
from tests.support.server import running_server

WAIT_S_MAX = 20


def balance(available: str) -> ledger_pb2.WatchBalanceResponse:
    return ledger_pb2.WatchBalanceResponse(
        balance=ledger_pb2.Balance(available=available, held="0", read_time=Timestamp(seconds=1))
    )


def check_stream_ended(server: Scripted) -> None:
    assert server.stream_ended.wait(WAIT_S_MAX), "the server still serves the watch"


def test_it_yields_until_the_server_ends_it(connect: Connect) -> None:
    with scripted_server([balance("5"), balance("0.248")]) as server:
        watch = connect(server.address).iterate("watch_balance", "team-a", x_request_id="log-1")
        assert [one.available for one in watch] == [Decimal(5), Decimal("0.248")]
        assert list(watch) == []
    assert server.requests == [ledger_pb2.WatchBalanceRequest(account="team-a")]
    assert server.metadata[0]["x-request-id"] == "log-1"


def test_it_yields_before_the_stream_ends(connect: Connect) -> None:
    with scripted_server([balance("5"), NO_ANSWER]) as server:
        watch = connect(server.address).iterate("watch_balance", "team-a")
        assert next(watch).available == Decimal(5)
        assert not server.stream_ended.is_set()


def test_the_timeout_of_the_client_is_not_for_watches(connect: Connect) -> None:
    with scripted_server([balance("5")]) as server:
        driver = connect(server.address, timeout=0.5)
        list(driver.iterate("watch_balance", "team-a"))
        list(driver.iterate("watch_balance", "team-a", timeout=WAIT_S_MAX))
    # Without a deadline grpc gives None, or a number of centuries.
    without, with_one = server.stream_seconds_left
    assert without is None or without > 1e6
    assert with_one is not None
    assert WAIT_S_MAX / 2 < with_one < WAIT_S_MAX * 2


def test_a_timeout_of_its_own_ends_it(connect: Connect) -> None:
    with scripted_server([balance("5"), NO_ANSWER]) as server:
        watch = connect(server.address).iterate("watch_balance", "team-a", timeout=0.5)
        assert next(watch).available == Decimal(5)
        with pytest.raises(DeadlineExceededError):
            next(watch)


@pytest.mark.parametrize("before", [[], [balance("5")]])
def test_it_is_not_sent_again(
    before: list[ledger_pb2.WatchBalanceResponse], connect: Connect
) -> None:
    with scripted_server([*before, Refusal(grpc.StatusCode.UNAVAILABLE, "down")]) as server:
        watch = connect(server.address).iterate("watch_balance", "team-a")
        for _ in before:
            next(watch)
        with pytest.raises(UnavailableError, match="down") as caught:
            next(watch)
        assert isinstance(caught.value.__cause__, grpc.RpcError)
        assert len(server.requests) == 1


def test_closing_ends_it_here_and_there(connect: Connect) -> None:
    with scripted_server([balance("5"), NO_ANSWER]) as server:
        watch = connect(server.address).iterate("watch_balance", "team-a")
        next(watch)
        watch.close()
        watch.close()
        assert list(watch) == []
        check_stream_ended(server)


def test_another_thread_can_close_it() -> None:
    with (
        scripted_server([balance("5"), NO_ANSWER]) as server,
        Client(server.address) as client,
        client.watch_balance("team-a") as watch,
    ):
        next(watch)
        closing = threading.Timer(0.1, watch.close)
        closing.start()
        assert list(watch) == []
        closing.join()
        check_stream_ended(server)


def test_the_end_of_its_block_closes_it() -> None:
    with scripted_server([balance("5"), NO_ANSWER]) as server, Client(server.address) as client:
        with client.watch_balance("team-a") as watch:
            next(watch)
        check_stream_ended(server)


def test_it_keeps_the_connection_of_a_client_that_nobody_holds() -> None:
    with scripted_server([balance("5"), balance("4")]) as server:
        watch = Client(server.address).watch_balance("team-a")
        assert [one.available for one in watch] == [Decimal(5), Decimal(4)]


def test_the_end_of_the_client_is_no_quiet_end(connect: Connect) -> None:
    with scripted_server([balance("5"), NO_ANSWER]) as server:
        driver = connect(server.address)
        watch = driver.iterate("watch_balance", "team-a")
        next(watch)
        driver.call("close")
        check_stream_ended(server)
        with pytest.raises(CreditdError) as caught:
            next(watch)
        assert caught.value.code is grpc.StatusCode.CANCELLED


def test_a_watch_that_was_not_read_before_the_client_ended(connect: Connect) -> None:
    with scripted_server([balance("5"), NO_ANSWER]) as server:
        driver = connect(server.address)
        watch, closed = (driver.iterate("watch_balance", "team-a") for _ in range(2))
        closed.close()
        driver.call("close")
        with pytest.raises(CreditdError) as caught:
            next(watch)
        assert caught.value.code is grpc.StatusCode.CANCELLED
        assert list(closed) == []


def test_the_end_of_the_client_ends_a_wait() -> None:
    async def main(address: str) -> None:
        async with AsyncClient(address) as client:
            watch = client.watch_balance("team-a")
            await anext(watch)
            rest = asyncio.ensure_future(_rest(watch))
            await asyncio.sleep(0)
        with pytest.raises(CreditdError, match="client was closed"):
            await asyncio.wait_for(rest, WAIT_S_MAX)

    with scripted_server([balance("5"), NO_ANSWER]) as server:
        asyncio.run(main(server.address))
        check_stream_ended(server)


def test_another_task_can_close_it() -> None:
    async def main(address: str) -> None:
        async with AsyncClient(address) as client, client.watch_balance("team-a") as watch:
            await anext(watch)
            rest = asyncio.ensure_future(_rest(watch))
            await asyncio.sleep(0)
            await watch.close()
            assert await asyncio.wait_for(rest, WAIT_S_MAX) == []

    with scripted_server([balance("5"), NO_ANSWER]) as server:
        asyncio.run(main(server.address))
        check_stream_ended(server)


def test_a_task_that_is_cancelled_while_its_watch_is_closed_stays_cancelled() -> None:
    async def main(address: str) -> None:
        async with AsyncClient(address) as client, client.watch_balance("team-a") as watch:
            await anext(watch)
            rest = asyncio.ensure_future(_rest(watch))
            await asyncio.sleep(0)
            await watch.close()
            rest.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asyncio.wait_for(rest, WAIT_S_MAX)

    with scripted_server([balance("5"), NO_ANSWER]) as server:
        asyncio.run(main(server.address))


def test_a_wait_that_is_cancelled_ends_the_watch() -> None:
    async def main(address: str) -> None:
        async with AsyncClient(address) as client:
            watch = client.watch_balance("team-a")
            await anext(watch)
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(anext(watch), 0.1)
            start_s = time.monotonic()
            with pytest.raises((StopAsyncIteration, CreditdError)):
                await anext(watch)
            assert time.monotonic() - start_s < WAIT_S_MAX

    with scripted_server([balance("5"), NO_ANSWER]) as server:
        asyncio.run(main(server.address))
        check_stream_ended(server)


async def _rest(watch: AsyncBalanceWatch) -> list[Decimal]:
    return [one.available async for one in watch]


def test_it_ends_with_its_old_connection_and_goes_on_over_the_next(
    connect: Connect, tmp_path: Path
) -> None:
    with running_server(tmp_path, "127.0.0.1:0", "--connection-age-seconds-max", "1") as address:
        driver = connect(address)
        driver.call("grant", "team-a", 1)
        for ended in range(1, 4):
            # Of the last watch the server sends nothing further: it ends, and nothing raises.
            balances = list(driver.iterate("watch_balance", "team-a", timeout=WAIT_S_MAX))
            assert [one.available for one in balances] == [Decimal(ended)]
            for _ in range(20):
                assert driver.call("get_balance", "team-a").available == Decimal(ended)
            driver.call("grant", "team-a", 1)


def test_calls_beside_a_watch_do_not_fail_when_its_connection_is_old(
    connect: Connect, tmp_path: Path
) -> None:
    with running_server(tmp_path, "127.0.0.1:0", "--connection-age-seconds-max", "1") as address:
        driver = connect(address)
        driver.call("grant", "team-a", 1)
        end = time.monotonic() + 3
        while time.monotonic() < end:
            watch = driver.iterate("watch_balance", "team-a", timeout=WAIT_S_MAX)
            assert next(watch).available >= 1
            while time.monotonic() < end:
                driver.call("grant", "team-a", 1)
                if next(watch, None) is None:
                    break
            watch.close()
