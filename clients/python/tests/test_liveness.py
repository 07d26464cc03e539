"""A connection that receives nothing any more is replaced, whatever waits over it."""

import asyncio
import logging
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from decimal import Decimal
from uuid import uuid4

import grpc
import pytest

from creditd import (
    AsyncClient,
    Client,
    CreditdError,
    DeadlineExceededError,
    UnavailableError,
)
from creditd._async.transport import Transport as AsyncTransport
from creditd._channel import Liveness, Security, channel_options
from creditd._sync.transport import Transport
from tests.conftest import Connect
from tests.support.drivers import Driver
from tests.support.proxy import Proxy, running_proxy
from tests.support.schema import SERVICES
from tests.support.scripted import ESTIMATE, NO_ANSWER, scripted_server
from tests.support.server import ADMIN_KEY

# The client's own limits divided by one factor, but for the probe's timeout: a machine that is busy
# must not be taken for a dead connection.
FACTOR = 20
QUICK = Liveness(Liveness().idle_s / FACTOR, 2 * Liveness().probe_timeout_s / FACTOR)
BACK_S_MAX = 60 / FACTOR


@pytest.fixture
def proxy(server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """A proxy before the real server, and clients with the shorter limits."""
    shorten_limits(monkeypatch)
    with running_proxy(server) as one:
        yield one


def shorten_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Transport, "_liveness", QUICK)
    monkeypatch.setattr(AsyncTransport, "_liveness", QUICK)


def check_back(
    driver: Driver, account: str, pace_s: float, deadline_s: float, lost_s: float
) -> None:
    """Calls at that pace until one is answered, which must be within BACK_S_MAX."""
    for number in range(1000):
        driver.idle(max(lost_s + number * pace_s - time.monotonic(), 0))
        try:
            driver.call("get_balance", account, timeout=deadline_s)
        except DeadlineExceededError:
            assert time.monotonic() - lost_s < BACK_S_MAX
        else:
            break
    assert time.monotonic() - lost_s < BACK_S_MAX


@pytest.mark.parametrize(
    ("pace_s", "deadline_s"), [(5, 10), (1, 2), (20, 4), (20, 10), (50, 4), (5, 60)]
)
def test_a_lost_connection_is_replaced_within_a_minute(
    pace_s: float, deadline_s: float, connect: Connect, proxy: Proxy
) -> None:
    driver = connect(proxy.address)
    account = f"lost-{uuid4()}"
    driver.call("grant", account, 5)
    proxy.lose()
    check_back(driver, account, pace_s / FACTOR, deadline_s / FACTOR, time.monotonic())
    assert proxy.accepted == 2


