"""Conversion: arguments that are refused before anything is sent, and replies as results."""

from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from creditd import Charge, Entry, EntryKind, GrantShare, Usage
from creditd._convert.ledger import grant_from_pb
from creditd.v1 import ledger_pb2, pricing_pb2
from tests.conftest import Connect
from tests.support.scripted import ESTIMATE, GRANT, scripted_server

NAIVE = datetime(2026, 1, 1)  # noqa: DTZ001


@pytest.mark.parametrize(
    ("method", "arguments", "error", "says"),
    [
        ("grant", {"account": "a", "credits": 0.1}, TypeError, "credits must be a Decimal"),
        ("grant", {"account": "a", "credits": True}, TypeError, "not bool"),
        ("grant", {"account": "a", "credits": 1, "expire_time": NAIVE}, ValueError, "expire_time"),
        ("grant", {"account": "a", "credits": 1, "services": "x"}, TypeError, "not one str"),
        ("get_balance", {"account": "a", "as_of": NAIVE}, ValueError, "as_of"),
        ("estimate", {"service": "s", "duration": 31}, TypeError, "usage.duration must be"),
        ("estimate", {"service": "s", "count": True}, TypeError, "usage.count must be"),
        ("estimate", {"service": "s", "count": 1.5}, TypeError, ""),
        ("estimate", {"service": "s", "meters": {"m": 0.5}}, TypeError, "usage.meters['m']"),
        ("estimate", {"service": "s", "price_time": NAIVE}, ValueError, "price_time"),
        (
            "estimate",
            {"service": "s", "count": 1, "duration": timedelta(1)},
            ValueError,
            "both a duration and a count",
        ),
        (
            "batch_estimate",
            {"usages": [Usage("s"), Usage("s", duration=1.5)]},  # type: ignore[arg-type]
            TypeError,
            "usages[1].duration must be",
        ),
        ("estimate", {"service": "s", "timeout": 0}, ValueError, "timeout must be"),
        ("charge", {"account": "a", "credits": 0.1}, TypeError, "credits must be a Decimal"),
        ("charge", {"account": "a", "usage": "ai_scripts"}, TypeError, "usage must be a Usage"),
        ("charge", {"account": "a", "usage": Usage("s"), "credits": 1}, ValueError, "give one"),
        ("charge", {"account": "a", "price_time": NAIVE}, ValueError, "price_time"),
        (
            "batch_charge",
            {"charges": [Charge("a"), Charge("a", credits=0.1)]},  # type: ignore[arg-type]
            TypeError,
            "charges[1].credits must be",
        ),
        (
            "batch_charge",
            {"charges": [Charge("a", Usage("s", meters={"m": 0.5}))]},  # type: ignore[dict-item]
            TypeError,
            "charges[0].usage.meters['m']",
        ),
        (
            "batch_charge",
            {"charges": [Charge("a", price_time=NAIVE)]},
            ValueError,
            "charges[0].price_time",
        ),
        ("batch_charge", {"charges": [Usage("s")]}, TypeError, "charges[0] must be a Charge"),
        ("refund", {"account": "a", "entry_id": "e", "credits": 0.1}, TypeError, "credits must"),
        ("hold", {"account": "a", "credits": 0.1}, TypeError, "credits must be a Decimal"),
        ("hold", {"account": "a", "credits": 1, "ttl": 60}, TypeError, "ttl must be a timedelta"),
        ("hold", {"account": "a", "ttl": Decimal("1E-10")}, ValueError, "more than 9 decimals"),
        ("extend_hold", {"account": "a", "hold_id": "h", "ttl": 60.0}, TypeError, "ttl must be"),
        (
            "settle_hold",
            {"account": "a", "hold_id": "h", "usage": Usage("s"), "credits": 0},
            ValueError,
            "usage and credits exclude each other",
        ),
        ("settle_hold", {"account": "a", "hold_id": "h", "overage": 1.5}, TypeError, ""),
        ("list_entries_page", {"account": "a", "start_time": NAIVE}, ValueError, "start_time"),
        ("list_entries", {"account": "a", "end_time": NAIVE}, ValueError, "end_time"),
        ("list_entries", {"account": "a", "kinds": EntryKind.HOLD}, TypeError, "must be several"),
        ("list_entries", {"account": "a", "kinds": [1.5]}, TypeError, ""),
        ("list_holds", {"account": "a", "page_size": 1.5}, TypeError, ""),
        ("watch_balance", {"account": "a", "timeout": -1}, ValueError, "timeout must be"),
    ],
)
def test_refused_before_anything_is_sent(
    method: str, arguments: dict[str, Any], error: type[Exception], says: str, connect: Connect
) -> None:
    with scripted_server(ESTIMATE) as server:
        with pytest.raises(error) as caught:
            connect(server.address).call(method, **arguments)
        assert says in str(caught.value)
        assert server.requests == []


