"""LedgerService for the synchronous client: holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from creditd._channel import CallOptions, Metadata
from creditd._convert import holds as convert
from creditd._sync.transport import Transport
from creditd.enums import Overage

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
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

    def hold(
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
        """Sets credits aside, or raises InsufficientCreditsError and moves nothing.

        What is held can be spent by `settle_hold` alone, until `release_hold` or the end of `ttl`
        gives it back. The arguments that are not listed are those of `charge`.

        Args:
            account: Whose credits.
            usage: What the hold is for: it pays for this service alone.
            credits: What is held, for any work.
            ttl: A timedelta, or seconds as a Decimal. Left out it is an hour; at most a day.
        """
        return self._call(
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

    def extend_hold(
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
        """Sets the end of an open hold anew: `ttl` from now, which may also be sooner."""
        return self._call(
            "ExtendHold",
            convert.extend_hold_to_pb(account, hold_id, ttl, request_id=request_id),
            convert.extend_hold_from_pb,
            CallOptions(timeout, metadata, x_request_id),
        )

    def settle_hold(
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

        The arguments that are not listed are those of `charge`.

        Args:
            account: Whose hold.
            hold_id: The hold.
            usage: What the work was. Unless prices are named, those with which the hold was
                priced apply.
            credits: What the work cost, which may be 0.
            keep_open: Keep the rest held for a further settlement.
            overage: What to do where the cost is more than what is held: raise
                HoldExceededError, as left out, or take the rest from what is available.
        """
        return self._call(
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

    def release_hold(
        self,
        account: str,
        hold_id: str,
        *,
        request_id: str | None = None,
        timeout: Timeout | None = None,
        metadata: Metadata = (),
        x_request_id: str | None = None,
    ) -> ReleaseHoldResult:
        """Gives back all that an open hold has."""
        return self._call(
            "ReleaseHold",
            convert.release_hold_to_pb(account, hold_id, request_id=request_id),
            convert.release_hold_from_pb,
            CallOptions(timeout, metadata, x_request_id),
        )

    def get_hold(
        self,
        account: str,
        hold_id: str,
        *,
        timeout: Timeout | None = None,
        metadata: Metadata = (),
        x_request_id: str | None = None,
    ) -> Hold:
        """One hold, open or not."""
        return self._call(
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
    ) -> Iterator[Hold]:
        """The open holds of an account, oldest first, fetched page by page as they are read.

        Filters, all of which must hold: `request_id` is that of the call that made the hold,
        `labels` must all be among the hold's, with these values, and the hold was made at
        `start_time` or later and before `end_time`. `timeout` is for each page. `page_size` is how
        many to fetch at a time; 0 means 50.
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
        return (hold for page in pages for hold in page.holds)

    def list_holds_page(
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
        """One page of `list_holds`; `page_token` is the `next_page_token` of the page before."""
        return self._call(
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
