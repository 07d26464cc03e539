"""Lists are fetched page by page, as they are read."""

from datetime import datetime, timezone
from decimal import Decimal
from itertools import islice
from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from creditd import InvalidArgumentError, OpeningBalance, RateCard, RetryPolicy
from creditd.v1 import admin_pb2, ledger_pb2, pricing_pb2
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


def keys(*ids: str, then: str = "") -> admin_pb2.ListKeysResponse:
    made = [admin_pb2.Key(key_id=one, create_time=Timestamp(seconds=1)) for one in ids]
    return admin_pb2.ListKeysResponse(keys=made, next_page_token=then)


def events(*ids: str, then: str = "") -> admin_pb2.ListAdminEventsResponse:
    made = [admin_pb2.AdminEvent(key_id=one, create_time=Timestamp(seconds=1)) for one in ids]
    return admin_pb2.ListAdminEventsResponse(events=made, next_page_token=then)


@pytest.mark.parametrize(
    ("method", "filters", "pages"),
    [
        ("list_keys", {"show_revoked": True}, [keys("1", "2", then="b"), keys("3")]),
        ("list_admin_events", {"key_id": "k"}, [events("1", "2", then="b"), events("3")]),
    ],
)
def test_all_pages_of_administration_are_read(
    method: str, filters: dict[str, Any], pages: list[Any], connect: Connect
) -> None:
    with scripted_server(*pages) as server:
        listed = list(connect(server.address).iterate(method, page_size=2, **filters))
    assert [one.key_id for one in listed] == ["1", "2", "3"]
    assert [one.page_token for one in server.requests] == ["", "b"]
    for request in server.requests:
        assert {name: getattr(request, name) for name in filters} == filters


def test_the_last_page_has_the_opening_balance_of_archived_entries(connect: Connect) -> None:
    last = entries("2")
    last.opening_balance.available = "9.5"
    last.opening_balance.held = "0.25"
    last.opening_balance.entry_id = "e1"
    last.opening_balance.create_time.FromSeconds(60)
    last.opening_balance.archive = 3
    with scripted_server(entries("3", then="b"), last) as server:
        client = connect(server.address)
        first = client.call("list_entries_page", "team-a")
        second = client.call("list_entries_page", "team-a", page_token=first.next_page_token)
    assert first.opening_balance is None
    assert second.opening_balance == OpeningBalance(
        available=Decimal("9.5"),
        held=Decimal("0.25"),
        entry_id="e1",
        create_time=datetime(1970, 1, 1, 0, 1, tzinfo=timezone.utc),
        archive=3,
    )


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


def test_all_pages_of_accounts_are_read(connect: Connect) -> None:
    time = Timestamp(seconds=1)
    balance = ledger_pb2.Balance(read_time=time, available="0", held="0")

    def page(*names: str, then: str = "") -> ledger_pb2.ListAccountsResponse:
        accounts = [
            ledger_pb2.Account(account=name, create_time=time, balance=balance) for name in names
        ]
        return ledger_pb2.ListAccountsResponse(accounts=accounts, next_page_token=then)

    with scripted_server(page("a", "b", then="2"), page(then="3"), page("c")) as server:
        listed = connect(server.address).iterate("list_accounts", "team-", page_size=2)
        assert [one.account for one in listed] == ["a", "b", "c"]
    sent = [(one.prefix, one.page_size, one.page_token) for one in server.requests]
    assert sent == [("team-", 2, ""), ("team-", 2, "2"), ("team-", 2, "3")]


def test_all_pages_of_rate_cards_are_read(connect: Connect) -> None:
    def page(*revisions: str, then: str = "") -> admin_pb2.ListRateCardsResponse:
        cards = [admin_pb2.RateCard(revision=revision) for revision in revisions]
        return admin_pb2.ListRateCardsResponse(rate_cards=cards, next_page_token=then)

    with scripted_server(page("a", then="2"), page("b")) as server:
        listed = connect(server.address).iterate("list_rate_cards", "studio", with_toml=True)
        assert [one.revision for one in listed] == ["a", "b"]
    sent = [(one.rate_card, one.with_toml, one.page_token) for one in server.requests]
    assert sent == [("studio", True, ""), ("studio", True, "2")]


def test_a_rate_card_of_several_pages_is_of_one_revision(connect: Connect) -> None:
    def page(*services: str, then: str = "") -> pricing_pb2.GetRateCardResponse:
        prices = [pricing_pb2.ServicePrice(service=service) for service in services]
        return pricing_pb2.GetRateCardResponse(
            rate_card="studio",
            revision="0123",
            title="Studio",
            effective_time=Timestamp(seconds=1),
            services=prices,
            next_page_token=then,
        )

    with scripted_server(page("a", "b", then="2"), page(then="3"), page("c")) as server:
        card = connect(server.address).call(
            "get_rate_card", account="team-a", services=["a", "b", "c"]
        )
    assert type(card) is RateCard
    assert [price.service for price in card.services] == ["a", "b", "c"]
    assert (card.rate_card, card.revision, card.title) == ("studio", "0123", "Studio")
    first, *rest = server.requests
    assert first.prices == pricing_pb2.PriceSelector(account="team-a")
    assert [one.prices for one in rest] == [pricing_pb2.PriceSelector(revision="0123")] * 2
    assert [one.page_token for one in server.requests] == ["", "2", "3"]
    assert all(list(one.services) == ["a", "b", "c"] for one in server.requests)