def test_many_threads_are_back_within_a_minute(proxy: Proxy) -> None:
    with Client(proxy.address, timeout=10 / FACTOR) as client:
        account = f"lost-{uuid4()}"
        client.grant(account, 5)
        proxy.lose()
        lost_s = time.monotonic()
        back_s: list[float] = []

        def call() -> None:
            while time.monotonic() - lost_s < BACK_S_MAX:
                with suppress(DeadlineExceededError):
                    client.get_balance(account)
                    break
            back_s.append(time.monotonic() - lost_s)

        threads = [threading.Thread(target=call) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(back_s) == len(threads)
    assert max(back_s) < BACK_S_MAX


def test_many_tasks_are_back_within_a_minute(proxy: Proxy) -> None:
    async def main() -> list[float]:
        async with AsyncClient(proxy.address, timeout=10 / FACTOR) as client:
            account = f"lost-{uuid4()}"
            await client.grant(account, 5)
            proxy.lose()
            lost_s = time.monotonic()

            async def call() -> float:
                while time.monotonic() - lost_s < BACK_S_MAX:
                    with suppress(DeadlineExceededError):
                        await client.get_balance(account)
                        break
                return time.monotonic() - lost_s

            return await asyncio.gather(*(call() for _ in range(16)))

    assert max(asyncio.run(main())) < BACK_S_MAX


def test_a_call_with_a_long_deadline_is_sent_again(connect: Connect, proxy: Proxy) -> None:
    driver = connect(proxy.address)
    account = f"lost-{uuid4()}"
    driver.call("grant", account, 5)
    proxy.lose()
    start_s = time.monotonic()
    charged = driver.call("charge", account, credits=1, timeout=100)
    assert time.monotonic() - start_s < BACK_S_MAX
    assert charged.available == Decimal(4)


def test_a_watch_goes_on_although_nobody_calls(connect: Connect, proxy: Proxy, server: str) -> None:
    driver = connect(proxy.address)
    account = f"lost-{uuid4()}"
    driver.call("grant", account, 5)
    watch = driver.iterate("watch_balance", account)
    assert next(watch).available == Decimal(5)
    proxy.lose()
    with Client(server) as other:
        changing = threading.Timer(0.1, other.charge, [account], {"credits": 1})
        changing.start()
        start_s = time.monotonic()
        assert next(watch).available == Decimal(4)
        assert time.monotonic() - start_s < BACK_S_MAX
        changing.join()
        # The balance that was yielded is not yielded again by the new stream.
        other.charge(account, credits=1)
        assert next(watch).available == Decimal(3)
    assert proxy.accepted == 2


def test_a_key_is_not_created_again_over_another_connection(
    connect: Connect, server_with_keys: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shorten_limits(monkeypatch)
    title = f"lost-{uuid4()}"
    with running_proxy(server_with_keys) as proxy:
        driver = connect(proxy.address, key=ADMIN_KEY)
        driver.call("grant", "team-a", 5)
        proxy.lose()
        with pytest.raises(UnavailableError, match="not known whether the call took effect"):
            driver.call("create_key", ["read"], title=title, timeout=100)
        assert [key for key in driver.iterate("list_keys") if key.title == title] == []


def test_a_watch_goes_on_with_the_key_of_then(
    connect: Connect, server_with_keys: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shorten_limits(monkeypatch)
    account = f"lost-{uuid4()}"
    admin = connect(server_with_keys, key=ADMIN_KEY)
    admin.call("grant", account, 5)
    keys = [admin.call("create_key", ["read"]) for _ in range(2)]
    left = [key.secret for key in keys]
    with running_proxy(server_with_keys) as proxy:
        watch = connect(proxy.address, key=lambda: left.pop(0)).iterate("watch_balance", account)
        assert next(watch).available == 5
        proxy.lose()
        admin.call("revoke_key", keys[0].key.key_id)
        admin.call("grant", account, 1)
        assert next(watch).available == 6
    assert left == []


def test_a_watch_that_is_quiet_keeps_its_connection(connect: Connect, proxy: Proxy) -> None:
    driver = connect(proxy.address)
    account = f"quiet-{uuid4()}"
    driver.call("grant", account, 5)
    watch = driver.iterate("watch_balance", account, timeout=5 * QUICK.idle_s)
    next(watch)
    with pytest.raises(DeadlineExceededError):
        next(watch)
    assert proxy.accepted == 1


def test_a_slow_server_is_not_a_lost_one(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Transport, "_liveness", QUICK)
    monkeypatch.setattr(AsyncTransport, "_liveness", QUICK)
    with (
        scripted_server(NO_ANSWER, NO_ANSWER, ESTIMATE) as server,
        running_proxy(server.address) as proxy,
    ):
        driver = connect(proxy.address)
        for _ in range(2):
            with pytest.raises(DeadlineExceededError):
                driver.call("estimate", "ai_scripts", timeout=2 * QUICK.probe_timeout_s)
        driver.call("estimate", "ai_scripts")
        assert proxy.accepted == 1


def test_a_given_channel_is_never_replaced(proxy: Proxy) -> None:
    with grpc.insecure_channel(proxy.address) as channel, Client(channel=channel) as client:
        client.grant("team-a", 5)
        proxy.lose()
        for _ in range(3):
            with pytest.raises(DeadlineExceededError):
                client.get_balance("team-a", timeout=QUICK.idle_s)
    assert proxy.accepted == 1


def test_it_is_logged(proxy: Proxy, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "creditd")
    with Client(proxy.address) as client:
        client.grant("team-a", 5)
        proxy.lose()
        client.get_balance("team-a", timeout=100, metadata=[("token", "hush")])
    lines = [record.getMessage() for record in caplog.records]
    assert lines == [
        f"nothing comes over the connection to {proxy.address} any more; another takes its place",
        "GetBalance is sent again: its connection was replaced",
        "GetBalance was answered at attempt 2",
    ]


def test_clients_send_no_pings() -> None:
    assert not [
        name for name, _ in channel_options("127.0.0.1:1", Security(None)) if "keepalive" in name
    ]


@pytest.mark.parametrize("method", ["close", "get_balance"])
def test_a_client_that_ends_meanwhile(method: str, proxy: Proxy) -> None:
    client = Client(proxy.address)
    client.grant("team-a", 5)
    proxy.lose()
    closing = threading.Timer(QUICK.idle_s, client.close)
    closing.start()
    with pytest.raises(CreditdError) as caught:
        client.get_balance("team-a", timeout=1.5 * QUICK.idle_s if method == "close" else 0.1)
    closing.join()
    assert caught.value.code in {grpc.StatusCode.CANCELLED, grpc.StatusCode.DEADLINE_EXCEEDED}


def test_scripted_servers_know_no_health() -> None:
    # So that the tests above also show that UNIMPLEMENTED answers a probe.
    assert "grpc.health.v1.Health" not in {service.full_name for service in SERVICES}
