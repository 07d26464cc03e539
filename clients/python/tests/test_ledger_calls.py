"""Every verb of the ledger: its arguments become these messages, its replies these results."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from creditd import (
    BatchCharge,
    Charge,
    ChargeResult,
    Entry,
    EntryKind,
    EntryPage,
    ExtendHoldResult,
    Hold,
    HoldPage,
    HoldResult,
    HoldStatus,
    Overage,
    RefundResult,
    ReleaseHoldResult,
    RevokeGrantResult,
    SettleHoldResult,
    Usage,
)
from creditd._convert.holds import get_hold_from_pb
from creditd.v1 import ledger_pb2, pricing_pb2
from tests.conftest import Connect
from tests.support import scenario_calls
from tests.support.scenarios import mismatches
from tests.support.scripted import ENTRY, HOLD, scripted_server


def at(seconds: int) -> datetime:
    return datetime(1970, 1, 1, 0, 0, seconds, tzinfo=timezone.utc)


USAGE = Usage("lip_sync_video", duration=timedelta(seconds=31))
USAGE_PB = pricing_pb2.Usage(service="lip_sync_video", duration=Duration(seconds=31))
PRICES = {
    "rate_card": "card",
    "revision": "rev",
    "price_time": at(3),
    "prices_account": "team-a",
}
PRICES_PB = pricing_pb2.PriceSelector(
    account="team-a", rate_card="card", revision="rev", price_time=Timestamp(seconds=3)
)
LABELS = {"job": "7"}

# ENTRY and HOLD of the scripted server, as they come back.
AN_ENTRY = Entry(
    entry_id="",
    account="",
    kind=EntryKind.UNSPECIFIED,
    credits=Decimal(5),
    available=Decimal(5),
    create_time=at(1),
    request_id="",
    service="",
    rate_card="",
    revision="",
    labels={},
    spent=Decimal(0),
    held=Decimal(0),
    usage=None,
    grant_id="",
    hold_id="",
    refunded_entry_id="",
    version=0,
    grants=(),
    source="",
    expire_time=None,
    priority=0,
    services=(),
)
A_HOLD = Hold(
    hold_id="h1",
    held=Decimal(5),
    settled=Decimal(0),
    expire_time=at(2),
    status=HoldStatus.OPEN,
    account="",
    create_time=at(1),
    service="",
    labels={},
    request_id="",
    usage=None,
)


@dataclass(frozen=True)
class Verb:
    """One call with all of its arguments, and one reply with all of its fields."""

    method: str
    arguments: dict[str, Any]
    request: Message
    reply: Message
    result: Any
    # Of each oneof only one can be sent.
    unset: set[str] = field(default_factory=set)


CHARGE_PB = ledger_pb2.ChargeRequest(
    request_id="r1", account="team-a", usage=USAGE_PB, prices=PRICES_PB, labels=LABELS
)
VERBS = [
    Verb(
        "revoke_grant",
        {"account": "team-a", "grant_id": "g1", "request_id": "r1", "labels": LABELS},
        ledger_pb2.RevokeGrantRequest(
            request_id="r1", account="team-a", grant_id="g1", labels=LABELS
        ),
        ledger_pb2.RevokeGrantResponse(entry=ENTRY, available="0.5", replayed=True),
        RevokeGrantResult(AN_ENTRY, Decimal("0.5"), replayed=True),
    ),
    Verb(
        "charge",
        {"account": "team-a", "usage": USAGE, "request_id": "r1", "labels": LABELS, **PRICES},
        CHARGE_PB,
        ledger_pb2.ChargeResponse(entry=ENTRY, available="0.5", replayed=True),
        ChargeResult(AN_ENTRY, Decimal("0.5"), replayed=True),
        unset={"credits"},
    ),
    Verb(
        "batch_charge",
        {"charges": [Charge("team-a", USAGE, request_id="r1", labels=LABELS, **PRICES)]},  # type: ignore[arg-type]
        ledger_pb2.BatchChargeRequest(charges=[CHARGE_PB]),
        ledger_pb2.BatchChargeResponse(
            results=[
                ledger_pb2.BatchChargeResult(
                    charge=ledger_pb2.ChargeResponse(entry=ENTRY, available="0.5", replayed=True)
                )
            ],
            failed_count=7,
        ),
        BatchCharge([ChargeResult(AN_ENTRY, Decimal("0.5"), replayed=True)], 7),
    ),
    Verb(
        "refund",
        {
            "account": "team-a",
            "entry_id": "e1",
            "credits": Decimal("0.248"),
            "request_id": "r1",
            "labels": LABELS,
        },
        ledger_pb2.RefundRequest(
            request_id="r1", account="team-a", entry_id="e1", credits="0.248", labels=LABELS
        ),
        ledger_pb2.RefundResponse(entry=ENTRY, available="0.5", replayed=True),
        RefundResult(AN_ENTRY, Decimal("0.5"), replayed=True),
    ),
    Verb(
        "hold",
        {
            "account": "team-a",
            "usage": USAGE,
            "ttl": timedelta(minutes=30, microseconds=1),
            "request_id": "r1",
            "labels": LABELS,
            **PRICES,
        },
        ledger_pb2.HoldRequest(
            request_id="r1",
            account="team-a",
            usage=USAGE_PB,
            prices=PRICES_PB,
            ttl=Duration(seconds=1800, nanos=1000),
            labels=LABELS,
        ),
        ledger_pb2.HoldResponse(hold=HOLD, available="0.5", replayed=True),
        HoldResult(A_HOLD, Decimal("0.5"), replayed=True),
        unset={"credits"},
    ),
    Verb(
        "extend_hold",
        {"account": "team-a", "hold_id": "h1", "ttl": Decimal("1.5"), "request_id": "r1"},
        ledger_pb2.ExtendHoldRequest(
            request_id="r1",
            account="team-a",
            hold_id="h1",
            ttl=Duration(seconds=1, nanos=500_000_000),
        ),
        ledger_pb2.ExtendHoldResponse(hold=HOLD, replayed=True),
        ExtendHoldResult(A_HOLD, replayed=True),
    ),
    Verb(
        "settle_hold",
        {
            "account": "team-a",
            "hold_id": "h1",
            "credits": 3,
            "keep_open": True,
            "overage": Overage.FROM_AVAILABLE,
            "request_id": "r1",
            "labels": LABELS,
            **PRICES,
        },
        ledger_pb2.SettleHoldRequest(
            request_id="r1",
            account="team-a",
            hold_id="h1",
            credits="3",
            keep_open=True,
            overage="OVERAGE_FROM_AVAILABLE",
            prices=PRICES_PB,
            labels=LABELS,
        ),
        ledger_pb2.SettleHoldResponse(entry=ENTRY, hold=HOLD, available="0.5", replayed=True),
        SettleHoldResult(AN_ENTRY, A_HOLD, Decimal("0.5"), replayed=True),
        unset={"usage"},
    ),
    Verb(
        "release_hold",
        {"account": "team-a", "hold_id": "h1", "request_id": "r1"},
        ledger_pb2.ReleaseHoldRequest(request_id="r1", account="team-a", hold_id="h1"),
        ledger_pb2.ReleaseHoldResponse(hold=HOLD, available="0.5", replayed=True),
        ReleaseHoldResult(A_HOLD, Decimal("0.5"), replayed=True),
    ),
    Verb(
        "get_hold",
        {"account": "team-a", "hold_id": "h1"},
        ledger_pb2.GetHoldRequest(account="team-a", hold_id="h1"),
        ledger_pb2.GetHoldResponse(hold=HOLD),
        A_HOLD,
    ),
    Verb(
        "list_holds_page",
        {
            "account": "team-a",
            "page_size": 2,
            "page_token": "t1",
            "request_id": "r1",
            "labels": LABELS,
            "start_time": at(1),
            "end_time": at(2),
        },
        ledger_pb2.ListHoldsRequest(
            account="team-a",
            page_size=2,
            page_token="t1",  # noqa: S106
            request_id="r1",
            labels=LABELS,
            start_time=Timestamp(seconds=1),
            end_time=Timestamp(seconds=2),
        ),
        ledger_pb2.ListHoldsResponse(holds=[HOLD], next_page_token="t2"),  # noqa: S106
        HoldPage((A_HOLD,), "t2"),
    ),
    Verb(
        "list_entries_page",
        {
            "account": "team-a",
            "page_size": 2,
            "page_token": "t1",
            "start_time": at(1),
            "end_time": at(2),
            "kinds": [EntryKind.CHARGE, EntryKind.SETTLE],
            "service": "lip_sync_video",
            "hold_id": "h1",
        },
        ledger_pb2.ListEntriesRequest(
            account="team-a",
            page_size=2,
            page_token="t1",  # noqa: S106
            start_time=Timestamp(seconds=1),
            end_time=Timestamp(seconds=2),
            kinds=["ENTRY_KIND_CHARGE", "ENTRY_KIND_SETTLE"],
            service="lip_sync_video",
            hold_id="h1",
        ),
        ledger_pb2.ListEntriesResponse(entries=[ENTRY], next_page_token="t2"),  # noqa: S106
        EntryPage((AN_ENTRY,), "t2"),
    ),
]


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.method)
def test_a_verb(verb: Verb, connect: Connect) -> None:
    assert _unset(verb.request) == verb.unset, "the test sends every field"
    assert _unset(verb.reply) == set(), "the test answers by every field"
    with scripted_server(verb.reply) as server:
        result = connect(server.address).call(verb.method, **verb.arguments)
    assert server.requests == [verb.request]
    assert result == verb.result


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.method)
def test_a_scenario_calls_the_verb(verb: Verb, connect: Connect) -> None:
    method = "".join(part.title() for part in verb.method.removesuffix("_page").split("_"))
    with scripted_server(verb.reply) as server:
        reply = scenario_calls.call(connect(server.address), method, _scenario_form(verb.request))
    assert server.requests == [verb.request]
    assert mismatches(_scenario_form(verb.reply), reply, "reply") == []


def _scenario_form(message: Message) -> dict[str, Any]:
    form: dict[str, Any] = MessageToDict(message, preserving_proto_field_name=True)
    return form


def _unset(message: Message) -> set[str]:
    present = {described.name for described, _ in message.ListFields()}
    return set(message.DESCRIPTOR.fields_by_name) - present


@pytest.mark.parametrize(
    ("method", "arguments", "request_type"),
    [
        ("charge", {}, ledger_pb2.ChargeRequest),
        ("refund", {"entry_id": ""}, ledger_pb2.RefundRequest),
        ("hold", {}, ledger_pb2.HoldRequest),
        ("list_holds_page", {}, ledger_pb2.ListHoldsRequest),
        ("list_entries_page", {}, ledger_pb2.ListEntriesRequest),
    ],
)
def test_what_is_left_out_is_not_sent(
    method: str, arguments: dict[str, Any], request_type: type[Message], connect: Connect
) -> None:
    reply = next(verb.reply for verb in VERBS if verb.method == method)
    request_id = {"request_id": ""} if "request_id" in _names(request_type) else {}
    with scripted_server(reply) as server:
        connect(server.address).call(method, account="team-a", **arguments, **request_id)
    assert server.requests == [request_type(account="team-a")]


def _names(message: type[Message]) -> set[str]:
    return set(message.DESCRIPTOR.fields_by_name)


def test_an_empty_amount_is_set_and_none_is_not(connect: Connect) -> None:
    with scripted_server(ledger_pb2.RefundResponse(entry=ENTRY, available="5")) as server:
        driver = connect(server.address)
        driver.call("refund", "team-a", "e1", credits="")
        driver.call("refund", "team-a", "e1")
    assert [request.HasField("credits") for request in server.requests] == [True, False]


def test_every_field_of_a_hold_comes_back() -> None:
    message = ledger_pb2.HoldState(
        hold_id="h1",
        held="2",
        settled="3",
        expire_time=Timestamp(seconds=2, nanos=999),
        status="HOLD_STATUS_SETTLED",
        account="team-a",
        create_time=Timestamp(seconds=1, nanos=1000),
        service="lip_sync_video",
        labels=LABELS,
        request_id="r1",
        usage=USAGE_PB,
    )
    assert _unset(message) == set()
    assert get_hold_from_pb(ledger_pb2.GetHoldResponse(hold=message)) == Hold(
        hold_id="h1",
        held=Decimal(2),
        settled=Decimal(3),
        expire_time=at(2),
        status=HoldStatus.SETTLED,
        account="team-a",
        create_time=at(1) + timedelta(microseconds=1),
        service="lip_sync_video",
        labels=LABELS,
        request_id="r1",
        usage=USAGE,
    )


def test_a_hold_of_a_newer_server_can_be_read() -> None:
    reply = ledger_pb2.GetHoldResponse(hold=HOLD)
    reply.hold.status = 99  # type: ignore[assignment]
    assert get_hold_from_pb(reply).status is HoldStatus.UNSPECIFIED


@pytest.mark.parametrize("name", ["expire_time", "create_time"])
def test_a_hold_without_a_time_is_refused(name: str) -> None:
    reply = ledger_pb2.GetHoldResponse(hold=HOLD)
    reply.hold.ClearField(name)
    with pytest.raises(ValueError, match=f"left {name} out of HoldState"):
        get_hold_from_pb(reply)


def test_a_batch_that_lost_a_result_is_refused(connect: Connect) -> None:
    with (
        scripted_server(ledger_pb2.BatchChargeResponse()) as server,
        pytest.raises(ValueError, match="answered 1 charges by 0 results"),
    ):
        connect(server.address).call("batch_charge", [Charge("team-a", credits=1)])


def test_every_charge_has_a_request_id_of_its_own() -> None:
    first, second = Charge("team-a", credits=1), Charge("team-a", credits=1)
    assert first.request_id != second.request_id
    assert Charge("team-a", credits=1, request_id="mine").request_id == "mine"


def test_all_verbs_are_in_the_table() -> None:
    api = {
        method.name
        for method in ledger_pb2.DESCRIPTOR.services_by_name["LedgerService"].methods
        if not method.server_streaming
    }
    here = {verb.method.removesuffix("_page").replace("_", "") for verb in VERBS}
    elsewhere = {"grant", "getbalance"}
    assert {name.lower() for name in api} == here | elsewhere
