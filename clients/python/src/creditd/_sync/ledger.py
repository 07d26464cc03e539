"""LedgerService for the synchronous client: balances, entries and grants."""

from __future__ import annotations

from typing import TYPE_CHECKING

from creditd._channel import CallOptions, Metadata
from creditd._convert import ledger as convert
from creditd._sync.transport import Transport
from creditd._sync.watch import BalanceWatch

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from creditd._attempts import Timeout
    from creditd._values import Amount
    from creditd.enums import EntryKind
    from creditd.model import Balance, Entry, EntryPage, GrantResult, RevokeGrantResult


class LedgerCalls(Transport):
    """Keeps prepaid credits."""

    def get_balance(
        self,
        account: str,
        *,
        as_of: datetime | None = None,
        timeout: Timeout | None = None,
        metadata: Metadata = (),
        x_request_id: str | None = None,
    ) -> Balance:
        """All figures of an account at one moment: now, or as they were at `as_of`."""
        return self._call(
            "GetBalance",
            convert.balance_to_pb(account, as_of),
            convert.balance_from_pb,
            CallOptions(timeout, metadata, x_request_id),
        )

    def watch_balance(
        self,
        account: str,
        *,
        timeout: Timeout | None = None,
        metadata: Metadata = (),
        x_request_id: str | None = None,
    ) -> BalanceWatch:
        """The balance now, and again after each change, until the server stops.

            with client.watch_balance("team-a") as watch:
                for balance in watch:
                    print(balance.available)

        Who reads slowly gets the newest balance and misses those between. Nothing is sent again:
        where the watch fails it raises, and where the server stops it ends; watch anew then. With
        a `timeout` it ends by DeadlineExceededError, without one it has no deadline.
        """
        return BalanceWatch(
            self,
            self._connections,
            convert.watch_to_pb(account),
            CallOptions(timeout, metadata, x_request_id),
        )

    def list_entries(
        self,
        account: str,
        *,
        start_time: datetime | None = None,
        end_time: datetime | None = None,
        kinds: Iterable[EntryKind] = (),
        service: str | None = None,
        hold_id: str | None = None,
        page_size: int = 0,
        timeout: Timeout | None = None,
        metadata: Metadata = (),
        x_request_id: str | None = None,
    ) -> Iterator[Entry]:
        """The entries of an account, newest first, fetched page by page as they are read.

        `timeout` is for each page. All filters that are given must hold.

        Args:
            account: Whose entries.
            start_time: Entries at this time or later.
            end_time: Entries before this time.
            kinds: Entries of these kinds. Empty: all.
            service: Entries for this service.
            hold_id: Entries of this hold.
            page_size: How many to fetch at a time. 0 means 50; the server sends at most 1,000.
        """
        pages = self._pages(
            "ListEntries",
            convert.entries_to_pb(
                account,
                start_time=start_time,
                end_time=end_time,
                kinds=kinds,
                service=service,
                hold_id=hold_id,
                page_size=page_size,
            ),
            convert.entry_page_from_pb,
            CallOptions(timeout, metadata, x_request_id),
        )
        return (entry for page in pages for entry in page.entries)

    def list_entries_page(
        self,
        account: str,
        *,
        page_token: str = "",
        start_time: datetime | None = None,
        end_time: datetime | None = None,
        kinds: Iterable[EntryKind] = (),
        service: str | None = None,
        hold_id: str | None = None,
        page_size: int = 0,
        timeout: Timeout | None = None,
        metadata: Metadata = (),
        x_request_id: str | None = None,
    ) -> EntryPage:
        """One page of `list_entries`, for who shows pages or goes on another time.

        `page_token` is the `next_page_token` of the page before, which had the same filters. A
        page may have fewer entries than asked for, or none: only an empty token is the end.
        """
        return self._call(
            "ListEntries",
            convert.entries_to_pb(
                account,
                start_time=start_time,
                end_time=end_time,
                kinds=kinds,
                service=service,
                hold_id=hold_id,
                page_size=page_size,
                page_token=page_token,
            ),
            convert.entry_page_from_pb,
            CallOptions(timeout, metadata, x_request_id),
        )

    def grant(
        self,
        account: str,
        credits: Amount,  # noqa: A002 - the API's name
        *,
        request_id: str | None = None,
        expire_time: datetime | None = None,
        priority: int = 0,
        source: str = "",
        services: Sequence[str] = (),
        labels: Mapping[str, str] | None = None,
        timeout: Timeout | None = None,
        metadata: Metadata = (),
        x_request_id: str | None = None,
    ) -> GrantResult:
        """Adds credits. The first grant opens the account.

        Args:
            account: Who gets the credits.
            credits: How many. A str is sent as it stands.
            request_id: Left out, the client makes one. See Client.
            expire_time: Left out, the credits never expire.
            priority: Lower burns first.
            source: Where the credits come from, such as "purchase".
            services: What the credits may pay for. Empty: everything.
            labels: Kept with the entry.
        """
        return self._call(
            "Grant",
            convert.grant_to_pb(
                account,
                credits,
                request_id=request_id,
                expire_time=expire_time,
                priority=priority,
                source=source,
                services=services,
                labels=labels,
            ),
            convert.grant_from_pb,
            CallOptions(timeout, metadata, x_request_id),
        )

    def revoke_grant(
        self,
        account: str,
        grant_id: str,
        *,
        request_id: str | None = None,
        labels: Mapping[str, str] | None = None,
        timeout: Timeout | None = None,
        metadata: Metadata = (),
        x_request_id: str | None = None,
    ) -> RevokeGrantResult:
        """Takes back what is neither spent nor held of a grant, such as one made by mistake.

        What is held stays with its holds; what comes back to the grant later leaves at once.
        """
        return self._call(
            "RevokeGrant",
            convert.revoke_grant_to_pb(account, grant_id, request_id=request_id, labels=labels),
            convert.revoke_grant_from_pb,
            CallOptions(timeout, metadata, x_request_id),
        )
