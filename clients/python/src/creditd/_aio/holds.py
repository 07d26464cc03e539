"""LedgerService for the asynchronous client: holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from creditd._aio.transport import Transport
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
        """See `Client.hold`."""
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
        """See `Client.extend_hold`."""
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
        """See `Client.settle_hold`."""
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
        """See `Client.release_hold`."""
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
        """See `Client.get_hold`."""
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
        """See `Client.list_holds`."""
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
        """See `Client.list_holds_page`."""
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
