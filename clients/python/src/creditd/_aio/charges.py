"""LedgerService for the asynchronous client: charges and refunds."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from creditd._aio.transport import Transport
from creditd._channel import CallOptions, Metadata
from creditd._convert import charges as convert
from creditd._request_id import new_request_id
from creditd.model import BatchCharge, Charge, ChargeResult, RefundResult, Usage

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from creditd._attempts import Timeout
    from creditd._values import Amount


class ChargeCalls(Transport):
    """Spends prepaid credits, and gives them back."""

    async def charge(
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
        """See `Client.charge`."""
        return await self._call(
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

    async def batch_charge(
        self,
        charges: Iterable[Charge],
        *,
        timeout: Timeout | None = None,
        metadata: Metadata = (),
        x_request_id: str | None = None,
    ) -> BatchCharge:
        """See `Client.batch_charge`."""
        request = convert.batch_charge_to_pb(charges)
        return await self._call(
            "BatchCharge",
            request,
            partial(convert.batch_charge_from_pb, request),
            CallOptions(timeout, metadata, x_request_id),
        )

    async def refund(
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
        """See `Client.refund`."""
        return await self._call(
            "Refund",
            convert.refund_to_pb(account, entry_id, credits, request_id=request_id, labels=labels),
            convert.refund_from_pb,
            CallOptions(timeout, metadata, x_request_id),
        )
