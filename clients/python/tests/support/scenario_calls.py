"""A scenario's calls through this client's API: its JSON into arguments, results into its JSON."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from creditd import CreditdError, EntryKind, Usage
from tests.support.drivers import Driver
from tests.support.scenarios import Refusal

_METHODS = {
    "Estimate": "estimate",
    "BatchEstimate": "batch_estimate",
    "GetRateCard": "get_rate_card",
    "Grant": "grant",
    "GetBalance": "get_balance",
}
# What the client demands and a request may lack: it is sent empty then.
_DEMANDED: dict[str, dict[str, Any]] = {
    "Estimate": {"service": ""},
    "BatchEstimate": {"usages": []},
    "Grant": {"account": "", "credits": ""},
    "GetBalance": {"account": ""},
}
_MICROSECOND_DIGITS = 6


def call(driver: Driver, method: str, request: Mapping[str, Any]) -> Any:
    """The reply in the form of the scenarios, or the Refusal."""
    arguments = _DEMANDED.get(method, {}) | _arguments(request)
    try:
        result = driver.call(_METHODS[method], **arguments)
    except CreditdError as error:
        return _refusal(error)
    return _reply(method, result)


def _arguments(request: Mapping[str, Any]) -> dict[str, Any]:
    """A field of another name than its argument, or of another form, is converted here."""
    arguments: dict[str, Any] = {}
    for name, value in request.items():
        if name == "usage":
            arguments |= _usage_arguments(value)
        elif name == "usages":
            arguments[name] = [Usage(**{"service": ""} | _usage_arguments(one)) for one in value]
        elif name == "prices":
            arguments |= _arguments(value)
        elif name.endswith("_time") or name == "as_of":
            arguments[name] = _time(value)
        else:
            arguments[name] = value
    return arguments


def _usage_arguments(usage: Mapping[str, Any]) -> dict[str, Any]:
    arguments = dict(usage)
    if "duration" in arguments:
        arguments["duration"] = _duration(arguments["duration"])
    return arguments


def _time(text: str) -> datetime:
    time = Timestamp()
    time.FromJsonString(text)
    assert time.nanos % 1000 == 0, f"a datetime cannot express {text}"
    return time.ToDatetime(tzinfo=timezone.utc)


def _duration(text: str) -> timedelta | Decimal:
    seconds = Decimal(text.removesuffix("s"))
    decimals = -int(seconds.as_tuple().exponent)
    if decimals > _MICROSECOND_DIGITS:
        return seconds
    return timedelta(microseconds=int(seconds * 1_000_000))


def _reply(method: str, result: Any) -> Any:
    reply = _json(result)
    if method == "Estimate":
        return {"affordability": reply.pop("affordability"), "estimate": reply}
    if method == "BatchEstimate":
        reply["results"] = [_item(one) for one in result.results]
    if method == "GetBalance":
        return {"balance": reply}
    return reply


def _item(result: Any) -> dict[str, Any]:
    if isinstance(result, CreditdError):
        return {"refusal": _refusal(result)}
    return {"estimate": _json(result)}


def _refusal(error: CreditdError) -> Refusal:
    return Refusal(
        code=error.code.name,
        reason=error.reason,
        metadata=error.metadata,
        fields=[violation.field for violation in error.fields],
    )


def _json(value: Any) -> Any:
    if isinstance(value, EntryKind):
        return f"ENTRY_KIND_{value.name}"
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, timedelta):
        return f"{Decimal(value // timedelta(microseconds=1)).scaleb(-6).normalize():f}s"
    if isinstance(value, datetime):
        time = Timestamp()
        time.FromDatetime(value)
        return time.ToJsonString()
    if is_dataclass(value):
        return {one.name: _json(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, Mapping):
        return {key: _json(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_json(one) for one in value]
    return value
