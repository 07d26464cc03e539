"""Messages of LedgerService."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from uuid import uuid4

from google.protobuf.message import Message

from creditd._convert.pricing import usage_from_pb
from creditd._values import (
    Amount,
    amount_from_text,
    amount_to_text,
    optional_time_to_pb,
    time_from_pb,
)
from creditd.model import Balance, Entry, EntryKind, GrantBalance, GrantResult, GrantShare
from creditd.v1 import ledger_pb2


def balance_to_pb(account: str, as_of: datetime | None) -> ledger_pb2.GetBalanceRequest:
    """The request of GetBalance."""
    return ledger_pb2.GetBalanceRequest(account=account, as_of=optional_time_to_pb(as_of, "as_of"))


def grant_to_pb(
    account: str,
    credits: Amount,  # noqa: A002 - the API's name
    *,
    request_id: str | None,
    expire_time: datetime | None,
    priority: int,
    source: str,
    services: Iterable[str],
    labels: Mapping[str, str] | None,
) -> ledger_pb2.GrantRequest:
    """The request of Grant, with a request_id of its own where none is given."""
    if isinstance(services, str):
        raise TypeError("services must be several names, not one str")
    return ledger_pb2.GrantRequest(
        request_id=_new_request_id() if request_id is None else request_id,
        account=account,
        credits=amount_to_text(credits, "credits"),
        expire_time=optional_time_to_pb(expire_time, "expire_time"),
        priority=priority,
        source=source,
        services=services,
        labels=labels,
    )


def balance_from_pb(reply: ledger_pb2.GetBalanceResponse) -> Balance:
    """The balance, grants in the order of the reply."""
    message = reply.balance
    return Balance(
        account=message.account,
        available=amount_from_text(message.available),
        held=amount_from_text(message.held),
        grants=tuple(_grant_balance(grant) for grant in message.grants),
        read_time=_time(message, "read_time"),
        version=message.version,
    )


def grant_from_pb(reply: ledger_pb2.GrantResponse) -> GrantResult:
    """The entry that the grant made, or made before."""
    return GrantResult(
        entry=_entry(reply.entry),
        available=amount_from_text(reply.available),
        replayed=reply.replayed,
    )


def _new_request_id() -> str:
    """A request_id that no other call has."""
    return str(uuid4())


def _grant_balance(message: ledger_pb2.GrantBalance) -> GrantBalance:
    return GrantBalance(
        grant_id=message.grant_id,
        granted=amount_from_text(message.granted),
        remaining=amount_from_text(message.remaining),
        priority=message.priority,
        expire_time=_time(message, "expire_time") if message.HasField("expire_time") else None,
        source=message.source,
        held=amount_from_text(message.held),
        services=tuple(message.services),
        create_time=_time(message, "create_time"),
    )


def _entry(message: ledger_pb2.Entry) -> Entry:
    return Entry(
        entry_id=message.entry_id,
        account=message.account,
        kind=_entry_kind(message.kind),
        credits=amount_from_text(message.credits),
        available=amount_from_text(message.available),
        create_time=_time(message, "create_time"),
        request_id=message.request_id,
        service=message.service,
        rate_card=message.rate_card,
        revision=message.revision,
        labels=dict(message.labels),
        spent=amount_from_text(message.spent),
        held=amount_from_text(message.held),
        usage=usage_from_pb(message.usage) if message.HasField("usage") else None,
        grant_id=message.grant_id,
        hold_id=message.hold_id,
        refunded_entry_id=message.refunded_entry_id,
        version=message.version,
        grants=tuple(
            GrantShare(
                share.grant_id, amount_from_text(share.credits), amount_from_text(share.held)
            )
            for share in message.grants
        ),
        source=message.source,
    )


def _entry_kind(number: int) -> EntryKind:
    try:
        return EntryKind(number)
    except ValueError:
        return EntryKind.UNSPECIFIED


def _time(message: Message, field: str) -> datetime:
    if not message.HasField(field):
        raise ValueError(f"the server left {field} out of {message.DESCRIPTOR.name}")
    return time_from_pb(getattr(message, field))
