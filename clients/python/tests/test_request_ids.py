"""A write that ends without an answer can be repeated by the id that it carried."""

import asyncio
import signal
import threading
from typing import Any
from uuid import uuid4

import pytest

from creditd import (
    AsyncClient,
    Client,
    DeadlineExceededError,
    NotFoundError,
    new_request_id,
    request_id_of,
)
from tests.conftest import Connect
from tests.support.scripted import NO_ANSWER, scripted_server

ENOUGH_S = 0.2


def test_made_ids_differ() -> None:
    assert len({new_request_id() for _ in range(1000)}) == 1000


async def _limited(write: Any, limit_s: float) -> str | None:
    """The id of a write that was not answered in time; None where it was."""
    try:
        await asyncio.wait_for(write, limit_s)
    except asyncio.TimeoutError as error:
        return request_id_of(error)
    return None


async def _cancelled(write: Any) -> BaseException:
    """The exception of `asyncio.wait_for` around a write that takes too long."""
    try:
        await asyncio.wait_for(write, ENOUGH_S)
    except asyncio.TimeoutError as error:
        return error
    raise AssertionError("it was answered")


def test_a_write_that_wait_for_cancels() -> None:
    async def main(address: str) -> list[str]:
        async with AsyncClient(address) as client:
            errors = await asyncio.gather(
                *(_cancelled(client.charge(f"team-{number}", credits=1)) for number in range(8)),
                _cancelled(client.grant("team-8", 1)),
                _cancelled(client.charge("team-9", credits=1, request_id="order-17")),
                _cancelled(client.charge("team-10", credits=1, timeout=100)),
            )
            return [request_id_of(error) for error in errors]

    with scripted_server(*([NO_ANSWER] * 4)) as server:
        ids = asyncio.run(main(server.address))
        sent = {one.account: one.request_id for one in server.requests}
    assert "" not in ids
    assert len(set(ids)) == len(ids)
    assert ids[9] == "order-17"
    # The server has threads for a few of them.
    assert {f"team-{ids.index(one)}" for one in sent.values()} == set(sent)


def test_a_task_that_is_cancelled() -> None:
    async def main(address: str) -> BaseException:
        async with AsyncClient(address) as client:
            task = asyncio.ensure_future(client.charge("team-a", credits=1))
            await asyncio.sleep(ENOUGH_S)
            task.cancel()
            with pytest.raises(asyncio.CancelledError) as caught:
                await task
            return caught.value

    with scripted_server(NO_ANSWER) as server:
        error = asyncio.run(main(server.address))
        assert request_id_of(error) == server.requests[0].request_id


def test_nothing_is_paid_twice_that_is_repeated_so(server: str) -> None:
    async def main() -> None:
        account = f"twice-{uuid4()}"
        async with AsyncClient(server) as client:
            await client.grant(account, 100)
            for number in range(20):
                # Some of them are done, and others are not, or were cancelled before they began.
                request_id = await _limited(client.charge(account, credits=1), number / 10_000)
                if request_id is not None:
                    await client.charge(account, credits=1, request_id=request_id or None)
            assert (await client.get_balance(account)).available == 80

    asyncio.run(main())


def test_an_error_has_it(connect: Connect) -> None:
    with scripted_server(NO_ANSWER) as server:
        with pytest.raises(DeadlineExceededError) as caught:
            connect(server.address).call("charge", "team-a", credits=1, timeout=ENOUGH_S)
        assert request_id_of(caught.value) == caught.value.request_id
        assert caught.value.request_id == server.requests[0].request_id


def test_reads_and_other_errors_have_none(connect: Connect, server: str) -> None:
    with pytest.raises(NotFoundError) as caught:
        connect(server).call("get_balance", f"nobody-{uuid4()}")
    assert request_id_of(caught.value) == ""
    assert request_id_of(ValueError("other")) == ""


def test_the_id_of_an_earlier_call_is_not_found() -> None:
    async def main(address: str) -> BaseException:
        async with AsyncClient(address) as client:
            try:
                await client.charge("team-a", credits=1, timeout=ENOUGH_S)
            except DeadlineExceededError:
                return await _cancelled(client.get_balance("team-a"))
        raise AssertionError("it was answered")

    with scripted_server(NO_ANSWER) as server:
        assert request_id_of(asyncio.run(main(server.address))) == ""


def test_a_write_that_is_interrupted() -> None:
    def interrupt() -> None:
        signal.raise_signal(signal.SIGINT)

    with scripted_server(NO_ANSWER) as server, Client(server.address) as client:
        timer = threading.Timer(ENOUGH_S, interrupt)
        timer.start()
        with pytest.raises(KeyboardInterrupt) as caught:
            client.charge("team-a", credits=1)
        timer.join()
        assert request_id_of(caught.value) == server.requests[0].request_id
