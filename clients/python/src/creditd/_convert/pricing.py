"""Messages of PricingService, and of usage, which the ledger has too."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal

from creditd._convert.messages import enum_from_number, optional_time_from_field
from creditd._status import error_from_status
from creditd._values import (
    INT32,
    INT64,
    Duration,
    MeterValue,
    amount_from_text,
    duration_from_pb,
    flag,
    iterable,
    meter_to_text,
    optional_text,
    optional_time_to_pb,
    put_duration,
    text,
    text_map,
    texts,
    whole,
)
from creditd.enums import AttributeSource
from creditd.errors import CreditdError
from creditd.model import (
    Affordability,
    Attribute,
    BatchEstimate,
    Estimate,
    EstimateLine,
    Meter,
    RateCard,
    RateCardPage,
    ServicePrice,
    Usage,
)
from creditd.v1 import pricing_pb2


def usage_to_pb(usage: Usage, field: str) -> pricing_pb2.Usage:
    """The message for a usage; `field` is its path in errors."""
    message = pricing_pb2.Usage()
    _put_usage(message, usage, field)
    return message


def prices_to_pb(
    account: str | None,
    rate_card: str | None,
    revision: str | None,
    price_time: datetime | None,
    where: str = "",
    *,
    account_name: str = "prices_account",
) -> pricing_pb2.PriceSelector | None:
    """The selector, or None where no field is given; `where` prefixes its fields in errors."""
    if account is None and rate_card is None and revision is None and price_time is None:
        return None
    return pricing_pb2.PriceSelector(
        account=optional_text(account, f"{where}{account_name}"),
        rate_card=optional_text(rate_card, f"{where}rate_card"),
        revision=optional_text(revision, f"{where}revision"),
        price_time=optional_time_to_pb(price_time, f"{where}price_time"),
    )


def estimate_to_pb(
    service: str | Usage,
    duration: Duration | None,
    count: int | None,
    attributes: Mapping[str, str] | None,
    meters: Mapping[str, MeterValue] | None,
    *,
    prices: pricing_pb2.PriceSelector | None,
    explain: bool,
    check_balance: bool,
) -> pricing_pb2.EstimateRequest:
    """The request of Estimate."""
    request = pricing_pb2.EstimateRequest()
    if isinstance(service, Usage):
        beside = {"duration": duration, "count": count, "attributes": attributes, "meters": meters}
        given = [name for name, value in beside.items() if value is not None]
        if given:
            raise ValueError(f"{given[0]} stands in the Usage already; give one of the two")
        _put_usage(request.usage, service, "usage")
    else:
        _put_fields(request.usage, service, duration, count, attributes, meters, "usage")
    if prices is not None:
        request.prices.CopyFrom(prices)
    if flag(explain, "explain"):
        request.explain = explain
    if flag(check_balance, "check_balance"):
        request.check_balance = check_balance
    return request


def batch_estimate_to_pb(
    usages: Iterable[Usage],
    *,
    prices: pricing_pb2.PriceSelector | None,
    explain: bool,
    check_balance: bool,
) -> pricing_pb2.BatchEstimateRequest:
    """The request of BatchEstimate, items in the order of `usages`."""
    request = pricing_pb2.BatchEstimateRequest(
        prices=prices,
        explain=flag(explain, "explain"),
        check_balance=flag(check_balance, "check_balance"),
    )
    for index, usage in enumerate(iterable(usages, "usages")):
        _put_usage(request.usages.add(), usage, f"usages[{index}]")
    return request


def rate_card_to_pb(
    prices: pricing_pb2.PriceSelector | None,
    *,
    services: Iterable[str],
    page_size: int = 0,
    page_token: str = "",
) -> pricing_pb2.GetRateCardRequest:
    """The request of GetRateCard."""
    return pricing_pb2.GetRateCardRequest(
        prices=prices,
        services=texts(services, "services"),
        page_size=whole(page_size, "page_size", INT32),
        page_token=text(page_token, "page_token"),
    )


def ask_for_rest(request: pricing_pb2.GetRateCardRequest, page: RateCardPage) -> None:
    """Changes the request to that of the page that follows.

    It names the revision, since another card may come into force between two pages.
    """
    request.prices.Clear()
    request.prices.revision = page.revision
    request.page_token = page.next_page_token


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


def rate_card_page_from_pb(reply: pricing_pb2.GetRateCardResponse) -> RateCardPage:
    """Services in the order of the reply."""
    return RateCardPage(
        rate_card=reply.rate_card,
        revision=reply.revision,
        services=tuple(map(_service_price, reply.services)),
        title=reply.title,
        effective_time=optional_time_from_field(reply, "effective_time"),
        next_effective_time=optional_time_from_field(reply, "next_effective_time"),
        next_page_token=reply.next_page_token,
    )


def whole_rate_card(pages: list[RateCardPage]) -> RateCard:
    """The card with the services of all of its pages."""
    first = pages[0]
    return RateCard(
        rate_card=first.rate_card,
        revision=first.revision,
        services=tuple(service for page in pages for service in page.services),
        title=first.title,
        effective_time=first.effective_time,
        next_effective_time=first.next_effective_time,
    )


def usage_from_pb(message: pricing_pb2.Usage) -> Usage:
    """The usage that was priced."""
    quantity = message.WhichOneof("quantity")
    return Usage(
        service=message.service,
        duration=duration_from_pb(message.duration) if quantity == "duration" else None,
        count=message.count if quantity == "count" else None,
        attributes=dict(message.attributes),
        meters={name: amount_from_text(value) for name, value in message.meters.items()},
    )


def _put_usage(message: pricing_pb2.Usage, usage: Usage, field: str) -> None:
    if not isinstance(usage, Usage):
        raise TypeError(
            f"{field} must be a Usage, not {type(usage).__name__}; "
            'write it like Usage("lip_sync_video", duration=timedelta(seconds=31))'
        )
    _put_fields(
        message,
        usage.service,
        usage.duration,
        usage.count,
        usage.attributes,
        usage.meters,
        field,
    )


def _put_fields(  # noqa: PLR0917 - as arguments by name each would be written twice
    message: pricing_pb2.Usage,
    service: str,
    duration: Duration | None,
    count: int | None,
    attributes: Mapping[str, str] | None,
    meters: Mapping[str, MeterValue] | None,
    field: str,
) -> None:
    """Fills an empty message in place: assigning one to a request would copy it."""
    if duration is not None and count is not None:
        raise ValueError(f"{field} has both a duration and a count; a service is priced by one")
    message.service = text(service, f"{field}.service")
    if duration is not None:
        put_duration(message.duration, duration, f"{field}.duration")
    if count is not None:
        message.count = whole(count, f"{field}.count", INT64)
    # Maps are most often empty, and access to one is slow.
    if attributes:
        message.attributes.update(text_map(attributes, f"{field}.attributes") or {})
    if meters:
        if not isinstance(meters, Mapping):
            raise TypeError(f"{field}.meters must be a mapping, not {type(meters).__name__}")
        for name, value in meters.items():
            message.meters[text(name, f"a key of {field}.meters")] = meter_to_text(
                value, f"{field}.meters[{name!r}]"
            )


def _service_price(message: pricing_pb2.ServicePrice) -> ServicePrice:
    return ServicePrice(
        service=message.service,
        title=message.title,
        rule=message.rule,
        meters=tuple(message.meters),
        quantity_max=message.quantity_max,
        meter_details=tuple(map(_meter, message.meter_details)),
        attributes=tuple(map(_attribute, message.attributes)),
    )


def _meter(message: pricing_pb2.Meter) -> Meter:
    return Meter(
        meter=message.meter,
        unit=message.unit,
        decimals=message.decimals,
        default_value=_optional_amount(message.default_value),
        min=_optional_amount(message.min),
        max=_optional_amount(message.max),
    )


def _optional_amount(text: str) -> Decimal | None:
    return amount_from_text(text) if text else None


def _attribute(message: pricing_pb2.Attribute) -> Attribute:
    return Attribute(
        attribute=message.attribute,
        values=tuple(message.values),
        default_value=message.default_value,
        source=enum_from_number(AttributeSource, message.source),
    )


def _estimate(message: pricing_pb2.Estimate, affordability: Affordability | None) -> Estimate:
    lines = message.lines
    # By position, which is faster than by name.
    return Estimate(
        message.service,
        amount_from_text(message.credits),
        amount_from_text(message.display_credits),
        message.rate_card,
        message.revision,
        tuple(map(_line, lines)) if lines else (),
        message.account_known,
        affordability,
    )


def _line(message: pricing_pb2.EstimateLine) -> EstimateLine:
    return EstimateLine(
        description=message.description,
        quantity=amount_from_text(message.quantity),
        unit=message.unit,
        unit_credits=amount_from_text(message.unit_credits),
        credits=amount_from_text(message.credits),
        key=message.key,
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
