"""LedgerService for the asynchronous client: balances, entries and grants."""

from __future__ import annotations

from typing import TYPE_CHECKING

from creditd._async.transport import Transport
from creditd._async.watch import AsyncBalanceWatch
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
        """Gives all figures of an account at one moment.

        Args:
            account: The account.
            as_of: The moment. Left out, now.
            timeout: Seconds or a timedelta for the whole call, with its retries. Left out, the
                client's.
            metadata: Further metadata to send, as pairs of key and value.
            x_request_id: The id of the call in the server's log. Left out, the server makes one.

        Returns:
            The balance.

        Raises:
            InvalidArgumentError: An argument is refused by the server; `fields` names all that are.
            NotFoundError: There is no such account.
            DeadlineExceededError: No answer in time.
            CreditdError: Another refusal or failure.
            TypeError, ValueError: An argument has no exact form on the wire; nothing was sent.
        """
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
        """The balance now, and again after each change, until the server ends it.

            async with client.watch_balance("team-a") as watch:
                async for balance in watch:
                    print(balance.available)

        A slow reader gets the newest balance and misses those between. Where the watch fails it
        raises, and where the server stops, or ends a connection that is old (after an hour), it
        ends; call `watch_balance` again then. Only where the client replaces its connection does
        it go on by itself.

        Args:
            account: The account.
            timeout: Seconds or a timedelta, after which the watch ends by DeadlineExceededError.
                Left out, it has no deadline.
            metadata: Further metadata to send, as pairs of key and value.
            x_request_id: The id of the call in the server's log. Left out, the server makes one.

        Returns:
            The watch: an asynchronous iterator that can be closed.

        Raises:
            TypeError, ValueError: An argument has no exact form on the wire; nothing was sent.
            CreditdError: As it is read: there is no such account, or the watch failed.
        """
        return AsyncBalanceWatch(
            self,
            self._connections,
            convert.watch_to_pb(account),
            CallOptions(timeout, metadata, x_request_id),
            self._key,
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
        key_id: str | None = None,
        page_size: int = 0,
        timeout: Timeout | None = None,
        metadata: Metadata = (),
        x_request_id: str | None = None,
    ) -> AsyncIterator[Entry]:
        """Yields the entries of an account, newest first, fetched page by page as they are read.

        All filters that are given must hold. Where older entries were moved to an archive, the last
        page of `list_entries_page` has the opening balance that stands for them.

        Args:
            account: The account of the entries.
            start_time: Entries at this time or later.
            end_time: Entries before this time.
            kinds: Entries of these kinds. Empty: all.
            service: Entries for this service.
            hold_id: Entries of this hold.
            key_id: What this key did.
            page_size: How many to fetch at a time. 0 means 50; the server sends at most 1,000.
            timeout: Seconds or a timedelta for each page. Left out, the client's.
            metadata: Further metadata to send, as pairs of key and value.
            x_request_id: The id of the call in the server's log. Left out, the server makes one.

        Returns:
            An asynchronous iterator, which raises the errors below as it is read.

        Raises:
            InvalidArgumentError: An argument is refused by the server; `fields` names all that are.
            NotFoundError: There is no such account.
            DeadlineExceededError: No answer in time.
            CreditdError: Another refusal or failure.
            TypeError, ValueError: An argument has no exact form on the wire; nothing was sent.
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
                key_id=key_id,
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
        key_id: str | None = None,
        page_size: int = 0,
        timeout: Timeout | None = None,
        metadata: Metadata = (),
        x_request_id: str | None = None,
    ) -> EntryPage:
        """Gives one page of `list_entries`, to show pages or to continue later by the token.

        A page may have fewer entries than asked for, or none: only an empty `next_page_token` is
        the end.

        Args:
            account: The account of the entries.
            page_token: The `next_page_token` of the page before, which had the same filters.
            start_time: Entries at this time or later.
            end_time: Entries before this time.
            kinds: Entries of these kinds. Empty: all.
            service: Entries for this service.
            hold_id: Entries of this hold.
            key_id: What this key did.
            page_size: How many to fetch at a time. 0 means 50; the server sends at most 1,000.
            timeout: Seconds or a timedelta for the whole call, with its retries. Left out, the
                client's.
            metadata: Further metadata to send, as pairs of key and value.
            x_request_id: The id of the call in the server's log. Left out, the server makes one.

        Returns:
            The entries, and the token of the page that follows.

        Raises:
            InvalidArgumentError: An argument is refused by the server; `fields` names all that are.
            NotFoundError: There is no such account.
            DeadlineExceededError: No answer in time.
            CreditdError: Another refusal or failure.
            TypeError, ValueError: An argument has no exact form on the wire; nothing was sent.
        """
        return await self._call(
            "ListEntries",
            convert.entries_to_pb(
                account,
                start_time=start_time,
                end_time=end_time,
                kinds=kinds,
                service=service,
                hold_id=hold_id,
                key_id=key_id,
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
        """Adds credits. The first grant opens the account.

        Args:
            account: The account that gets the credits.
            credits: How many. A str is sent as it stands.
            request_id: The idempotency key, unique within the account. Left out, the client makes
                one, which is also the `request_id` of errors.
            expire_time: Left out, the credits never expire.
            priority: Lower burns first.
            source: Where the credits come from, such as "purchase".
            services: What the credits may pay for. Empty: everything.
            labels: Strings by names, stored with the entry.
            timeout: Seconds or a timedelta for the whole call, with its retries. Left out, the
                client's.
            metadata: Further metadata to send, as pairs of key and value.
            x_request_id: The id of the call in the server's log. Left out, the server makes one.

        Returns:
            The entry that the grant made, and what is available.

        Raises:
            InvalidArgumentError: An argument is refused by the server; `fields` names all that are.
            RequestIdReusedError: The request_id belongs to another call.
            DeadlineExceededError: No answer in time. It may have taken effect: repeat it with the
                error's `request_id`.
            CreditdError: Another refusal or failure.
            TypeError, ValueError: An argument has no exact form on the wire; nothing was sent.
        """
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
        """Takes back the part of a grant that is neither spent nor held.

        It is for a grant that was a mistake.

        Holds keep what they have; what a hold or a refund gives back to the grant later is taken
        back at once.

        Args:
            account: The account.
            grant_id: The grant.
            request_id: The idempotency key, unique within the account. Left out, the client makes
                one, which is also the `request_id` of errors.
            labels: Strings by names, stored with the entry.
            timeout: Seconds or a timedelta for the whole call, with its retries. Left out, the
                client's.
            metadata: Further metadata to send, as pairs of key and value.
            x_request_id: The id of the call in the server's log. Left out, the server makes one.

        Returns:
            The entry that took credits back, and what is available.

        Raises:
            InvalidArgumentError: An argument is refused by the server; `fields` names all that are.
            NotFoundError: There is no such account or grant.
            RequestIdReusedError: The request_id belongs to another call.
            DeadlineExceededError: No answer in time. It may have taken effect: repeat it with the
                error's `request_id`.
            CreditdError: Another refusal or failure.
            TypeError, ValueError: An argument has no exact form on the wire; nothing was sent.
        """
        return await self._call(
            "RevokeGrant",
            convert.revoke_grant_to_pb(account, grant_id, request_id=request_id, labels=labels),
            convert.revoke_grant_from_pb,
            CallOptions(timeout, metadata, x_request_id),
        )
