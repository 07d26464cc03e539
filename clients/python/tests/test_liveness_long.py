"""The client's own limits for a silent connection, in real time: `make test-long`.

Marked as long, which the ordinary run leaves out.
"""

import asyncio
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from uuid import uuid4

import grpc
import pytest

from creditd import AsyncClient, Client, DeadlineExceededError
from creditd.v1 import ledger_pb2
from tests.support.proxy import running_proxy
from tests.test_watch import balance

pytestmark = pytest.mark.long

BACK_S_MAX = 60
QUIET_S = 400
# Pace of calls and their deadline, and how many callers there are.
CASES = [
    (5, 10, 1),
    (1, 1, 1),
    (20, 10, 1),
    (20, 2, 1),
    (50, 1, 1),
    (0.1, 10, 8),
    (5, 120, 4),
]


def _blocking(address: str, pace_s: float, deadline_s: float) -> float:
    """Seconds until a call is answered again."""
    with running_proxy(address) as proxy, Client(proxy.address) as client:
        account = f"long-{uuid4()}"
        client.grant(account, 5)
        proxy.lose()
        lost_s = time.monotonic()
        for number in range(10_000):
            time.sleep(max(lost_s + number * pace_s - time.monotonic(), 0))
            with suppress(DeadlineExceededError):
                client.get_balance(account, timeout=deadline_s)
                break
            if time.monotonic() - lost_s > BACK_S_MAX:
                break
        return time.monotonic() - lost_s


async def _asynchronous(address: str, pace_s: float, deadline_s: float) -> float:
    with running_proxy(address) as proxy:
        async with AsyncClient(proxy.address) as client:
            account = f"long-{uuid4()}"
            await client.grant(account, 5)
            proxy.lose()
            lost_s = time.monotonic()
            for number in range(10_000):
                await asyncio.sleep(max(lost_s + number * pace_s - time.monotonic(), 0))
                with suppress(DeadlineExceededError):
                    await client.get_balance(account, timeout=deadline_s)
                    break
                if time.monotonic() - lost_s > BACK_S_MAX:
                    break
            return time.monotonic() - lost_s


async def _all_asynchronous(address: str) -> list[float]:
    return await asyncio.gather(
        *(
            _asynchronous(address, pace_s, deadline_s)
            for pace_s, deadline_s, callers in CASES
            for _ in range(callers)
        )
    )


def test_every_pace_is_back_within_a_minute(server: str) -> None:
    with ThreadPoolExecutor(32) as pool:
        asynchronous = pool.submit(asyncio.run, _all_asynchronous(server))
        blocking = [
            pool.submit(_blocking, server, pace_s, deadline_s)
            for pace_s, deadline_s, callers in CASES
            for _ in range(callers)
        ]
        took_s = [*asynchronous.result(), *(job.result() for job in blocking)]
    assert [one_s for one_s in took_s if one_s >= BACK_S_MAX] == []


def test_a_quiet_watch_is_kept_by_a_server_with_the_policy_of_grpc() -> None:
    """Its policy is to close connections that ping more often than every 5 minutes."""
    with (
        quiet_server(QUIET_S) as address,
        Client(address) as client,
        client.watch_balance("team-a") as watch,
    ):
        assert [one.available for one in watch] == [5, 4]


@contextmanager
def quiet_server(quiet_s: float) -> Iterator[str]:
    """A server of grpc with its defaults, whose watches send nothing for so long."""
    over = threading.Event()

    def watch(_: ledger_pb2.WatchBalanceRequest, __: object) -> Iterator[object]:
        yield balance("5")
        over.wait(quiet_s)
        yield balance("4")

    handler = grpc.unary_stream_rpc_method_handler(
        watch,
        request_deserializer=ledger_pb2.WatchBalanceRequest.FromString,
        response_serializer=ledger_pb2.WatchBalanceResponse.SerializeToString,
    )
    server = grpc.server(ThreadPoolExecutor(4))
    service = grpc.method_handlers_generic_handler(
        "creditd.v1.LedgerService", {"WatchBalance": handler}
    )
    server.add_generic_rpc_handlers((service,))
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        yield address
    finally:
        over.set()
        server.stop(grace=None).wait()
