"""PricingService for the synchronous client."""

from __future__ import annotations

from typing import TYPE_CHECKING

from creditd._channel import CallOptions, Metadata
from creditd._convert import pricing as convert
from creditd._sync.transport import Transport

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from creditd._attempts import Timeout
    from creditd._values import Amount, Duration
    from creditd.model import BatchEstimate, Estimate, RateCard, Usage


class PricingCalls(Transport):
    """Prices usage. Nothing here has a side effect."""

    def estimate(
        self,
        service: str,
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
        """Prices one usage.

        Args:
            service: Key of a row of the rate card, such as "lip_sync_video".
            duration: For services priced by time. A timedelta, or seconds as a Decimal with up to
                9 decimals.
            count: For services priced by the piece. Left out, it is 1.
            attributes: Facts that the price may depend on.
            meters: Further quantities.
            account: Whose prices apply.
            rate_card: Left out, the server's default card.
            revision: Price exactly as in the estimate that named this revision.
            price_time: Prices in force then. Not together with `revision`.
            explain: Also return `lines`.
            check_balance: Also return `affordability`. Needs an `account` that exists.
        """
        return self._call(
            "Estimate",
            convert.estimate_to_pb(
                service,
                duration,
                count,
                attributes,
                meters,
                prices=convert.prices_to_pb(account, rate_card, revision, price_time),
                explain=explain,
                check_balance=check_balance,
            ),
            convert.estimate_from_pb,
            CallOptions(timeout, metadata, x_request_id),
        )

    def batch_estimate(
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
        """Prices up to 10,000 usages.

        An item that is refused does not fail the others: its error is returned in its place, not
        raised. The other arguments are those of `estimate`; `check_balance` asks about all items
        together.
        """
        return self._call(
            "BatchEstimate",
            convert.batch_estimate_to_pb(
                usages,
                prices=convert.prices_to_pb(account, rate_card, revision, price_time),
                explain=explain,
                check_balance=check_balance,
            ),
            convert.batch_estimate_from_pb,
            CallOptions(timeout, metadata, x_request_id),
        )

    def get_rate_card(
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
        """Lists what a rate card prices. The arguments are those of `estimate`."""
        return self._call(
            "GetRateCard",
            convert.rate_card_to_pb(convert.prices_to_pb(account, rate_card, revision, price_time)),
            convert.rate_card_from_pb,
            CallOptions(timeout, metadata, x_request_id),
        )
