"""PricingService for the asynchronous client."""

from __future__ import annotations

from typing import TYPE_CHECKING

from creditd._async.transport import Transport
from creditd._channel import CallOptions, Metadata
from creditd._convert import pricing as convert

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from creditd._attempts import Timeout
    from creditd._values import Duration, MeterValue
    from creditd.model import BatchEstimate, Estimate, RateCard, RateCardPage, Usage


class PricingCalls(Transport):
    """Prices usage. Nothing here has a side effect."""

    async def estimate(
        self,
        service: str | Usage,
        *,
        duration: Duration | None = None,
        count: int | None = None,
        attributes: Mapping[str, str] | None = None,
        meters: Mapping[str, MeterValue] | None = None,
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
            service: A Usage; or the key of a row of the rate card, such as "lip_sync_video", with
                its quantity in the arguments that follow.
            duration: For services priced by time. A timedelta, or seconds as a Decimal with up to 9
                decimals.
            count: For services priced by the piece. Left out, it is 1, unless the card requires it.
            attributes: Words that the price depends on, such as {"model": "opus-5"}.
            meters: Further quantities by name: int, Decimal, str, or a timedelta for one in
                seconds.
            account: The account whose prices apply.
            rate_card: Left out, the account's card, or else the server's default.
            revision: Prices exactly as in the estimate that named this revision.
            price_time: Prices that were in force then. Not together with `revision`.
            explain: Also return `lines`.
            check_balance: Also return `affordability`. Needs an `account` that exists.
            timeout: Seconds or a timedelta for the whole call, with its retries. Left out, the
                client's.
            metadata: Further metadata to send, as pairs of key and value.
            x_request_id: The id of the call in the server's log. Left out, the server makes one.

        Returns:
            What it costs, exactly and as the price list shows it.

        Raises:
            InvalidArgumentError: An argument is refused by the server; `fields` names all that are.
            NotFoundError: There is no such account, rate card or revision.
            DeadlineExceededError: No answer in time.
            CreditdError: Another refusal or failure.
            TypeError, ValueError: An argument has no exact form on the wire; nothing was sent.
        """
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
        """Prices up to 10,000 usages.

        An item that is refused does not fail the others: its error is returned in its place, not
        raised.

        Args:
            usages: What to price.
            account: The account whose prices apply.
            rate_card: Left out, the account's card, or else the server's default.
            revision: Prices exactly as in the estimate that named this revision.
            price_time: Prices that were in force then. Not together with `revision`.
            explain: Also return `lines` with each estimate.
            check_balance: Also return `affordability`, of all items together. Needs an `account`
                that exists.
            timeout: Seconds or a timedelta for the whole call, with its retries. Left out, the
                client's.
            metadata: Further metadata to send, as pairs of key and value.
            x_request_id: The id of the call in the server's log. Left out, the server makes one.

        Returns:
            The estimates in the order of the usages, and their sum.

        Raises:
            InvalidArgumentError: An argument is refused by the server; `fields` names all that are.
            NotFoundError: There is no such account, rate card or revision.
            DeadlineExceededError: No answer in time.
            CreditdError: Another refusal or failure.
            TypeError, ValueError: An argument has no exact form on the wire; nothing was sent.
        """
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
        services: Iterable[str] = (),
        timeout: Timeout | None = None,
        metadata: Metadata = (),
        x_request_id: str | None = None,
    ) -> RateCard:
        """Lists what a rate card prices: services with their meters, attributes and limits.

        A card that does not fit into one reply is fetched in several, all of one revision.

        Args:
            account: The account whose prices apply.
            rate_card: Left out, the account's card, or else the server's default.
            revision: The card exactly as it was at this revision.
            price_time: The card that was in force then. Not together with `revision`.
            services: Only these services, at most 1,000. Empty: all.
            timeout: Seconds or a timedelta for each reply, with its retries. Left out, the
                client's.
            metadata: Further metadata to send, as pairs of key and value.
            x_request_id: The id of the call in the server's log. Left out, the server makes one.

        Returns:
            The card with a line for each service.

        Raises:
            InvalidArgumentError: An argument is refused by the server; `fields` names all that are.
            NotFoundError: There is no such rate card or revision.
            DeadlineExceededError: No answer in time.
            CreditdError: Another refusal or failure.
            TypeError, ValueError: An argument has no exact form on the wire; nothing was sent.
        """
        request = convert.rate_card_to_pb(
            convert.prices_to_pb(account, rate_card, revision, price_time, account_name="account"),
            services=services,
        )
        options = CallOptions(timeout, metadata, x_request_id)
        pages = []
        while True:
            page = await self._call("GetRateCard", request, convert.rate_card_page_from_pb, options)
            pages.append(page)
            if not page.next_page_token:
                return convert.whole_rate_card(pages)
            convert.ask_for_rest(request, page)

    async def get_rate_card_page(
        self,
        *,
        page_token: str = "",
        account: str | None = None,
        rate_card: str | None = None,
        revision: str | None = None,
        price_time: datetime | None = None,
        services: Iterable[str] = (),
        page_size: int = 0,
        timeout: Timeout | None = None,
        metadata: Metadata = (),
        x_request_id: str | None = None,
    ) -> RateCardPage:
        """Gives one page of `get_rate_card`, to show pages or to continue later by the token.

        Args:
            page_token: The `next_page_token` of the page before, which had the same services. Name
                the `revision` of that page too: the token is valid for it alone.
            account: The account whose prices apply.
            rate_card: Left out, the account's card, or else the server's default.
            revision: The card exactly as it was at this revision.
            price_time: The card that was in force then. Not together with `revision`.
            services: Only these services, at most 1,000. Empty: all.
            page_size: How many services to fetch at a time. 0 means all that fit into a reply; the
                server sends at most 1,000 of those that are asked for.
            timeout: Seconds or a timedelta for the whole call, with its retries. Left out, the
                client's.
            metadata: Further metadata to send, as pairs of key and value.
            x_request_id: The id of the call in the server's log. Left out, the server makes one.

        Returns:
            The card with some of its services, and the token of the page that follows.

        Raises:
            InvalidArgumentError: An argument is refused by the server; `fields` names all that are.
            NotFoundError: There is no such rate card or revision.
            DeadlineExceededError: No answer in time.
            CreditdError: Another refusal or failure.
            TypeError, ValueError: An argument has no exact form on the wire; nothing was sent.
        """
        return await self._call(
            "GetRateCard",
            convert.rate_card_to_pb(
                convert.prices_to_pb(
                    account, rate_card, revision, price_time, account_name="account"
                ),
                services=services,
                page_size=page_size,
                page_token=page_token,
            ),
            convert.rate_card_page_from_pb,
            CallOptions(timeout, metadata, x_request_id),
        )
