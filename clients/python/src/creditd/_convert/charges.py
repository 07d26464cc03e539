"""Messages of LedgerService about charges and refunds."""

from collections.abc import Iterable, Mapping

from creditd._convert.fields import request_id_or_new, usage_or_credits_to_pb
from creditd._convert.ledger import entry_from_pb
from creditd._convert.pricing import prices_to_pb
from creditd._status import error_from_status
from creditd._values import Amount, amount_from_text, amount_to_text, iterable, text, text_map
from creditd.errors import CreditdError
from creditd.model import BatchCharge, Charge, ChargeResult, RefundResult
from creditd.v1 import ledger_pb2


def charge_to_pb(charge: Charge, where: str = "") -> ledger_pb2.ChargeRequest:
    """The request of Charge, or an item of a batch; `where` prefixes its fields in errors."""
    usage, credits = usage_or_credits_to_pb(charge.usage, charge.credits, where)  # noqa: A001
    return ledger_pb2.ChargeRequest(
        request_id=text(charge.request_id, f"{where}request_id"),
        account=text(charge.account, f"{where}account"),
        usage=usage,
        credits=credits,
        prices=prices_to_pb(
            charge.prices_account, charge.rate_card, charge.revision, charge.price_time, where
        ),
        labels=text_map(charge.labels, f"{where}labels"),
    )


def batch_charge_to_pb(charges: Iterable[Charge]) -> ledger_pb2.BatchChargeRequest:
    """The request of BatchCharge, items in the order of `charges`."""
    request = ledger_pb2.BatchChargeRequest()
    for index, charge in enumerate(iterable(charges, "charges")):
        if not isinstance(charge, Charge):
            raise TypeError(f"charges[{index}] must be a Charge, not {type(charge).__name__}")
        request.charges.append(charge_to_pb(charge, f"charges[{index}]."))
    return request


def refund_to_pb(
    account: str,
    entry_id: str,
    credits: Amount | None,  # noqa: A002 - the API's name
    *,
    request_id: str | None,
    labels: Mapping[str, str] | None,
) -> ledger_pb2.RefundRequest:
    """The request of Refund, with a new request_id where none is given."""
    return ledger_pb2.RefundRequest(
        request_id=request_id_or_new(request_id),
        account=text(account, "account"),
        entry_id=text(entry_id, "entry_id"),
        credits=None if credits is None else amount_to_text(credits, "credits"),
        labels=text_map(labels, "labels"),
    )


def charge_from_pb(reply: ledger_pb2.ChargeResponse) -> ChargeResult:
    """The entry that the charge made, or made before."""
    return ChargeResult(
        entry=entry_from_pb(reply.entry),
        available=amount_from_text(reply.available),
        replayed=reply.replayed,
    )


def batch_charge_from_pb(
    request: ledger_pb2.BatchChargeRequest, reply: ledger_pb2.BatchChargeResponse
) -> BatchCharge:
    """Results in the order of the reply, which is that of the request."""
    if len(reply.results) != len(request.charges):
        raise ValueError(
            f"the server answered {len(request.charges)} charges by {len(reply.results)} results"
        )
    return BatchCharge(
        results=[
            _batch_charge_result(charge, result)
            for charge, result in zip(request.charges, reply.results, strict=True)
        ],
        failed_count=reply.failed_count,
    )


def refund_from_pb(reply: ledger_pb2.RefundResponse) -> RefundResult:
    """The entry that the refund made, or made before."""
    return RefundResult(
        entry=entry_from_pb(reply.entry),
        available=amount_from_text(reply.available),
        replayed=reply.replayed,
    )


def _batch_charge_result(
    charge: ledger_pb2.ChargeRequest, result: ledger_pb2.BatchChargeResult
) -> ChargeResult | CreditdError:
    if result.HasField("error"):
        return error_from_status(result.error, charge.request_id)
    return charge_from_pb(result.charge)
