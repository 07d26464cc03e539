"""Calls are sent again only where that helps, as often as the policy says, as the same call."""

import asyncio
import logging
import re
import socket
import threading
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo

from creditd import (
    AsyncClient,
    Charge,
    Client,
    CreditdError,
    DeadlineExceededError,
    GrantResult,
    RateLimitedError,
    RetryPolicy,
    UnavailableError,
)
from creditd._attempts import Attempts
from creditd.v1 import admin_pb2
from tests.conftest import Connect
from tests.support.samples import sample_request
from tests.support.scenario_calls import arguments, client_method
from tests.support.schema import METHODS, WRITES
from tests.support.scripted import GRANT, Refusal, scripted_server
from tests.support.server import running_server

FAST = RetryPolicy(max_attempts=4, initial_backoff_s=0.001, max_backoff_s=0.002)
DOWN = Refusal(grpc.StatusCode.UNAVAILABLE)
IN_300_MS = Refusal(
    grpc.StatusCode.UNAVAILABLE, details=[RetryInfo(retry_delay=Duration(nanos=300_000_000))]
)
IN_A_MINUTE = Refusal(
    grpc.StatusCode.UNAVAILABLE, details=[RetryInfo(retry_delay=Duration(seconds=60))]
)


def unavailable(retry_after_s: float | None = None) -> CreditdError:
    after = None if retry_after_s is None else timedelta(seconds=retry_after_s)
    return UnavailableError("no", code=grpc.StatusCode.UNAVAILABLE, retry_after=after)


@pytest.mark.parametrize(
    ("made", "error", "now_s", "jitter", "pause_s"),
    [
        # the backoff doubles up to its maximum, and is multiplied by the jitter
        (1, unavailable(), 0, 1, 1),
        (1, unavailable(), 0, 0, 0),
        (1, unavailable(), 0, 0.5, 0.5),
        (2, unavailable(), 0, 1, 2),
        (3, unavailable(), 0, 1, 3),
        (1_000_000, unavailable(), 0, 1, 3),
        # the retry_after of the server is added to it
        (1, unavailable(10), 0, 0, 10),
        (1, unavailable(10), 0, 1, 11),
        # it leaves time for one more attempt
        (3, unavailable(), 98.01, 1, 1.98),
        (3, unavailable(97.49), 0, 1, 99.99),
    ],
)
def test_pauses(
    made: int, error: CreditdError, now_s: float, jitter: float, pause_s: float
) -> None:
    policy = RetryPolicy(initial_backoff_s=1, max_backoff_s=3)
    attempts = Attempts(policy, deadline_s=100, made=made)
    assert attempts.pause_s(error, now_s, jitter) == pytest.approx(pause_s)


@pytest.mark.parametrize(
    "error",
    [
        # the last attempt was made
        unavailable(),
        # nothing but UNAVAILABLE and RATE_LIMITED is sent again
        CreditdError("no", code=grpc.StatusCode.DEADLINE_EXCEEDED),
        CreditdError("no", code=grpc.StatusCode.INTERNAL),
        CreditdError("no", code=grpc.StatusCode.RESOURCE_EXHAUSTED),
    ],
)
def test_what_is_final_is_raised(error: CreditdError) -> None:
    attempts = Attempts(RetryPolicy(max_attempts=4), deadline_s=100, made=4)
    with pytest.raises(CreditdError) as caught:
        attempts.pause_s(error, 0, 1)
    assert caught.value is error
    assert error.attempts == 4


@pytest.mark.parametrize(("error", "now_s"), [(unavailable(), 99.995), (unavailable(100), 0)])
def test_no_pause_goes_past_the_deadline(error: CreditdError, now_s: float) -> None:
    attempts = Attempts(RetryPolicy(), deadline_s=100, made=7)
    with pytest.raises(DeadlineExceededError, match="in 7 attempts; the last one was refused: no"):
        attempts.pause_s(error, now_s, 0)


def test_a_deadline_that_passes_in_an_attempt_keeps_the_last_refusal() -> None:
    refusal, late = unavailable(), DeadlineExceededError("", code=grpc.StatusCode.DEADLINE_EXCEEDED)
    attempts = Attempts(RetryPolicy(), deadline_s=100)
    attempts.pause_s(refusal, 0, 1)
    attempts.start(90)
    with pytest.raises(DeadlineExceededError) as caught:
        attempts.pause_s(late, 100, 1)
    assert caught.value is late
    assert late.__cause__ is refusal
    assert (refusal.attempts, late.attempts) == (1, 2)


def test_an_attempt_has_what_is_left() -> None:
    attempts = Attempts(RetryPolicy(), deadline_s=100)
    assert (attempts.start(90), attempts.made) == (10, 2)
    with pytest.raises(DeadlineExceededError, match="in 2 attempts"):
        attempts.start(100)


@pytest.mark.parametrize(
    "arguments",
    [
        {"max_attempts": 0},
        {"initial_backoff_s": 0},
        {"max_attempts": -1},
        {"initial_backoff_s": 3},
        {"max_backoff_s": float("inf")},
        {"max_backoff_s": float("nan")},
    ],
)
def test_policies_without_bounds_are_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be"):
        RetryPolicy(**arguments)


