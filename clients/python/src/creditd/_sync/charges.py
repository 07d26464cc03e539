"""LedgerService for the synchronous client: charges and refunds."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from creditd._channel import CallOptions, Metadata
from creditd._convert import charges as convert
from creditd._request_id import new_request_id
from creditd._sync.transport import Transport
from creditd.model import BatchCharge, Charge, ChargeResult, RefundResult, Usage

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from creditd._attempts import Timeout
    from creditd._values import Amount


class ChargeCalls(Transport):
    """Spends prepaid credits, and gives them back."""

    def charge(
        self,
        account: str,
        usage: Usage | None = None,
        *,
        credits: Amount | None = None,  # noqa: A002 - the API's name
        rate_card: str | None = None,
        revision: str | None = None,
        price_time: datetime | None = None,
        prices_account: str | None = None,
        request_id: str | None = None,
        labels: Mapping[str, str] | None = None,
        timeout: Timeout | None = None,
        metadata: Metadata = (),
        x_request_id: str | None = None,
    ) -> ChargeResult:
        """Prices and deducts at once, or raises InsufficientCreditsError and moves nothing.

        It takes a `usage` to be priced, or `credits`, an amount that the caller decided.

        Args:
            account: Who pays.
            usage: What is charged for.
            credits: What is charged. A str is sent as it stands.
            rate_card: For a usage. Left out, the server's default card.
            revision: For a usage: the price of the estimate that named this revision.
            price_time: For a usage: prices in force then. Not together with `revision`.
            prices_account: Whose prices apply: the account that pays, also where left out.
            request_id: Left out, the client makes one. See Client.
            labels: Kept with the entry.
        """
        return self._call(
            "Charge",
            convert.charge_to_pb(
                Charge(
                    account,
                    usage,
                    credits,
                    rate_card=rate_card,
                    revision=revision,
                    price_time=price_time,
                    prices_account=prices_account,
                    labels=labels or {},
                    request_id=new_request_id() if request_id is None else request_id,
                )
            ),
            convert.charge_from_pb,
            CallOptions(timeout, metadata, x_request_id),
        )

    def batch_charge(
        self,
        charges: Iterable[Charge],
        *,
        timeout: Timeout | None = None,
        metadata: Metadata = (),
        x_request_id: str | None = None,
    ) -> BatchCharge:
        """Does up to 10,000 charges in order, each by itself.

        A charge that is refused does not fail the others: its error is returned in its place, not
        raised. Where the call as a whole fails and it is not known what was charged, call it again
        with the same charges: each keeps its `request_id`.
        """
        request = convert.batch_charge_to_pb(charges)
        return self._call(
            "BatchCharge",
            request,
            partial(convert.batch_charge_from_pb, request),
            CallOptions(timeout, metadata, x_request_id),
        )

    def refund(
        self,
        account: str,
        entry_id: str,
        *,
        credits: Amount | None = None,  # noqa: A002 - the API's name
        request_id: str | None = None,
        labels: Mapping[str, str] | None = None,
        timeout: Timeout | None = None,
        metadata: Metadata = (),
        x_request_id: str | None = None,
    ) -> RefundResult:
        """Gives back all or part of a charge or a settlement, to the grants that paid.

        Args:
            account: Who paid.
            entry_id: The entry of the charge or settlement.
            credits: How many. Left out, all that is not refunded yet.
            request_id: Left out, the client makes one. See Client.
            labels: Kept with the entry.
        """
        return self._call(
            "Refund",
            convert.refund_to_pb(account, entry_id, credits, request_id=request_id, labels=labels),
            convert.refund_from_pb,
            CallOptions(timeout, metadata, x_request_id),
        )
