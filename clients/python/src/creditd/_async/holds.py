"""LedgerService for the asynchronous client: holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from creditd._async.transport import Transport
from creditd._channel import CallOptions, Metadata
from creditd._convert import holds as convert
from creditd.enums import Overage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from datetime import datetime

    from creditd._attempts import Timeout
    from creditd._values import Amount, Duration
    from creditd.model import (
        ExtendHoldResult,
        Hold,
        HoldPage,
        HoldResult,
        ReleaseHoldResult,
        SettleHoldResult,
        Usage,
    )


class HoldCalls(Transport):
    """Sets credits aside for work whose cost is not known yet."""

    async def hold(
        self,
        account: str,
        usage: Usage | None = None,
        *,
        credits: Amount | None = None,  # noqa: A002 - the API's name
        ttl: Duration | None = None,
        rate_card: str | None = None,
        revision: str | None = None,
        price_time: datetime | None = None,
        prices_account: str | None = None,
        request_id: str | None = None,
        labels: Mapping[str, str] | None = None,
        timeout: Timeout | None = None,
        metadata: Metadata = (),
        x_request_id: str | None = None,
    ) -> HoldResult:
        """Sets credits aside for work whose cost is not known yet.

        What is held can be spent by `settle_hold` alone, until `release_hold` or the end of `ttl`
        gives it back.

        Args:
            account: The account.
            usage: What the hold is for: it pays for this service alone.
            credits: What is held in place of a priced usage, for any work.
            ttl: A timedelta, or seconds as a Decimal. Left out it is an hour; at most a day.
            rate_card: The card that prices it. Left out, the account's card, or else the server's
                default.
            revision: Prices exactly as in the estimate that named this revision.
            price_time: Prices that were in force then. Not together with `revision`.
            prices_account: The account whose prices apply. Left out, the one that pays.
            request_id: The idempotency key, unique within the account. Left out, the client makes
                one, which is also the `request_id` of errors.
            labels: Strings by names, stored with the hold.
            timeout: Seconds or a timedelta for the whole call, with its retries. Left out, the
                client's.
            metadata: Further metadata to send, as pairs of key and value.
            x_request_id: The id of the call in the server's log. Left out, the server makes one.

        Returns:
            The hold, and what is left beside it.

        Raises:
            InvalidArgumentError: An argument is refused by the server; `fields` names all that are.
            NotFoundError: There is no such account, rate card or revision.
            InsufficientCreditsError: The account cannot pay; no credits moved, and the
                request_id is free.
            RequestIdReusedError: The request_id belongs to another call.
            DeadlineExceededError: No answer in time. It may have taken effect: repeat it with the
                error's `request_id`.
            CreditdError: Another refusal or failure.
            TypeError, ValueError: An argument has no exact form on the wire; nothing was sent.
        """
        return await self._call(
            "Hold",
            convert.hold_to_pb(
                account,
                usage,
                credits,
                rate_card=rate_card,
                revision=revision,
                price_time=price_time,
                prices_account=prices_account,
                ttl=ttl,
                request_id=request_id,
                labels=labels,
            ),
            convert.hold_result_from_pb,
            CallOptions(timeout, metadata, x_request_id),
        )

    async def extend_hold(
        self,
        account: str,
        hold_id: str,
        ttl: Duration,
        *,
        request_id: str | None = None,
        timeout: Timeout | None = None,
        metadata: Metadata = (),
        x_request_id: str | None = None,
    ) -> ExtendHoldResult:
        """Sets the end of an open hold anew: `ttl` from now, which may also be sooner.

        Args:
            account: The account of the hold.
            hold_id: The hold.
            ttl: A timedelta, or seconds as a Decimal; at most a day.
            request_id: The idempotency key, unique within the account. Left out, the client makes
                one, which is also the `request_id` of errors.
            timeout: Seconds or a timedelta for the whole call, with its retries. Left out, the
                client's.
            metadata: Further metadata to send, as pairs of key and value.
            x_request_id: The id of the call in the server's log. Left out, the server makes one.

        Returns:
            The hold with its new end.

        Raises:
            InvalidArgumentError: An argument is refused by the server; `fields` names all that are.
            NotFoundError: There is no such account or hold.
            HoldClosedError: The hold was settled, released or has expired; no credits moved.
            RequestIdReusedError: The request_id belongs to another call.
            DeadlineExceededError: No answer in time. It may have taken effect: repeat it with the
                error's `request_id`.
            CreditdError: Another refusal or failure.
            TypeError, ValueError: An argument has no exact form on the wire; nothing was sent.
        """
        return await self._call(
            "ExtendHold",
            convert.extend_hold_to_pb(account, hold_id, ttl, request_id=request_id),
            convert.extend_hold_from_pb,
            CallOptions(timeout, metadata, x_request_id),
        )

    async def settle_hold(
        self,
        account: str,
        hold_id: str,
        usage: Usage | None = None,
        *,
        credits: Amount | None = None,  # noqa: A002 - the API's name
        keep_open: bool = False,
        overage: Overage = Overage.UNSPECIFIED,
        rate_card: str | None = None,
        revision: str | None = None,
        price_time: datetime | None = None,
        prices_account: str | None = None,
        request_id: str | None = None,
        labels: Mapping[str, str] | None = None,
        timeout: Timeout | None = None,
        metadata: Metadata = (),
        x_request_id: str | None = None,
    ) -> SettleHoldResult:
        """Pays from an open hold what the work cost, and gives the rest back.

        Args:
            account: The account of the hold.
            hold_id: The hold.
            usage: What the work was. Unless prices are named, those with which the hold was priced
                apply.
            credits: What the work cost, in place of a priced usage; it may be 0.
            keep_open: Keep the rest held for a further settlement.
            overage: What to do where the cost is more than what is held: raise HoldExceededError,
                as left out, or take the rest from what is available.
            rate_card: The card that prices it.
            revision: Prices exactly as in the estimate that named this revision.
            price_time: Prices that were in force then. Not together with `revision`.
            prices_account: The account whose prices apply. Left out, the one that pays.
            request_id: The idempotency key, unique within the account. Left out, the client makes
                one, which is also the `request_id` of errors.
            labels: Strings by names, stored with the entry.
            timeout: Seconds or a timedelta for the whole call, with its retries. Left out, the
                client's.
            metadata: Further metadata to send, as pairs of key and value.
            x_request_id: The id of the call in the server's log. Left out, the server makes one.

        Returns:
            The entry that was paid, the hold after it, and what is available.

        Raises:
            InvalidArgumentError: An argument is refused by the server; `fields` names all that are.
            NotFoundError: There is no such account, hold, rate card or revision.
            HoldClosedError: The hold was settled, released or has expired; no credits moved.
            HoldExceededError: It cost more than is held, and `overage` does not allow that; no
                credits moved.
            InsufficientCreditsError: The account cannot pay; no credits moved, and the
                request_id is free.
            RequestIdReusedError: The request_id belongs to another call.
            DeadlineExceededError: No answer in time. It may have taken effect: repeat it with the
                error's `request_id`.
            CreditdError: Another refusal or failure.
            TypeError, ValueError: An argument has no exact form on the wire; nothing was sent.
        """
        return await self._call(
            "SettleHold",
            convert.settle_hold_to_pb(
                account,
                hold_id,
                usage,
                credits,
                rate_card=rate_card,
                revision=revision,
                price_time=price_time,
                prices_account=prices_account,
                keep_open=keep_open,
                overage=overage,
                request_id=request_id,
                labels=labels,
            ),
            convert.settle_hold_from_pb,
            CallOptions(timeout, metadata, x_request_id),
        )

    async def release_hold(
        self,
        account: str,
        hold_id: str,
        *,
        request_id: str | None = None,
        timeout: Timeout | None = None,
        metadata: Metadata = (),
        x_request_id: str | None = None,
    ) -> ReleaseHoldResult:
        """Gives back all that an open hold has.

        Args:
            account: The account of the hold.
            hold_id: The hold.
            request_id: The idempotency key, unique within the account. Left out, the client makes
                one, which is also the `request_id` of errors.
            timeout: Seconds or a timedelta for the whole call, with its retries. Left out, the
                client's.
            metadata: Further metadata to send, as pairs of key and value.
            x_request_id: The id of the call in the server's log. Left out, the server makes one.

        Returns:
            The hold after it, and what is available.

        Raises:
            InvalidArgumentError: An argument is refused by the server; `fields` names all that are.
            NotFoundError: There is no such account or hold.
            HoldClosedError: The hold was settled, released or has expired; no credits moved.
            RequestIdReusedError: The request_id belongs to another call.
            DeadlineExceededError: No answer in time. It may have taken effect: repeat it with the
                error's `request_id`.
            CreditdError: Another refusal or failure.
            TypeError, ValueError: An argument has no exact form on the wire; nothing was sent.
        """
        return await self._call(
            "ReleaseHold",
            convert.release_hold_to_pb(account, hold_id, request_id=request_id),
            convert.release_hold_from_pb,
            CallOptions(timeout, metadata, x_request_id),
        )

    async def get_hold(
        self,
        account: str,
        hold_id: str,
        *,
        timeout: Timeout | None = None,
        metadata: Metadata = (),
        x_request_id: str | None = None,
    ) -> Hold:
        """Finds one hold, open or not.

        Args:
            account: The account of the hold.
            hold_id: The hold.
            timeout: Seconds or a timedelta for the whole call, with its retries. Left out, the
                client's.
            metadata: Further metadata to send, as pairs of key and value.
            x_request_id: The id of the call in the server's log. Left out, the server makes one.

        Returns:
            The hold.

        Raises:
            InvalidArgumentError: An argument is refused by the server; `fields` names all that are.
            NotFoundError: There is no such account or hold.
            DeadlineExceededError: No answer in time.
            CreditdError: Another refusal or failure.
            TypeError, ValueError: An argument has no exact form on the wire; nothing was sent.
        """
        return await self._call(
            "GetHold",
            convert.get_hold_to_pb(account, hold_id),
            convert.get_hold_from_pb,
            CallOptions(timeout, metadata, x_request_id),
        )

    def list_holds(
        self,
        account: str,
        *,
        request_id: str | None = None,
        labels: Mapping[str, str] | None = None,
        start_time: datetime | None = None,
        end_time: datetime | None = None,
        page_size: int = 0,
        timeout: Timeout | None = None,
        metadata: Metadata = (),
        x_request_id: str | None = None,
    ) -> AsyncIterator[Hold]:
        """Yields the open holds of an account, oldest first, fetched page by page as they are read.

        All filters that are given must hold.

        Args:
            account: The account of the holds.
            request_id: The hold that the call with this request_id made.
            labels: Holds that have all of these labels, with these values.
            start_time: Holds that were made at this time or later.
            end_time: Holds that were made before this time.
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
            "ListHolds",
            convert.holds_to_pb(
                account,
                request_id=request_id,
                labels=labels,
                start_time=start_time,
                end_time=end_time,
                page_size=page_size,
            ),
            convert.hold_page_from_pb,
            CallOptions(timeout, metadata, x_request_id),
        )
        return (hold async for page in pages for hold in page.holds)

    async def list_holds_page(
        self,
        account: str,
        *,
        page_token: str = "",
        request_id: str | None = None,
        labels: Mapping[str, str] | None = None,
        start_time: datetime | None = None,
        end_time: datetime | None = None,
        page_size: int = 0,
        timeout: Timeout | None = None,
        metadata: Metadata = (),
        x_request_id: str | None = None,
    ) -> HoldPage:
        """Gives one page of `list_holds`.

        A page may have fewer holds than asked for, or none: only an empty `next_page_token` is the
        end.

        Args:
            account: The account of the holds.
            page_token: The `next_page_token` of the page before, which had the same filters.
            request_id: The hold that the call with this request_id made.
            labels: Holds that have all of these labels, with these values.
            start_time: Holds that were made at this time or later.
            end_time: Holds that were made before this time.
            page_size: How many to fetch at a time. 0 means 50; the server sends at most 1,000.
            timeout: Seconds or a timedelta for the whole call, with its retries. Left out, the
                client's.
            metadata: Further metadata to send, as pairs of key and value.
            x_request_id: The id of the call in the server's log. Left out, the server makes one.

        Returns:
            The holds, and the token of the page that follows.

        Raises:
            InvalidArgumentError: An argument is refused by the server; `fields` names all that are.
            NotFoundError: There is no such account.
            DeadlineExceededError: No answer in time.
            CreditdError: Another refusal or failure.
            TypeError, ValueError: An argument has no exact form on the wire; nothing was sent.
        """
        return await self._call(
            "ListHolds",
            convert.holds_to_pb(
                account,
                request_id=request_id,
                labels=labels,
                start_time=start_time,
                end_time=end_time,
                page_size=page_size,
                page_token=page_token,
            ),
            convert.hold_page_from_pb,
            CallOptions(timeout, metadata, x_request_id),
        )
