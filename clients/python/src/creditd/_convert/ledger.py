"""Messages of LedgerService about balances, entries and grants."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from creditd._convert.fields import (
    enum_from_number,
    optional_time_from_field,
    time_from_field,
)
from creditd._convert.pricing import usage_from_pb
from creditd._request_id import new_request_id
from creditd._values import Amount, amount_from_text, amount_to_text, optional_time_to_pb
from creditd.enums import EntryKind
from creditd.model import (
    Balance,
    Entry,
    EntryPage,
    GrantBalance,
    GrantResult,
    GrantShare,
    RevokeGrantResult,
)
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
        request_id=new_request_id() if request_id is None else request_id,
        account=account,
        credits=amount_to_text(credits, "credits"),
        expire_time=optional_time_to_pb(expire_time, "expire_time"),
        priority=priority,
        source=source,
        services=services,
        labels=labels,
    )


def revoke_grant_to_pb(
    account: str, grant_id: str, *, request_id: str | None, labels: Mapping[str, str] | None
) -> ledger_pb2.RevokeGrantRequest:
    """The request of RevokeGrant, with a request_id of its own where none is given."""
    return ledger_pb2.RevokeGrantRequest(
        request_id=new_request_id() if request_id is None else request_id,
        account=account,
        grant_id=grant_id,
        labels=labels,
    )


def entries_to_pb(
    account: str,
    *,
    start_time: datetime | None,
    end_time: datetime | None,
    kinds: Iterable[EntryKind],
    service: str | None,
    hold_id: str | None,
    page_size: int,
    page_token: str = "",
) -> ledger_pb2.ListEntriesRequest:
    """The request of ListEntries."""
    if isinstance(kinds, (str, int)):
        raise TypeError(f"kinds must be several, not one {type(kinds).__name__}")
    return ledger_pb2.ListEntriesRequest(
        account=account,
        page_size=page_size,
        page_token=page_token,
        start_time=optional_time_to_pb(start_time, "start_time"),
        end_time=optional_time_to_pb(end_time, "end_time"),
        kinds=list(kinds),  # type: ignore[arg-type]  # an enum is its number
        service=service,
        hold_id=hold_id,
    )


def watch_to_pb(account: str) -> ledger_pb2.WatchBalanceRequest:
    """The request of WatchBalance."""
    return ledger_pb2.WatchBalanceRequest(account=account)


def balance_from_pb(
    reply: ledger_pb2.GetBalanceResponse | ledger_pb2.WatchBalanceResponse,
) -> Balance:
    """The balance, grants in the order of the reply."""
    message = reply.balance
    return Balance(
        account=message.account,
        available=amount_from_text(message.available),
        held=amount_from_text(message.held),
        grants=tuple(_grant_balance(grant) for grant in message.grants),
        read_time=time_from_field(message, "read_time"),
        version=message.version,
    )


def grant_from_pb(reply: ledger_pb2.GrantResponse) -> GrantResult:
    """The entry that the grant made, or made before."""
    return GrantResult(
        entry=entry_from_pb(reply.entry),
        available=amount_from_text(reply.available),
        replayed=reply.replayed,
    )


def revoke_grant_from_pb(reply: ledger_pb2.RevokeGrantResponse) -> RevokeGrantResult:
    """The entry that took credits back, or took them back before."""
    return RevokeGrantResult(
        entry=entry_from_pb(reply.entry),
        available=amount_from_text(reply.available),
        replayed=reply.replayed,
    )


def entry_page_from_pb(reply: ledger_pb2.ListEntriesResponse) -> EntryPage:
    """Entries in the order of the reply."""
    return EntryPage(
        entries=tuple(entry_from_pb(entry) for entry in reply.entries),
        next_page_token=reply.next_page_token,
    )


def _grant_balance(message: ledger_pb2.GrantBalance) -> GrantBalance:
    return GrantBalance(
        grant_id=message.grant_id,
        granted=amount_from_text(message.granted),
        remaining=amount_from_text(message.remaining),
        priority=message.priority,
        expire_time=optional_time_from_field(message, "expire_time"),
        source=message.source,
        held=amount_from_text(message.held),
        services=tuple(message.services),
        create_time=time_from_field(message, "create_time"),
    )


def entry_from_pb(message: ledger_pb2.Entry) -> Entry:
    """One entry, every field of it."""
    return Entry(
        entry_id=message.entry_id,
        account=message.account,
        kind=enum_from_number(EntryKind, message.kind),
        credits=amount_from_text(message.credits),
        available=amount_from_text(message.available),
        create_time=time_from_field(message, "create_time"),
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
        expire_time=optional_time_from_field(message, "expire_time"),
        priority=message.priority,
        services=tuple(message.services),
    )
