"""LedgerService for the asynchronous client: charges and refunds."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from creditd._async.transport import Transport
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
        """Prices usage and takes what it costs: all of it, or nothing.

        It takes a `usage`, which the server prices, or `credits`, an amount that the caller
        decided. The same request_id with the same arguments returns the first answer and takes
        nothing.

        Args:
            account: The account.
            usage: What is paid for, to be priced by the server.
            credits: An amount of your own in place of `usage`. A str is sent as it stands.
            rate_card: The card that prices it. Left out, the account's card, or else the server's
                default.
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
            The entry that the charge made, and what is left.

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
        """Does up to 10,000 charges in order, each by itself.

        A charge that is refused does not fail the others: its error is returned in its place, not
        raised. Where the call as a whole fails and it is not known what was charged, call it again
        with the same charges: each keeps its `request_id`, and nothing is charged twice.

        Args:
            charges: What to charge.
            timeout: Seconds or a timedelta for the whole call, with its retries. Left out, the
                client's.
            metadata: Further metadata to send, as pairs of key and value.
            x_request_id: The id of the call in the server's log. Left out, the server makes one.

        Returns:
            The results in the order of the charges.

        Raises:
            InvalidArgumentError: An argument is refused by the server; `fields` names all that are.
            DeadlineExceededError: No answer in time. Send the same charges again.
            CreditdError: Another refusal or failure.
            TypeError, ValueError: An argument has no exact form on the wire; nothing was sent.
        """
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
        """Gives back all or part of a charge or a settlement, to the grants that paid.

        Args:
            account: The account that paid.
            entry_id: The entry of the charge or settlement.
            credits: How many. Left out, all that is not refunded yet.
            request_id: The idempotency key, unique within the account. Left out, the client makes
                one, which is also the `request_id` of errors.
            labels: Strings by names, stored with the entry.
            timeout: Seconds or a timedelta for the whole call, with its retries. Left out, the
                client's.
            metadata: Further metadata to send, as pairs of key and value.
            x_request_id: The id of the call in the server's log. Left out, the server makes one.

        Returns:
            The entry that gave credits back, and what is available then.

        Raises:
            InvalidArgumentError: An argument is refused by the server; `fields` names all that are.
            NotFoundError: There is no such account or entry.
            RefundExceedsChargeError: It is more than what is left of the charge; no credits moved.
            RequestIdReusedError: The request_id belongs to another call.
            DeadlineExceededError: No answer in time. It may have taken effect: repeat it with the
                error's `request_id`.
            CreditdError: Another refusal or failure.
            TypeError, ValueError: An argument has no exact form on the wire; nothing was sent.
        """
        return await self._call(
            "Refund",
            convert.refund_to_pb(account, entry_id, credits, request_id=request_id, labels=labels),
            convert.refund_from_pb,
            CallOptions(timeout, metadata, x_request_id),
        )
