"""Every method: its arguments become a message, and a message its result."""

from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from creditd import (
    BatchCharge,
    Charge,
    ChargeResult,
    Entry,
    EntryKind,
    Hold,
    HoldStatus,
    Overage,
    SettleHoldResult,
    Usage,
)
from creditd._convert.holds import get_hold_from_pb
from creditd.v1 import ledger_pb2, pricing_pb2
from tests.conftest import Connect
from tests.support import scenario_calls
from tests.support.samples import CHOICES, parsed, sample, sample_request
from tests.support.scenarios import mismatches
from tests.support.schema import METHODS, UNARY, request_fields
from tests.support.scripted import ENTRY, HOLD, scripted_server


def at(seconds: int) -> datetime:
    return datetime(1970, 1, 1, 0, 0, seconds, tzinfo=timezone.utc)


USAGE = Usage("lip_sync_video", duration=timedelta(seconds=31))
USAGE_PB = pricing_pb2.Usage(service="lip_sync_video", duration=Duration(seconds=31))
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
    price_values={},
    price_time=None,
    key_id="",
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
    price_values={},
)


@pytest.mark.parametrize("choice", CHOICES)
@pytest.mark.parametrize("method", UNARY)
def test_every_field_is_sent_and_comes_back(method: str, choice: int, connect: Connect) -> None:
    request = sample_request(METHODS[method].input_type, choice)
    reply = sample(METHODS[method].output_type, choice)
    with scripted_server(parsed(METHODS[method].output_type, reply)) as server:
        result = scenario_calls.call(connect(server.address), method, request)
    assert server.requests == [parsed(METHODS[method].input_type, request)]
    assert mismatches(reply, result, "reply") == []


def test_a_settlement(connect: Connect) -> None:
    reply = ledger_pb2.SettleHoldResponse(entry=ENTRY, hold=HOLD, available="0.5", replayed=True)
    with scripted_server(reply) as server:
        result = connect(server.address).call(
            "settle_hold",
            "team-a",
            "h1",
            credits=Decimal(3),
            keep_open=True,
            overage=Overage.FROM_AVAILABLE,
            rate_card="card",
            revision="rev",
            price_time=at(3),
            prices_account="team-b",
            request_id="r1",
            labels=LABELS,
        )
    assert result == SettleHoldResult(AN_ENTRY, A_HOLD, Decimal("0.5"), replayed=True)
    assert server.requests == [
        ledger_pb2.SettleHoldRequest(
            request_id="r1",
            account="team-a",
            hold_id="h1",
            credits="3",
            keep_open=True,
            overage="OVERAGE_FROM_AVAILABLE",
            prices=pricing_pb2.PriceSelector(
                account="team-b", rate_card="card", revision="rev", price_time=Timestamp(seconds=3)
            ),
            labels=LABELS,
        )
    ]


def test_a_batch_of_charges(connect: Connect) -> None:
    charged = ledger_pb2.ChargeResponse(entry=ENTRY, available="0.5", replayed=True)
    reply = ledger_pb2.BatchChargeResponse(
        results=[ledger_pb2.BatchChargeResult(charge=charged)], failed_count=7
    )
    with scripted_server(reply) as server:
        charges = [Charge("team-a", USAGE, request_id="r1", labels=LABELS)]
        result = connect(server.address).call("batch_charge", charges)
    assert result == BatchCharge([ChargeResult(AN_ENTRY, Decimal("0.5"), replayed=True)], 7)
    assert server.requests == [
        ledger_pb2.BatchChargeRequest(
            charges=[
                ledger_pb2.ChargeRequest(
                    request_id="r1", account="team-a", usage=USAGE_PB, labels=LABELS
                )
            ]
        )
    ]


def _unset(message: Message) -> set[str]:
    present = {described.name for described, _ in message.ListFields()}
    return set(message.DESCRIPTOR.fields_by_name) - present


def _has_an_account(method: str) -> bool:
    field = METHODS[method].input_type.fields_by_name.get("account")
    return field is not None and field.message_type is None


@pytest.mark.parametrize("method", [one for one in UNARY if _has_an_account(one)])
def test_what_is_left_out_is_not_sent(method: str, connect: Connect) -> None:
    described = METHODS[method]
    # A request_id would be made by the client.
    given = {"request_id": ""} if "request_id" in request_fields(method) else {}
    request = {"account": "team-a", **given}
    with scripted_server(parsed(described.output_type, sample(described.output_type))) as server:
        scenario_calls.call(connect(server.address), method, request)
    (sent,) = server.requests
    assert {field.name for field, _ in sent.ListFields()} == {"account"}


@pytest.mark.parametrize(
    ("given", "paths"),
    [
        ({"rate_card": "card"}, ["rate_card"]),
        ({"rate_card": ""}, ["rate_card"]),
        ({"attributes": {}}, ["attributes"]),
        ({"attributes": {"plan": "growth"}, "labels": LABELS}, ["attributes", "labels"]),
        ({"labels": LABELS, "rate_card": "card"}, ["rate_card", "labels"]),
    ],
)
def test_the_mask_of_an_update_names_what_is_given(
    given: dict[str, Any], paths: list[str], connect: Connect
) -> None:
    account = ledger_pb2.Account(
        account="team-a",
        create_time=Timestamp(seconds=1),
        balance=ledger_pb2.Balance(available="5", held="0", read_time=Timestamp(seconds=2)),
    )
    with scripted_server(ledger_pb2.UpdateAccountResponse(account=account)) as server:
        driver = connect(server.address)
        result = driver.call("update_account", "team-a", request_id="u1", **given)
    assert (result.account.account, result.replayed) == ("team-a", False)
    assert result.account.balance.available == Decimal(5)
    assert server.requests == [
        ledger_pb2.UpdateAccountRequest(
            request_id="u1",
            account=ledger_pb2.Account(account="team-a", **given),
            update_mask=FieldMask(paths=paths),
        )
    ]


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
        price_values={"plan": "growth"},
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
        price_values={"plan": "growth"},
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
