"""Messages of LedgerService about holds."""

from collections.abc import Mapping
from datetime import datetime

from creditd._convert.fields import request_id_or_new, usage_or_credits_to_pb
from creditd._convert.ledger import entry_from_pb
from creditd._convert.messages import enum_from_number, enum_to_number, time_from_field
from creditd._convert.pricing import prices_to_pb, usage_from_pb
from creditd._values import (
    INT32,
    Amount,
    Duration,
    amount_from_text,
    flag,
    optional_duration_to_pb,
    optional_text,
    optional_time_to_pb,
    text,
    text_map,
    whole,
)
from creditd.enums import HoldStatus, Overage
from creditd.model import (
    ExtendHoldResult,
    Hold,
    HoldPage,
    HoldResult,
    ReleaseHoldResult,
    SettleHoldResult,
    Usage,
)
from creditd.v1 import ledger_pb2


def hold_to_pb(
    account: str,
    usage: Usage | None,
    credits: Amount | None,  # noqa: A002 - the API's name
    *,
    rate_card: str | None,
    revision: str | None,
    price_time: datetime | None,
    prices_account: str | None,
    ttl: Duration | None,
    request_id: str | None,
    labels: Mapping[str, str] | None,
) -> ledger_pb2.HoldRequest:
    """The request of Hold, with a new request_id where none is given."""
    usage_pb, credits_text = usage_or_credits_to_pb(usage, credits)
    return ledger_pb2.HoldRequest(
        request_id=request_id_or_new(request_id),
        account=text(account, "account"),
        usage=usage_pb,
        credits=credits_text,
        prices=prices_to_pb(prices_account, rate_card, revision, price_time),
        ttl=optional_duration_to_pb(ttl, "ttl"),
        labels=text_map(labels, "labels"),
    )


def extend_hold_to_pb(
    account: str, hold_id: str, ttl: Duration | None, *, request_id: str | None
) -> ledger_pb2.ExtendHoldRequest:
    """The request of ExtendHold, with a new request_id where none is given.

    A ttl of None is left out, and refused by the server.
    """
    return ledger_pb2.ExtendHoldRequest(
        request_id=request_id_or_new(request_id),
        account=text(account, "account"),
        hold_id=text(hold_id, "hold_id"),
        ttl=optional_duration_to_pb(ttl, "ttl"),
    )


def settle_hold_to_pb(
    account: str,
    hold_id: str,
    usage: Usage | None,
    credits: Amount | None,  # noqa: A002 - the API's name
    *,
    rate_card: str | None,
    revision: str | None,
    price_time: datetime | None,
    prices_account: str | None,
    keep_open: bool,
    overage: Overage,
    request_id: str | None,
    labels: Mapping[str, str] | None,
) -> ledger_pb2.SettleHoldRequest:
    """The request of SettleHold, with a new request_id where none is given."""
    usage_pb, credits_text = usage_or_credits_to_pb(usage, credits)
    return ledger_pb2.SettleHoldRequest(
        request_id=request_id_or_new(request_id),
        account=text(account, "account"),
        hold_id=text(hold_id, "hold_id"),
        usage=usage_pb,
        credits=credits_text,
        keep_open=flag(keep_open, "keep_open"),
        overage=enum_to_number(overage, Overage, "overage"),  # type: ignore[arg-type]
        prices=prices_to_pb(prices_account, rate_card, revision, price_time),
        labels=text_map(labels, "labels"),
    )


def release_hold_to_pb(
    account: str, hold_id: str, *, request_id: str | None
) -> ledger_pb2.ReleaseHoldRequest:
    """The request of ReleaseHold, with a new request_id where none is given."""
    return ledger_pb2.ReleaseHoldRequest(
        request_id=request_id_or_new(request_id),
        account=text(account, "account"),
        hold_id=text(hold_id, "hold_id"),
    )


def get_hold_to_pb(account: str, hold_id: str) -> ledger_pb2.GetHoldRequest:
    """The request of GetHold."""
    return ledger_pb2.GetHoldRequest(
        account=text(account, "account"), hold_id=text(hold_id, "hold_id")
    )


def holds_to_pb(
    account: str,
    *,
    request_id: str | None,
    labels: Mapping[str, str] | None,
    start_time: datetime | None,
    end_time: datetime | None,
    page_size: int,
    page_token: str = "",
) -> ledger_pb2.ListHoldsRequest:
    """The request of ListHolds."""
    return ledger_pb2.ListHoldsRequest(
        account=text(account, "account"),
        page_size=whole(page_size, "page_size", INT32),
        page_token=text(page_token, "page_token"),
        request_id=optional_text(request_id, "request_id"),
        labels=text_map(labels, "labels"),
        start_time=optional_time_to_pb(start_time, "start_time"),
        end_time=optional_time_to_pb(end_time, "end_time"),
    )


def hold_result_from_pb(reply: ledger_pb2.HoldResponse) -> HoldResult:
    """The hold as it was made, or made before."""
    return HoldResult(
        hold=_hold(reply.hold),
        available=amount_from_text(reply.available),
        replayed=reply.replayed,
    )


def extend_hold_from_pb(reply: ledger_pb2.ExtendHoldResponse) -> ExtendHoldResult:
    """The hold with its new end."""
    return ExtendHoldResult(hold=_hold(reply.hold), replayed=reply.replayed)


def settle_hold_from_pb(reply: ledger_pb2.SettleHoldResponse) -> SettleHoldResult:
    """The entry that the settlement made, and the hold after it."""
    return SettleHoldResult(
        entry=entry_from_pb(reply.entry),
        hold=_hold(reply.hold),
        available=amount_from_text(reply.available),
        replayed=reply.replayed,
    )


def release_hold_from_pb(reply: ledger_pb2.ReleaseHoldResponse) -> ReleaseHoldResult:
    """The hold after its release."""
    return ReleaseHoldResult(
        hold=_hold(reply.hold),
        available=amount_from_text(reply.available),
        replayed=reply.replayed,
    )


def get_hold_from_pb(reply: ledger_pb2.GetHoldResponse) -> Hold:
    """The hold."""
    return _hold(reply.hold)


def hold_page_from_pb(reply: ledger_pb2.ListHoldsResponse) -> HoldPage:
    """Holds in the order of the reply."""
    return HoldPage(
        holds=tuple(_hold(hold) for hold in reply.holds), next_page_token=reply.next_page_token
    )


def _hold(message: ledger_pb2.HoldState) -> Hold:
    return Hold(
        hold_id=message.hold_id,
        held=amount_from_text(message.held),
        settled=amount_from_text(message.settled),
        expire_time=time_from_field(message, "expire_time"),
        status=enum_from_number(HoldStatus, message.status),
        account=message.account,
        create_time=time_from_field(message, "create_time"),
        service=message.service,
        labels=dict(message.labels),
        request_id=message.request_id,
        usage=usage_from_pb(message.usage) if message.HasField("usage") else None,
        price_values=dict(message.price_values),
    )