def test_what_is_sent(connect: Connect) -> None:
    with scripted_server(ESTIMATE) as server:
        connect(server.address).call(
            "estimate",
            "lip_sync_video",
            duration=Decimal("120.000000001"),
            attributes={"resolution": "1080p"},
            meters={
                "tokens": Decimal("1E+3"),
                "images": 2,
                "odd": "1e3",
                "audio": timedelta(minutes=1, microseconds=500_000),
            },
            account="team-a",
            rate_card="card",
            price_time=datetime(1970, 1, 1, 0, 0, 1, tzinfo=timezone.utc),
            explain=True,
            check_balance=True,
        )
    assert server.requests == [
        pricing_pb2.EstimateRequest(
            usage=pricing_pb2.Usage(
                service="lip_sync_video",
                duration=Duration(seconds=120, nanos=1),
                attributes={"resolution": "1080p"},
                meters={"tokens": "1000", "images": "2", "odd": "1e3", "audio": "60.5"},
            ),
            prices=pricing_pb2.PriceSelector(
                account="team-a", rate_card="card", price_time=Timestamp(seconds=1)
            ),
            explain=True,
            check_balance=True,
        )
    ]


def test_a_count_of_zero_is_sent_and_one_left_out_is_not(connect: Connect) -> None:
    with scripted_server(ESTIMATE) as server:
        driver = connect(server.address)
        driver.call("estimate", "ai_scripts", count=0)
        driver.call("estimate", "ai_scripts")
    assert [request.usage.HasField("count") for request in server.requests] == [True, False]


def test_a_grant_makes_a_request_id_only_where_none_is_given(connect: Connect) -> None:
    with scripted_server(GRANT) as server:
        driver = connect(server.address)
        for request_id in ("mine", "", None, None):
            driver.call("grant", "team-a", 5, request_id=request_id)
    given, empty, made, made_again = [request.request_id for request in server.requests]
    assert (given, empty) == ("mine", "")
    assert made != made_again
    assert len(made) == len(made_again) == 36


def test_every_field_of_an_entry_comes_back() -> None:
    message = ledger_pb2.Entry(
        entry_id="e1",
        account="team-a",
        kind="ENTRY_KIND_SETTLE",
        credits="2",
        available="7",
        create_time=Timestamp(seconds=1, nanos=999),
        request_id="r1",
        service="lip_sync_video",
        rate_card="card",
        revision="rev",
        labels={"job": "7"},
        spent="3",
        held="-5",
        usage=pricing_pb2.Usage(
            service="lip_sync_video",
            duration=Duration(seconds=1, nanos=1),
            attributes={"resolution": "1080p"},
            meters={"tokens": "1200"},
        ),
        grant_id="g1",
        hold_id="h1",
        refunded_entry_id="e0",
        version=9,
        grants=[ledger_pb2.GrantShare(grant_id="g1", credits="2", held="-5")],
        source="purchase",
        expire_time=Timestamp(seconds=3),
        priority=-3,
        services=["ai_scripts", "lip_sync_video"],
        price_values={"plan": "growth"},
        price_time=Timestamp(seconds=4),
        key_id="k1",
    )
    assert {field.name for field, _ in message.ListFields()} == set(
        ledger_pb2.Entry.DESCRIPTOR.fields_by_name
    )
    reply = ledger_pb2.GrantResponse(entry=message, available="7", replayed=True)
    assert grant_from_pb(reply).entry == Entry(
        entry_id="e1",
        account="team-a",
        kind=EntryKind.SETTLE,
        credits=Decimal(2),
        available=Decimal(7),
        create_time=datetime(1970, 1, 1, 0, 0, 1, tzinfo=timezone.utc),
        request_id="r1",
        service="lip_sync_video",
        rate_card="card",
        revision="rev",
        labels={"job": "7"},
        spent=Decimal(3),
        held=Decimal(-5),
        usage=Usage(
            service="lip_sync_video",
            duration=Decimal("1.000000001"),
            attributes={"resolution": "1080p"},
            meters={"tokens": Decimal(1200)},
        ),
        grant_id="g1",
        hold_id="h1",
        refunded_entry_id="e0",
        version=9,
        grants=(GrantShare("g1", Decimal(2), Decimal(-5)),),
        source="purchase",
        expire_time=datetime(1970, 1, 1, 0, 0, 3, tzinfo=timezone.utc),
        priority=-3,
        services=("ai_scripts", "lip_sync_video"),
        price_values={"plan": "growth"},
        price_time=datetime(1970, 1, 1, 0, 0, 4, tzinfo=timezone.utc),
        key_id="k1",
    )


def test_an_entry_of_a_newer_server_can_be_read() -> None:
    reply = ledger_pb2.GrantResponse()
    reply.CopyFrom(GRANT)
    reply.entry.kind = 99  # type: ignore[assignment]
    assert grant_from_pb(reply).entry.kind is EntryKind.UNSPECIFIED


def test_a_reply_without_its_time_is_refused() -> None:
    reply = ledger_pb2.GrantResponse()
    reply.CopyFrom(GRANT)
    reply.entry.ClearField("create_time")
    with pytest.raises(ValueError, match="left create_time out of Entry"):
        grant_from_pb(reply)
