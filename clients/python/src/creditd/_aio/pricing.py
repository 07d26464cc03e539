"""PricingService for the asynchronous client."""

from __future__ import annotations

from typing import TYPE_CHECKING

from creditd._aio.transport import Transport
from creditd._channel import CallOptions, Metadata
from creditd._convert import pricing as convert

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from creditd._attempts import Timeout
    from creditd._values import Amount, Duration
    from creditd.model import BatchEstimate, Estimate, RateCard, Usage


class PricingCalls(Transport):
    """Prices usage. Nothing here has a side effect."""

    async def estimate(
        self,
        service: str | Usage,
        *,
        duration: Duration | None = None,
        count: int | None = None,
        attributes: Mapping[str, str] | None = None,
        meters: Mapping[str, Amount] | None = None,
        account: str | None = None,
        rate_card: str | None = None,
        revision: str | None = None,
        price_time: datetime | None = None,
        explain: bool = False,
        check_balance: bool = False,
        timeout: Timeout | None = None,
        metadata: Metadata = (),
        x_request_id: str | None = None,
    ) -> Estimate:
        """See `Client.estimate`."""
        return await self._call(
            "Estimate",
            convert.estimate_to_pb(
                service,
                duration,
                count,
                attributes,
                meters,
                prices=convert.prices_to_pb(
                    account, rate_card, revision, price_time, account_name="account"
                ),
                explain=explain,
                check_balance=check_balance,
            ),
            convert.estimate_from_pb,
            CallOptions(timeout, metadata, x_request_id),
        )

    async def batch_estimate(
        self,
        usages: Iterable[Usage],
        *,
        account: str | None = None,
        rate_card: str | None = None,
        revision: str | None = None,
        price_time: datetime | None = None,
        explain: bool = False,
        check_balance: bool = False,
        timeout: Timeout | None = None,
        metadata: Metadata = (),
        x_request_id: str | None = None,
    ) -> BatchEstimate:
        """See `Client.batch_estimate`."""
        return await self._call(
            "BatchEstimate",
            convert.batch_estimate_to_pb(
                usages,
                prices=convert.prices_to_pb(
                    account, rate_card, revision, price_time, account_name="account"
                ),
                explain=explain,
                check_balance=check_balance,
            ),
            convert.batch_estimate_from_pb,
            CallOptions(timeout, metadata, x_request_id),
        )

    async def get_rate_card(
        self,
        *,
        account: str | None = None,
        rate_card: str | None = None,
        revision: str | None = None,
        price_time: datetime | None = None,
        timeout: Timeout | None = None,
        metadata: Metadata = (),
        x_request_id: str | None = None,
    ) -> RateCard:
        """See `Client.get_rate_card`."""
        return await self._call(
            "GetRateCard",
            convert.rate_card_to_pb(
                convert.prices_to_pb(
                    account, rate_card, revision, price_time, account_name="account"
                )
            ),
            convert.rate_card_from_pb,
            CallOptions(timeout, metadata, x_request_id),
        )
