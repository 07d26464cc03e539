"""Lists are fetched page by page, as they are read."""

from itertools import islice
from typing import Any

import grpc
import pytest

from creditd import InvalidArgumentError, RetryPolicy
from creditd.v1 import ledger_pb2
from tests.conftest import Connect
from tests.support.scripted import ENTRY, HOLD, Refusal, scripted_server

FAST = RetryPolicy(max_attempts=2, initial_backoff_s=0.001, max_backoff_s=0.002)


def entries(*ids: str, then: str = "") -> ledger_pb2.ListEntriesResponse:
    reply = ledger_pb2.ListEntriesResponse(entries=[ENTRY] * len(ids), next_page_token=then)
    for entry, entry_id in zip(reply.entries, ids, strict=True):
        entry.entry_id = entry_id
    return reply


def holds(*ids: str, then: str = "") -> ledger_pb2.ListHoldsResponse:
    reply = ledger_pb2.ListHoldsResponse(holds=[HOLD] * len(ids), next_page_token=then)
    for hold, hold_id in zip(reply.holds, ids, strict=True):
        hold.hold_id = hold_id
    return reply


@pytest.mark.parametrize(
    ("method", "pages"),
    [
        # A page may be empty and not the last.
        ("list_entries", [entries("1", "2", then="b"), entries(then="c"), entries("3")]),
        ("list_holds", [holds("1", "2", then="b"), holds("3", then="c"), holds()]),
    ],
)
def test_all_pages_are_read(method: str, pages: list[Any], connect: Connect) -> None:
    with scripted_server(*pages) as server:
        listed = list(connect(server.address).iterate(method, "team-a", page_size=2))
    ids = [getattr(one, "entry_id", "") or getattr(one, "hold_id", "") for one in listed]
    assert ids == ["1", "2", "3"]
    sent = [(one.account, one.page_size, one.page_token) for one in server.requests]
    assert sent == [("team-a", 2, ""), ("team-a", 2, "b"), ("team-a", 2, "c")]


def test_every_page_has_the_filters(connect: Connect) -> None:
    with scripted_server(entries("1", then="b"), entries("2")) as server:
        list(connect(server.address).iterate("list_entries", "team-a", service="s", kinds=[2]))
    first, second = server.requests
    assert (first.service, first.kinds) == (second.service, second.kinds) == ("s", [2])


def test_no_page_is_fetched_before_it_is_read(connect: Connect) -> None:
    with scripted_server(entries("1", "2", then="b")) as server:
        listed = connect(server.address).iterate("list_entries", "team-a")
        assert server.requests == []
        assert [entry.entry_id for entry in islice(listed, 2)] == ["1", "2"]
        assert len(server.requests) == 1


def test_a_page_is_retried_alone(connect: Connect) -> None:
    down = Refusal(grpc.StatusCode.UNAVAILABLE)
    with scripted_server(entries("1", then="b"), down, entries("2")) as server:
        listed = connect(server.address, retry=FAST).iterate("list_entries", "team-a")
        assert [entry.entry_id for entry in listed] == ["1", "2"]
    assert [one.page_token for one in server.requests] == ["", "b", "b"]


def test_what_is_read_before_a_failure_was_read(connect: Connect) -> None:
    with scripted_server(holds("1", then="b"), Refusal(grpc.StatusCode.INVALID_ARGUMENT)) as server:
        listed = connect(server.address).iterate("list_holds", "team-a")
        assert next(listed).hold_id == "1"
        with pytest.raises(InvalidArgumentError):
            next(listed)
