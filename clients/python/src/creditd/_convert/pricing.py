"""Messages of PricingService, and of usage, which the ledger has too."""

from collections.abc import Iterable
from datetime import datetime

from creditd._status import error_from_status
from creditd._values import (
    amount_from_text,
    amount_to_text,
    duration_from_pb,
    duration_to_pb,
    optional_time_to_pb,
)
from creditd.errors import CreditdError
from creditd.model import (
    Affordability,
    BatchEstimate,
    Estimate,
    EstimateLine,
    RateCard,
    ServicePrice,
    Usage,
)
from creditd.v1 import pricing_pb2


def usage_to_pb(usage: Usage, field: str) -> pricing_pb2.Usage:
    """`field` is where the usage stands in the call, for messages."""
    if not isinstance(usage, Usage):
        raise TypeError(f"{field} must be a Usage, not {type(usage).__name__}")
    if usage.duration is not None and usage.count is not None:
        raise ValueError(f"{field} has both a duration and a count; a service is priced by one")
    message = pricing_pb2.Usage(
        service=usage.service,
        attributes=usage.attributes,
        meters={
            name: amount_to_text(value, f"{field}.meters[{name!r}]")
            for name, value in usage.meters.items()
        },
    )
    if usage.duration is not None:
        message.duration.CopyFrom(duration_to_pb(usage.duration, f"{field}.duration"))
    if usage.count is not None:
        if isinstance(usage.count, bool):
            raise TypeError(f"{field}.count must be an int, not bool")
        message.count = usage.count
    return message


def prices_to_pb(
    account: str | None,
    rate_card: str | None,
    revision: str | None,
    price_time: datetime | None,
    where: str = "",
) -> pricing_pb2.PriceSelector:
    """What is None is left to the server. `where` stands before names of fields in messages."""
    return pricing_pb2.PriceSelector(
        account=account,
        rate_card=rate_card,
        revision=revision,
        price_time=optional_time_to_pb(price_time, f"{where}price_time"),
    )


def estimate_to_pb(
    usage: Usage,
    prices: pricing_pb2.PriceSelector,
    *,
    explain: bool,
    check_balance: bool,
) -> pricing_pb2.EstimateRequest:
    """The request of Estimate."""
    return pricing_pb2.EstimateRequest(
        usage=usage_to_pb(usage, "usage"),
        prices=prices,
        explain=explain,
        check_balance=check_balance,
    )


def batch_estimate_to_pb(
    usages: Iterable[Usage],
    prices: pricing_pb2.PriceSelector,
    *,
    explain: bool,
    check_balance: bool,
) -> pricing_pb2.BatchEstimateRequest:
    """The request of BatchEstimate, items in the order of `usages`."""
    return pricing_pb2.BatchEstimateRequest(
        usages=[usage_to_pb(usage, f"usages[{index}]") for index, usage in enumerate(usages)],
        prices=prices,
        explain=explain,
        check_balance=check_balance,
    )


def rate_card_to_pb(prices: pricing_pb2.PriceSelector) -> pricing_pb2.GetRateCardRequest:
    """The request of GetRateCard."""
    return pricing_pb2.GetRateCardRequest(prices=prices)


def estimate_from_pb(reply: pricing_pb2.EstimateResponse) -> Estimate:
    """The estimate, with its affordability where the reply has one."""
    return _estimate(reply.estimate, _affordability(reply))


def batch_estimate_from_pb(reply: pricing_pb2.BatchEstimateResponse) -> BatchEstimate:
    """Results in the order of the reply."""
    return BatchEstimate(
        results=[_batch_estimate_result(result) for result in reply.results],
        total_credits=amount_from_text(reply.total_credits),
        failed_count=reply.failed_count,
        affordability=_affordability(reply),
    )


def rate_card_from_pb(reply: pricing_pb2.GetRateCardResponse) -> RateCard:
    """Services in the order of the reply."""
    return RateCard(
        rate_card=reply.rate_card,
        revision=reply.revision,
        services=tuple(
            ServicePrice(
                price.service, price.title, price.rule, tuple(price.meters), price.quantity_max
            )
            for price in reply.services
        ),
    )


def usage_from_pb(message: pricing_pb2.Usage) -> Usage:
    """What was priced, as it was sent by meaning."""
    quantity = message.WhichOneof("quantity")
    return Usage(
        service=message.service,
        duration=duration_from_pb(message.duration) if quantity == "duration" else None,
        count=message.count if quantity == "count" else None,
        attributes=dict(message.attributes),
        meters={name: amount_from_text(value) for name, value in message.meters.items()},
    )


def _estimate(message: pricing_pb2.Estimate, affordability: Affordability | None) -> Estimate:
    return Estimate(
        service=message.service,
        credits=amount_from_text(message.credits),
        display_credits=amount_from_text(message.display_credits),
        rate_card=message.rate_card,
        revision=message.revision,
        lines=tuple(
            EstimateLine(
                description=line.description,
                quantity=amount_from_text(line.quantity),
                unit=line.unit,
                unit_credits=amount_from_text(line.unit_credits),
                credits=amount_from_text(line.credits),
            )
            for line in message.lines
        ),
        affordability=affordability,
    )


def _batch_estimate_result(result: pricing_pb2.BatchEstimateResult) -> Estimate | CreditdError:
    if result.HasField("error"):
        return error_from_status(result.error)
    return _estimate(result.estimate, None)


def _affordability(
    reply: pricing_pb2.EstimateResponse | pricing_pb2.BatchEstimateResponse,
) -> Affordability | None:
    if not reply.HasField("affordability"):
        return None
    return Affordability(
        sufficient=reply.affordability.sufficient,
        available=amount_from_text(reply.affordability.available),
        shortfall=amount_from_text(reply.affordability.shortfall),
    )
