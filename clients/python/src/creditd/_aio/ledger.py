"""LedgerService for the asynchronous client: balances, entries and grants."""

from __future__ import annotations

from typing import TYPE_CHECKING

from creditd._aio.transport import Transport
from creditd._aio.watch import AsyncBalanceWatch
from creditd._channel import CallOptions, Metadata
from creditd._convert import ledger as convert

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
    from datetime import datetime

    from creditd._attempts import Timeout
    from creditd._values import Amount
    from creditd.enums import EntryKind
    from creditd.model import Balance, Entry, EntryPage, GrantResult, RevokeGrantResult


class LedgerCalls(Transport):
    """Keeps prepaid credits."""

    async def get_balance(
        self,
        account: str,
        *,
        as_of: datetime | None = None,
        timeout: Timeout | None = None,
        metadata: Metadata = (),
        x_request_id: str | None = None,
    ) -> Balance:
        """See `Client.get_balance`."""
        return await self._call(
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
    ) -> AsyncBalanceWatch:
        """See `Client.watch_balance`."""
        return AsyncBalanceWatch(
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
    ) -> AsyncIterator[Entry]:
        """See `Client.list_entries`."""
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
        return (entry async for page in pages for entry in page.entries)

    async def list_entries_page(
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
        """See `Client.list_entries_page`."""
        return await self._call(
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

    async def grant(
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
        """See `Client.grant`."""
        return await self._call(
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

    async def revoke_grant(
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
        """See `Client.revoke_grant`."""
        return await self._call(
            "RevokeGrant",
            convert.revoke_grant_to_pb(account, grant_id, request_id=request_id, labels=labels),
            convert.revoke_grant_from_pb,
            CallOptions(timeout, metadata, x_request_id),
        )
