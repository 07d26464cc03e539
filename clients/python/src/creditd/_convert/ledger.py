"""Messages of LedgerService about balances, entries and grants."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from creditd._convert.fields import request_id_or_new
from creditd._convert.messages import (
    enum_from_number,
    enum_to_number,
    optional_time_from_field,
    time_from_field,
)
from creditd._convert.pricing import usage_from_pb
from creditd._values import (
    INT32,
    Amount,
    amount_from_text,
    amount_to_text,
    iterable,
    optional_text,
    optional_time_to_pb,
    text,
    text_map,
    texts,
    whole,
)
from creditd.enums import EntryKind
from creditd.model import (
    Balance,
    Entry,
    EntryPage,
    GrantBalance,
    GrantResult,
    GrantShare,
    OpeningBalance,
    RevokeGrantResult,
)
from creditd.v1 import ledger_pb2


def balance_to_pb(account: str, as_of: datetime | None) -> ledger_pb2.GetBalanceRequest:
    """The request of GetBalance."""
    return ledger_pb2.GetBalanceRequest(
        account=text(account, "account"), as_of=optional_time_to_pb(as_of, "as_of")
    )


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
    """The request of Grant, with a new request_id where none is given."""
    return ledger_pb2.GrantRequest(
        request_id=request_id_or_new(request_id),
        account=text(account, "account"),
        credits=amount_to_text(credits, "credits"),
        expire_time=optional_time_to_pb(expire_time, "expire_time"),
        priority=whole(priority, "priority", INT32),
        source=text(source, "source"),
        services=texts(services, "services"),
        labels=text_map(labels, "labels"),
    )


def revoke_grant_to_pb(
    account: str, grant_id: str, *, request_id: str | None, labels: Mapping[str, str] | None
) -> ledger_pb2.RevokeGrantRequest:
    """The request of RevokeGrant, with a new request_id where none is given."""
    return ledger_pb2.RevokeGrantRequest(
        request_id=request_id_or_new(request_id),
        account=text(account, "account"),
        grant_id=text(grant_id, "grant_id"),
        labels=text_map(labels, "labels"),
    )


def entries_to_pb(
    account: str,
    *,
    start_time: datetime | None,
    end_time: datetime | None,
    kinds: Iterable[EntryKind],
    service: str | None,
    hold_id: str | None,
    key_id: str | None,
    page_size: int,
    page_token: str = "",
) -> ledger_pb2.ListEntriesRequest:
    """The request of ListEntries."""
    return ledger_pb2.ListEntriesRequest(
        account=text(account, "account"),
        page_size=whole(page_size, "page_size", INT32),
        page_token=text(page_token, "page_token"),
        start_time=optional_time_to_pb(start_time, "start_time"),
        end_time=optional_time_to_pb(end_time, "end_time"),
        kinds=[
            enum_to_number(kind, EntryKind, f"kinds[{index}]")  # type: ignore[misc]
            for index, kind in enumerate(iterable(kinds, "kinds"))
        ],
        service=optional_text(service, "service"),
        hold_id=optional_text(hold_id, "hold_id"),
        key_id=optional_text(key_id, "key_id"),
    )


def watch_to_pb(account: str) -> ledger_pb2.WatchBalanceRequest:
    """The request of WatchBalance."""
    return ledger_pb2.WatchBalanceRequest(account=text(account, "account"))


def balance_from_pb(
    reply: ledger_pb2.GetBalanceResponse | ledger_pb2.WatchBalanceResponse | ledger_pb2.Account,
) -> Balance:
    """The balance in it, grants in the order of the reply."""
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
        opening_balance=(
            _opening_balance(reply.opening_balance) if reply.HasField("opening_balance") else None
        ),
    )


def _opening_balance(message: ledger_pb2.OpeningBalance) -> OpeningBalance:
    return OpeningBalance(
        available=amount_from_text(message.available),
        held=amount_from_text(message.held),
        entry_id=message.entry_id,
        create_time=time_from_field(message, "create_time"),
        archive=message.archive,
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
        price_values=dict(message.price_values),
        price_time=optional_time_from_field(message, "price_time"),
        key_id=message.key_id,
    )
