"""Every call ends in time: by the client's timeout, or by its own."""

import time
from datetime import timedelta

import pytest

from creditd import DeadlineExceededError, RetryPolicy, Usage
from tests.conftest import Connect
from tests.support.scripted import NO_ANSWER, scripted_server

LONG_S = 20


def test_the_timeout_of_the_client(connect: Connect) -> None:
    with scripted_server(NO_ANSWER) as server:
        _check_ends_soon(connect, server.address, client_timeout=0.2, call_timeout=None)


def test_the_timeout_of_a_call_goes_first(connect: Connect) -> None:
    with scripted_server(NO_ANSWER) as server:
        _check_ends_soon(
            connect,
            server.address,
            client_timeout=LONG_S,
            call_timeout=timedelta(milliseconds=200),
        )


def _check_ends_soon(
    connect: Connect, address: str, client_timeout: float, call_timeout: timedelta | None
) -> None:
    driver = connect(address, timeout=client_timeout, retry=RetryPolicy(max_attempts=100))
    start_s = time.monotonic()
    with pytest.raises(DeadlineExceededError) as caught:
        driver.call("grant", "team-a", 5, timeout=call_timeout)
    assert 0.19 <= time.monotonic() - start_s < LONG_S
    assert caught.value.request_id
    assert not caught.value.retryable


def test_a_deadline_that_no_server_can_keep(connect: Connect, server: str) -> None:
    with pytest.raises(DeadlineExceededError):
        connect(server).call("batch_estimate", [Usage("ai_scripts")] * 10_000, timeout=0.001)
