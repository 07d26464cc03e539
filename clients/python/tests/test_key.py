"""The key of a client: what is sent, when it is asked for, and where it must not go."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc.error_details_pb2 import ErrorInfo
from grpc.experimental import insecure_channel_credentials

import creditd
from creditd import AsyncClient, Client, RetryPolicy
from creditd.v1 import ledger_pb2
from tests.conftest import Connect
from tests.support.scripted import ESTIMATE, Refusal, scripted_server

SECRET = "creditd_0123456789abcdefABCDEF"  # noqa: S105 - of nobody
BALANCE = ledger_pb2.WatchBalanceResponse(
    balance=ledger_pb2.Balance(available="5", held="0", read_time=Timestamp(seconds=1))
)
DOWN = Refusal(grpc.StatusCode.UNAVAILABLE)
ELSEWHERE = "credits.example.com:50051"


def refusal(code: str, reason: str) -> Refusal:
    return Refusal(grpc.StatusCode[code], "because", [ErrorInfo(reason=reason, domain="creditd")])


INVALID = refusal("UNAUTHENTICATED", "KEY_INVALID")
REQUIRED = refusal("UNAUTHENTICATED", "KEY_REQUIRED")


def in_turn(*keys: str) -> Callable[[], str]:
    """A function that gives one key after the other, the last one for ever."""

    def each() -> Iterator[str]:
        yield from keys
        while True:
            yield keys[-1]

    return each().__next__


def bearers(metadata: list[dict[str, str]]) -> list[str | None]:
    return [one.get("authorization") for one in metadata]


@pytest.mark.parametrize("key", [SECRET, lambda: SECRET])
def test_every_call_has_it(key: Any, connect: Connect) -> None:
    with scripted_server(ESTIMATE) as server:
        driver = connect(server.address, key=key)
        driver.call("estimate", "ai_scripts")
        driver.call("estimate", "ai_scripts", metadata=[("team", "a")])
    assert bearers(server.metadata) == [f"Bearer {SECRET}"] * 2
    assert server.metadata[1]["team"] == "a"


@pytest.mark.parametrize("key", [SECRET, lambda: SECRET])
def test_a_watch_has_it(key: Any, connect: Connect) -> None:
    with scripted_server([BALANCE]) as server:
        assert len(list(connect(server.address, key=key).iterate("watch_balance", "team-a"))) == 1
    assert bearers(server.metadata) == [f"Bearer {SECRET}"]


def test_without_one_none_is_sent(connect: Connect) -> None:
    with scripted_server(ESTIMATE) as server:
        connect(server.address).call("estimate", "ai_scripts")
        connect(server.address).call("estimate", "a", metadata=[("authorization", "Bearer x")])
    assert bearers(server.metadata) == [None, "Bearer x"]


def test_a_function_is_asked_before_each_attempt(connect: Connect) -> None:
    with scripted_server(DOWN, DOWN, ESTIMATE) as server:
        driver = connect(server.address, key=in_turn("one", "two", "three", "four"))
        driver.call("estimate", "ai_scripts")
        driver.call("estimate", "ai_scripts")
    assert bearers(server.metadata) == ["Bearer one", "Bearer two", "Bearer three", "Bearer four"]


def test_a_coroutine_function_is_awaited() -> None:
    async def key() -> str:
        await asyncio.sleep(0)
        return SECRET

    async def main(address: str) -> None:
        async with AsyncClient(address, key=key) as client:
            await client.estimate("ai_scripts")
            assert [one.available async for one in client.watch_balance("team-a")] == [5]

    with scripted_server(ESTIMATE, [BALANCE]) as server:
        asyncio.run(main(server.address))
    assert bearers(server.metadata) == [f"Bearer {SECRET}"] * 2


@pytest.mark.parametrize(
    ("keys", "refused", "sent"),
    [
        ("one", INVALID, ["one"]),
        (("one",), INVALID, ["one"]),
        (("one", "two"), INVALID, ["one", "two"]),
        (("one", "two", "three"), INVALID, ["one", "two"]),
        (("one", "two"), REQUIRED, ["one"]),
    ],
)
def test_a_refused_key_is_not_sent_again(
    keys: str | tuple[str, ...], refused: Refusal, sent: list[str], connect: Connect
) -> None:
    key = keys if isinstance(keys, str) else in_turn(*keys)
    with scripted_server(*([refused] * len(sent)), ESTIMATE) as server:
        driver = connect(server.address, key=key)
        with pytest.raises(creditd.UnauthenticatedError) as caught:
            driver.call("estimate", "ai_scripts")
    assert bearers(server.metadata) == [f"Bearer {one}" for one in sent]
    assert caught.value.attempts == len(sent)


def test_a_key_that_was_exchanged_meanwhile_gets_through(connect: Connect) -> None:
    with scripted_server(INVALID, ESTIMATE) as server:
        connect(server.address, key=in_turn("old", "new")).call("estimate", "ai_scripts")
    assert bearers(server.metadata) == ["Bearer old", "Bearer new"]


def test_one_attempt_is_one(connect: Connect) -> None:
    with scripted_server(INVALID, ESTIMATE) as server:
        driver = connect(
            server.address, key=in_turn("old", "new"), retry=RetryPolicy(max_attempts=1)
        )
        with pytest.raises(creditd.UnauthenticatedError):
            driver.call("estimate", "ai_scripts")
    assert bearers(server.metadata) == ["Bearer old"]


class VaultError(Exception):
    """What the function of a caller raises."""


def sealed() -> str:
    raise VaultError


def test_what_the_function_raises_is_raised(connect: Connect) -> None:
    with scripted_server([BALANCE]) as server:
        driver = connect(server.address, key=sealed)
        with pytest.raises(VaultError) as caught:
            driver.call("charge", "team-a", credits=1, request_id="order-17")
        assert creditd.request_id_of(caught.value) == "order-17"
        with pytest.raises(VaultError):
            next(driver.iterate("watch_balance", "team-a"))
        assert server.requests == []


def test_a_function_that_takes_too_long() -> None:
    async def key() -> str:
        await asyncio.sleep(100)
        return SECRET

    async def main(address: str) -> None:
        async with AsyncClient(address, key=key) as client:
            with pytest.raises(creditd.DeadlineExceededError, match="gives the key") as caught:
                await client.charge("team-a", credits=1, request_id="order-17", timeout=0.2)
            assert (caught.value.attempts, caught.value.request_id) == (0, "order-17")
            with pytest.raises(creditd.DeadlineExceededError, match="gives the key"):
                await anext(client.watch_balance("team-a", timeout=0.2))
            watch = client.watch_balance("team-a")
            waiting = asyncio.ensure_future(_rest(watch))
            await asyncio.sleep(0.01)
            await watch.close()
            assert await asyncio.wait_for(waiting, 20) == []

    with scripted_server(ESTIMATE) as server:
        asyncio.run(main(server.address))
        assert server.requests == []


async def _rest(watch: creditd.AsyncBalanceWatch) -> list[creditd.Balance]:
    return [one async for one in watch]


def test_a_blocking_function_that_took_too_long(connect: Connect) -> None:
    def key() -> str:
        time.sleep(0.3)
        return SECRET

    with scripted_server(ESTIMATE) as server:
        driver = connect(server.address, key=key)
        with pytest.raises(creditd.DeadlineExceededError, match="gives the key"):
            driver.call("estimate", "ai_scripts", timeout=0.2)
        with pytest.raises(creditd.DeadlineExceededError, match="gives the key"):
            next(driver.iterate("watch_balance", "team-a", timeout=0.2))


UNUSABLE = [
    ("", ValueError, "the key is empty"),
    (f"{SECRET}\n", ValueError, "white space, as the text of a file may"),
    (f" {SECRET}", ValueError, "white space"),
    (f"Bearer {SECRET}", ValueError, 'without "Bearer"'),
    (f"{SECRET}\r\nx: y", ValueError, "only visible ASCII"),
    (f"{SECRET}\0", ValueError, "only visible ASCII"),
    (f"{SECRET}é", ValueError, "only visible ASCII"),
]


@pytest.mark.parametrize(("key", "error", "says"), UNUSABLE)
def test_keys_that_cannot_be_sent(
    key: str, error: type[Exception], says: str, connect: Connect
) -> None:
    with pytest.raises(error, match=says) as caught:
        connect("127.0.0.1:1", key=key)
    assert SECRET not in str(caught.value)
    with scripted_server(ESTIMATE) as server:
        with pytest.raises(error, match=says) as caught:
            connect(server.address, key=lambda: key).call("estimate", "ai_scripts")
        assert SECRET not in str(caught.value)
        assert server.requests == []


def test_what_is_no_key(connect: Connect) -> None:
    with pytest.raises(TypeError, match=r"key must be a str, or a function .* not bytes"):
        connect("127.0.0.1:1", key=SECRET.encode())
    with scripted_server(ESTIMATE) as server:
        with pytest.raises(TypeError, match="the key must be a str, not bytes"):
            connect(server.address, key=SECRET.encode).call("estimate", "ai_scripts")
        assert server.requests == []


@pytest.mark.parametrize(
    "target",
    [
        ELSEWHERE,
        "10.0.0.1:50051",
        "0.0.0.0:50051",
        "[::]:50051",
        "[2001:db8::1]:50051",
        "[::ffff:10.0.0.1]:50051",
        "dns:///credits.example.com:50051",
        "dns:///localhost.example.com:50051",
        "dns://10.0.0.1/localhost:50051",
        "127.0.0.1.example.com:50051",
        "2130706433:50051",
        "ipv4:127.0.0.1:50051,10.0.0.1:50051",
        "ipv6:[::1]:50051,[2001:db8::1]:50051",
        "xds:///localhost",
    ],
)
@pytest.mark.parametrize("key", [SECRET, lambda: SECRET])
def test_plaintext_to_another_machine_is_refused(target: str, key: Any, connect: Connect) -> None:
    with pytest.raises(ValueError, match="leave insecure out, for TLS") as caught:
        connect(target, key=key, insecure=True)
    assert SECRET not in str(caught.value)
    connect(target, key=key)
    connect(target, key=key, credentials=grpc.ssl_channel_credentials())
    connect(target, insecure=True)


@pytest.mark.parametrize(
    "target",
    [
        "127.0.0.1:50051",
        "127.8.9.1:50051",
        "localhost:50051",
        "[::1]:50051",
        "[::ffff:127.0.0.1]:50051",
        "unix:/run/creditd.sock",
        "dns:///localhost:50051",
        "ipv4:127.0.0.1:50051,127.0.0.2:50051",
    ],
)
def test_plaintext_on_this_machine_is_allowed(target: str, connect: Connect) -> None:
    connect(target, key=SECRET)
    connect(target, key=SECRET, insecure=True)


def test_credentials_can_be_plaintext_too(connect: Connect) -> None:
    with pytest.raises(ValueError, match="leave insecure out, for TLS"):
        connect(ELSEWHERE, key=SECRET, credentials=insecure_channel_credentials())


def test_no_other_key_beside_it(connect: Connect) -> None:
    with scripted_server(ESTIMATE) as server:
        driver = connect(server.address, key=SECRET)
        another = [("authorization", "x")]
        with pytest.raises(ValueError, match="make another client for another key"):
            driver.call("estimate", "ai_scripts", metadata=another)
        with pytest.raises(ValueError, match="make another client for another key"):
            driver.iterate("watch_balance", "team-a", metadata=another)
        assert server.requests == []


def test_a_given_channel_has_its_own() -> None:
    with (
        grpc.insecure_channel("127.0.0.1:1") as channel,
        pytest.raises(ValueError, match="not sent over a channel of yours"),
    ):
        Client(channel=channel, key=SECRET)


def test_tls_that_fails_does_not_ask_for_plaintext(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("creditd._channel.is_local", lambda _: False)
    with scripted_server(ESTIMATE) as server:
        with pytest.raises(creditd.UnavailableError, match="by TLS: tls= asks") as caught:
            connect(server.address, key=SECRET).call("estimate", "ai_scripts")
        assert "insecure" not in str(caught.value)
        assert server.requests == []


def test_nothing_shows_it(connect: Connect, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    shown: list[object] = []
    with scripted_server(DOWN, INVALID, INVALID) as server:
        driver: Any = connect(server.address, key=SECRET)
        client = driver._client  # noqa: SLF001
        shown += [client, *vars(client).values()]
        for options in ({}, {"metadata": [("x", "a\nb")]}, {"x_request_id": "a\nb"}):
            with pytest.raises((creditd.CreditdError, ValueError)) as caught:
                driver.call("charge", "team-a", credits=1, **options)
            shown += [caught.value, caught.value.__cause__, vars(caught.value)]
        watch = driver.iterate("watch_balance", "team-a")
        shown.append(watch)
    shown += [record.getMessage() for record in caplog.records]
    assert "KEY_INVALID" in repr(shown)
    assert [text for text in map(repr, shown) if SECRET in text] == []
    assert [text for text in map(str, shown) if SECRET in text] == []