def test_a_write_is_repeated_as_the_same_write(connect: Connect) -> None:
    with scripted_server(DOWN, DOWN, GRANT) as server:
        connect(server.address, retry=FAST).call("grant", "team-a", 5, x_request_id="log-1")
    first, second, third = server.requests
    assert first == second == third
    assert first.request_id
    assert [sent["x-request-id"] for sent in server.metadata] == ["log-1"] * 3


@pytest.mark.parametrize("method", WRITES)
def test_every_write_is_repeated_with_the_request_id_that_the_client_made(
    method: str, connect: Connect
) -> None:
    request = sample_request(METHODS[method].input_type)
    del request["request_id"]
    name, given = client_method(method), arguments(method, request)
    with scripted_server(DOWN, DOWN, Refusal(grpc.StatusCode.INTERNAL)) as server:
        driver = connect(server.address, retry=FAST)
        with pytest.raises(CreditdError) as caught:
            driver.call(name, **given)
        with pytest.raises(CreditdError) as other:
            driver.call(name, **given)
    first, second, third, again = server.requests
    assert first == second == third
    assert first.request_id == caught.value.request_id
    assert again.request_id == other.value.request_id
    assert "" != first.request_id != again.request_id


def refused(code: str, reason: str, retry_after_ms: int = 0) -> Refusal:
    info = ErrorInfo(reason=reason, domain="creditd")
    wait = RetryInfo(retry_delay=Duration(nanos=retry_after_ms * 1_000_000))
    return Refusal(grpc.StatusCode[code], details=[info, wait] if retry_after_ms else [info])


def test_what_is_rate_limited_is_sent_again_when_the_server_says(connect: Connect) -> None:
    limited = refused("RESOURCE_EXHAUSTED", "RATE_LIMITED", 300)
    with scripted_server(limited, GRANT) as server:
        driver = connect(server.address, retry=FAST)
        start_s = time.monotonic()
        driver.call("grant", "team-a", 5)
        assert time.monotonic() - start_s > 0.3
    first, second = server.requests
    assert first == second
    with scripted_server(limited) as server:
        with pytest.raises(DeadlineExceededError) as caught:
            connect(server.address).call("grant", "team-a", 5, timeout=0.2)
        assert isinstance(caught.value.__cause__, RateLimitedError)
        assert len(server.requests) == 1


NEW_KEY = admin_pb2.CreateKeyResponse(
    key=admin_pb2.Key(key_id="k1", create_time=Timestamp(seconds=1))
)


@pytest.mark.parametrize(
    ("refusal", "attempts"),
    [
        (DOWN, 1),
        (IN_300_MS, 1),
        (refused("UNAVAILABLE", "STORE_UNAVAILABLE", 1), 1),
        (refused("UNAVAILABLE", "A_REASON_OF_THE_FUTURE", 1), 1),
        (refused("UNAVAILABLE", "SERVER_OVERLOADED", 1), 2),
        (refused("UNAVAILABLE", "CLOCK_NOT_BELIEVED", 1), 2),
        (refused("RESOURCE_EXHAUSTED", "RATE_LIMITED", 1), 2),
    ],
)
def test_a_key_is_created_again_only_where_none_was(
    refusal: Refusal, attempts: int, connect: Connect
) -> None:
    with scripted_server(refusal, NEW_KEY) as server:
        driver = connect(server.address, retry=FAST)
        if attempts > 1:
            assert driver.call("create_key", ["read"]).key.key_id == "k1"
        else:
            with pytest.raises(UnavailableError) as caught:
                driver.call("create_key", ["read"])
            assert caught.value.attempts == 1
        assert len(server.requests) == attempts


def test_a_key_is_not_created_again_over_another_connection() -> None:
    attempts = Attempts(RetryPolicy(), deadline_s=100, repeatable=False)
    with pytest.raises(UnavailableError, match="not known whether") as caught:
        attempts.check_lost()
    assert caught.value.attempts == 1
    Attempts(RetryPolicy(), deadline_s=100).check_lost()


def test_a_batch_is_repeated_as_the_same_charges(connect: Connect) -> None:
    with scripted_server(DOWN, DOWN, Refusal(grpc.StatusCode.INTERNAL)) as server:
        driver = connect(server.address, retry=FAST)
        charges = [Charge("team-a", credits=1), Charge("team-b", credits=2)]
        for _ in range(2):
            with pytest.raises(CreditdError):
                driver.call("batch_charge", charges)
    ids = [[item.request_id for item in request.charges] for request in server.requests]
    assert ids == [[charge.request_id for charge in charges]] * 4


def test_retries_end_with_the_deadline_and_say_why(connect: Connect) -> None:
    with scripted_server(DOWN) as server:
        start_s = time.monotonic()
        with pytest.raises(DeadlineExceededError) as caught:
            connect(server.address).call("grant", "team-a", 5, timeout=2, request_id="order-18")
        took_s = time.monotonic() - start_s
    error = caught.value
    assert 1 < took_s < 5
    # The last attempt may have ended before it reached the server.
    assert error.attempts - len(server.requests) in (0, 1)
    assert error.attempts > 2
    assert error.request_id == "order-18"
    assert isinstance(error.__cause__, UnavailableError)
    assert isinstance(error.__cause__.__cause__, grpc.RpcError)


