"""Keys of a server, and the trail of what administrators did, for the asynchronous client."""

from __future__ import annotations

from typing import TYPE_CHECKING

from creditd._async.transport import Transport
from creditd._channel import CallOptions, Metadata
from creditd._convert import keys as convert

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from datetime import datetime

    from creditd._attempts import Timeout
    from creditd.keys import AdminEvent, AdminEventPage, CreateKeyResult, Key, KeyPage


class KeyCalls(Transport):
    """Creates, lists and revokes keys. It takes a key with the scope "admin"."""

    async def create_key(
        self,
        scopes: Sequence[str],
        *,
        title: str = "",
        accounts: Sequence[str] = (),
        expire_time: datetime | None = None,
        calls_per_second_max: int = 0,
        timeout: Timeout | None = None,
        metadata: Metadata = (),
        x_request_id: str | None = None,
    ) -> CreateKeyResult:
        """Creates a key, and returns its secret, which is never shown again.

        Authentication is on from the first key on. Sent twice, this creates two keys: where it is
        not known whether it took effect, it is not sent again but raises. `list_keys` then shows
        whether there is a key with that title, to be revoked.

        Args:
            scopes: What the key may do, one or more of "price", "read", "charge", "grant" and
                "admin"; "admin" may do all.
            title: For people: who uses it, and where.
            accounts: The accounts that it may name: names, and prefixes with "*" behind them.
                Empty: all.
            expire_time: From then on it is refused. Left out: never.
            calls_per_second_max: Calls beyond so many a second are refused. 0: no limit.
            timeout: Seconds or a timedelta for the whole call, with its retries. Left out, the
                client's.
            metadata: Further metadata to send, as pairs of key and value.
            x_request_id: The id of the call in the server's log. Left out, the server makes one.

        Returns:
            The key, and its secret: the `key` of another client.

        Raises:
            InvalidArgumentError: An argument is refused by the server; `fields` names all that are.
            FailedPreconditionError: There are as many keys as the server keeps.
            UnavailableError: It is not known whether a key was created, or none was.
            DeadlineExceededError: No answer in time.
            CreditdError: Another refusal or failure.
            TypeError, ValueError: An argument has no exact form on the wire; nothing was sent.
        """
        return await self._call(
            "CreateKey",
            convert.create_key_to_pb(
                scopes,
                title=title,
                accounts=accounts,
                expire_time=expire_time,
                calls_per_second_max=calls_per_second_max,
            ),
            convert.create_key_from_pb,
            CallOptions(timeout, metadata, x_request_id),
        )

    def list_keys(
        self,
        *,
        show_revoked: bool = False,
        page_size: int = 0,
        timeout: Timeout | None = None,
        metadata: Metadata = (),
        x_request_id: str | None = None,
    ) -> AsyncIterator[Key]:
        """Yields the keys of the server, fetched page by page as they are read.

        They stand in the order of their creation.

        Args:
            show_revoked: Also those that were revoked.
            page_size: How many to fetch at a time. 0 means 50; the server sends at most 1,000.
            timeout: Seconds or a timedelta for each page. Left out, the client's.
            metadata: Further metadata to send, as pairs of key and value.
            x_request_id: The id of the call in the server's log. Left out, the server makes one.

        Returns:
            An asynchronous iterator, which raises the errors below as it is read.

        Raises:
            InvalidArgumentError: An argument is refused by the server; `fields` names all that are.
            DeadlineExceededError: No answer in time.
            CreditdError: Another refusal or failure.
            TypeError, ValueError: An argument has no exact form on the wire; nothing was sent.
        """
        pages = self._pages(
            "ListKeys",
            convert.keys_to_pb(show_revoked=show_revoked, page_size=page_size),
            convert.key_page_from_pb,
            CallOptions(timeout, metadata, x_request_id),
        )
        return (key async for page in pages for key in page.keys)

    async def list_keys_page(
        self,
        *,
        page_token: str = "",
        show_revoked: bool = False,
        page_size: int = 0,
        timeout: Timeout | None = None,
        metadata: Metadata = (),
        x_request_id: str | None = None,
    ) -> KeyPage:
        """Gives one page of `list_keys`, to show pages or to continue later by the token.

        A page may have fewer keys than asked for, or none: only an empty `next_page_token` is the
        end.

        Args:
            page_token: The `next_page_token` of the page before, which had the same filters.
            show_revoked: Also those that were revoked.
            page_size: How many to fetch at a time. 0 means 50; the server sends at most 1,000.
            timeout: Seconds or a timedelta for the whole call, with its retries. Left out, the
                client's.
            metadata: Further metadata to send, as pairs of key and value.
            x_request_id: The id of the call in the server's log. Left out, the server makes one.

        Returns:
            The keys, and the token of the page that follows.

        Raises:
            InvalidArgumentError: An argument is refused by the server; `fields` names all that are.
            DeadlineExceededError: No answer in time.
            CreditdError: Another refusal or failure.
            TypeError, ValueError: An argument has no exact form on the wire; nothing was sent.
        """
        return await self._call(
            "ListKeys",
            convert.keys_to_pb(
                show_revoked=show_revoked, page_size=page_size, page_token=page_token
            ),
            convert.key_page_from_pb,
            CallOptions(timeout, metadata, x_request_id),
        )

    async def revoke_key(
        self,
        key_id: str,
        *,
        timeout: Timeout | None = None,
        metadata: Metadata = (),
        x_request_id: str | None = None,
    ) -> Key:
        """Revokes a key at once: its next call is refused, and its watches end.

        The same again is the same answer.

        Args:
            key_id: The key, as `list_keys` shows it.
            timeout: Seconds or a timedelta for the whole call, with its retries. Left out, the
                client's.
            metadata: Further metadata to send, as pairs of key and value.
            x_request_id: The id of the call in the server's log. Left out, the server makes one.

        Returns:
            The key, with its `revoke_time`.

        Raises:
            InvalidArgumentError: An argument is refused by the server; `fields` names all that are.
            NotFoundError: There is no such key.
            DeadlineExceededError: No answer in time.
            CreditdError: Another refusal or failure.
            TypeError, ValueError: An argument has no exact form on the wire; nothing was sent.

        """
        return await self._call(
            "RevokeKey",
            convert.revoke_key_to_pb(key_id),
            convert.revoke_key_from_pb,
            CallOptions(timeout, metadata, x_request_id),
        )

    def list_admin_events(
        self,
        *,
        key_id: str | None = None,
        page_size: int = 0,
        timeout: Timeout | None = None,
        metadata: Metadata = (),
        x_request_id: str | None = None,
    ) -> AsyncIterator[AdminEvent]:
        """Yields what was done to keys and rate cards, and by whom, newest first.

        Events are fetched page by page as they are read. They never change.

        Args:
            key_id: Only what this key did. Left out, all.
            page_size: How many to fetch at a time. 0 means 50; the server sends at most 1,000.
            timeout: Seconds or a timedelta for each page. Left out, the client's.
            metadata: Further metadata to send, as pairs of key and value.
            x_request_id: The id of the call in the server's log. Left out, the server makes one.

        Returns:
            An asynchronous iterator, which raises the errors below as it is read.

        Raises:
            InvalidArgumentError: An argument is refused by the server; `fields` names all that are.
            DeadlineExceededError: No answer in time.
            CreditdError: Another refusal or failure.
            TypeError, ValueError: An argument has no exact form on the wire; nothing was sent.
        """
        pages = self._pages(
            "ListAdminEvents",
            convert.admin_events_to_pb(key_id=key_id, page_size=page_size),
            convert.admin_event_page_from_pb,
            CallOptions(timeout, metadata, x_request_id),
        )
        return (event async for page in pages for event in page.events)

    async def list_admin_events_page(
        self,
        *,
        page_token: str = "",
        key_id: str | None = None,
        page_size: int = 0,
        timeout: Timeout | None = None,
        metadata: Metadata = (),
        x_request_id: str | None = None,
    ) -> AdminEventPage:
        """Gives one page of `list_admin_events`, to show pages or to continue later by the token.

        A page may have fewer events than asked for, or none: only an empty `next_page_token` is the
        end.

        Args:
            page_token: The `next_page_token` of the page before, which had the same filters.
            key_id: Only what this key did. Left out, all.
            page_size: How many to fetch at a time. 0 means 50; the server sends at most 1,000.
            timeout: Seconds or a timedelta for the whole call, with its retries. Left out, the
                client's.
            metadata: Further metadata to send, as pairs of key and value.
            x_request_id: The id of the call in the server's log. Left out, the server makes one.

        Returns:
            The events, and the token of the page that follows.

        Raises:
            InvalidArgumentError: An argument is refused by the server; `fields` names all that are.
            DeadlineExceededError: No answer in time.
            CreditdError: Another refusal or failure.
            TypeError, ValueError: An argument has no exact form on the wire; nothing was sent.
        """
        return await self._call(
            "ListAdminEvents",
            convert.admin_events_to_pb(key_id=key_id, page_size=page_size, page_token=page_token),
            convert.admin_event_page_from_pb,
            CallOptions(timeout, metadata, x_request_id),
        )