def test_no_retry_after_the_client_was_closed() -> None:
    with scripted_server(IN_300_MS) as server, Client(server.address) as client:
        closing = threading.Timer(0.1, client.close)
        closing.start()
        with pytest.raises(CreditdError, match="client was closed") as caught:
            client.grant("team-a", 5, request_id="order-18")
        closing.join()
        assert caught.value.code is grpc.StatusCode.CANCELLED
        assert (caught.value.request_id, caught.value.attempts) == ("order-18", 1)
        assert len(server.requests) == 1


def test_no_retry_after_the_task_was_cancelled() -> None:
    async def main(address: str) -> None:
        async with AsyncClient(address) as client:
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(client.grant("team-a", 5), 0.1)
            await asyncio.sleep(0.4)

    with scripted_server(IN_300_MS) as server:
        asyncio.run(main(server.address))
        assert len(server.requests) == 1


def test_attempts_are_bounded_where_it_is_asked_for(connect: Connect) -> None:
    with scripted_server(DOWN) as server:
        with pytest.raises(UnavailableError):
            connect(server.address, retry=FAST).call("grant", "team-a", 5)
        assert len(server.requests) == FAST.max_attempts


def test_one_attempt_is_no_retry(connect: Connect) -> None:
    with scripted_server(DOWN) as server:
        with pytest.raises(UnavailableError):
            connect(server.address, retry=RetryPolicy(max_attempts=1)).call("grant", "team-a", 5)
        assert len(server.requests) == 1


def test_other_failures_are_final(connect: Connect) -> None:
    with scripted_server(Refusal(grpc.StatusCode.ABORTED)) as server:
        with pytest.raises(CreditdError):
            connect(server.address, retry=FAST).call("grant", "team-a", 5)
        assert len(server.requests) == 1


def test_the_server_says_when(connect: Connect) -> None:
    with scripted_server(IN_300_MS, GRANT) as server:
        driver = connect(server.address, retry=FAST)
        start_s = time.monotonic()
        driver.call("grant", "team-a", 5)
        assert time.monotonic() - start_s >= 0.3


def test_no_wait_goes_past_the_timeout(connect: Connect) -> None:
    with scripted_server(IN_A_MINUTE) as server:
        driver = connect(server.address, retry=FAST)
        start_s = time.monotonic()
        with pytest.raises(DeadlineExceededError) as caught:
            driver.call("grant", "team-a", 5, timeout=20)
        assert time.monotonic() - start_s < 20
        assert len(server.requests) == 1
    refusal = caught.value.__cause__
    assert isinstance(refusal, UnavailableError)
    assert refusal.retry_after == timedelta(minutes=1)
    assert refusal.request_id == caught.value.request_id == server.requests[0].request_id


def test_a_server_that_comes_late_is_found(connect: Connect, tmp_path: Path) -> None:
    address = _free_address()
    driver = connect(address, timeout=60)
    refused = threading.Event()
    done = threading.Event()
    up_at_s: list[float] = []

    def start_late() -> None:
        assert refused.wait(30)
        with running_server(tmp_path, listen=address):
            up_at_s.append(time.monotonic())
            assert done.wait(60)

    late = threading.Thread(target=start_late)
    late.start()
    try:
        with pytest.raises(DeadlineExceededError) as caught:
            driver.call("grant", "team-a", 5, request_id="order-17", timeout=2)
        assert caught.value.request_id == "order-17"
        assert caught.value.attempts > 1
        assert isinstance(caught.value.__cause__, UnavailableError)
        refused.set()
        granted: GrantResult = driver.call("grant", "team-a", 5, request_id="order-17")
        found_at_s = time.monotonic()
        again: GrantResult = driver.call("grant", "team-a", 5, request_id="order-17")
    finally:
        refused.set()
        done.set()
        late.join()
    assert (granted.entry.request_id, granted.replayed) == ("order-17", False)
    assert again.replayed
    assert again.entry == granted.entry
    # By itself, grpc tries to connect every 5 s. A pause is 2 s at most, here and in grpc.
    assert found_at_s - up_at_s[0] < 4.9


def _free_address() -> str:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"127.0.0.1:{listener.getsockname()[1]}"


def test_retries_are_logged_without_what_was_sent(
    connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "creditd")
    with scripted_server(DOWN, GRANT) as server:
        driver = connect(server.address, retry=FAST)
        driver.call("grant", "team-secret", 5, metadata=[("token", "hush")], request_id="order-18")
    refused, answered = [record.getMessage() for record in caplog.records]
    assert re.fullmatch(
        r"Grant was refused as UNAVAILABLE and is sent again in 0\.\d+ s, after attempt 1", refused
    )
    assert answered == "Grant was answered at attempt 2"


def test_the_log_is_silent_until_it_is_set_up() -> None:
    assert any(
        isinstance(one, logging.NullHandler) for one in logging.getLogger("creditd").handlers
    )
