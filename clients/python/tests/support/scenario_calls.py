"""A scenario's calls through this client's API: its JSON into arguments, results into its JSON."""

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from enum import IntEnum
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from creditd import Charge, CreditdError, EntryKind, HoldStatus, Overage, Usage
from tests.support.drivers import Driver
from tests.support.scenarios import Refusal

_METHODS = {
    "Estimate": "estimate",
    "BatchEstimate": "batch_estimate",
    "GetRateCard": "get_rate_card",
    "Grant": "grant",
    "RevokeGrant": "revoke_grant",
    "GetBalance": "get_balance",
    "ListEntries": "list_entries_page",
    "Charge": "charge",
    "BatchCharge": "batch_charge",
    "Refund": "refund",
    "Hold": "hold",
    "ExtendHold": "extend_hold",
    "SettleHold": "settle_hold",
    "ReleaseHold": "release_hold",
    "GetHold": "get_hold",
    "ListHolds": "list_holds_page",
}
# What the client demands and a request may lack: it is sent empty then.
_DEMANDED: dict[str, dict[str, Any]] = {
    "Estimate": {"service": ""},
    "BatchEstimate": {"usages": []},
    "Grant": {"account": "", "credits": ""},
    "RevokeGrant": {"account": "", "grant_id": ""},
    "GetBalance": {"account": ""},
    "ListEntries": {"account": ""},
    "Charge": {"account": ""},
    "BatchCharge": {"charges": []},
    "Refund": {"account": "", "entry_id": ""},
    "Hold": {"account": ""},
    "ExtendHold": {"account": "", "hold_id": "", "ttl": None},
    "SettleHold": {"account": "", "hold_id": ""},
    "ReleaseHold": {"account": "", "hold_id": ""},
    "GetHold": {"account": "", "hold_id": ""},
    "ListHolds": {"account": ""},
}
# Replies that have one field, which the client returns without the reply around it.
_ONE_FIELD = {"GetBalance": "balance", "GetHold": "hold"}
# What the results of a batch are where they are no refusals.
_ITEM_FIELD = {"BatchEstimate": "estimate", "BatchCharge": "charge"}
# Requests of PricingService, whose fields of usage and prices are arguments of the call.
_FLAT = {"Estimate", "BatchEstimate", "GetRateCard"}
_MICROSECOND_DIGITS = 6


def call(driver: Driver, method: str, request: Mapping[str, Any]) -> Any:
    """The reply in the form of the scenarios, or the Refusal."""
    arguments = _DEMANDED.get(method, {}) | _arguments(request, flat=method in _FLAT)
    try:
        result = driver.call(_METHODS[method], **arguments)
    except CreditdError as error:
        return _refusal(error)
    return _reply(method, result)


def _arguments(request: Mapping[str, Any], *, flat: bool) -> dict[str, Any]:
    """A field of another name than its argument, or of another form, is converted here."""
    arguments: dict[str, Any] = {}
    for name, value in request.items():
        if name == "usage" and flat:
            arguments |= _usage_arguments(value)
        elif name == "prices":
            arguments |= _prices_arguments(value, flat=flat)
        elif name.endswith("_time") or name == "as_of":
            arguments[name] = _time(value)
        else:
            arguments[name] = _FORMS[name](value) if name in _FORMS else value
    return arguments


def _prices_arguments(prices: Mapping[str, Any], *, flat: bool) -> dict[str, Any]:
    arguments = _arguments(prices, flat=flat)
    if not flat and "account" in arguments:
        arguments["prices_account"] = arguments.pop("account")
    return arguments


def _usage(usage: Mapping[str, Any]) -> Usage:
    return Usage(**{"service": ""} | _usage_arguments(usage))


def _charge(request: Mapping[str, Any]) -> Charge:
    # A Charge makes its request_id where none is given; an item without one is sent so.
    return Charge(**{"account": "", "request_id": ""} | _arguments(request, flat=False))


def _enum(kind: type[IntEnum], prefix: str, value: str | int) -> int:
    """A number stays one, also where it is no value of the enum: the client sends it as it is."""
    return value if isinstance(value, int) else kind[value.removeprefix(prefix)]


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


_FORMS: dict[str, Callable[[Any], Any]] = {
    "usage": _usage,
    "usages": lambda several: [_usage(one) for one in several],
    "charges": lambda several: [_charge(one) for one in several],
    "kinds": lambda several: [_enum(EntryKind, "ENTRY_KIND_", one) for one in several],
    "overage": lambda one: _enum(Overage, "OVERAGE_", one),
    "ttl": _duration,
}


def _reply(method: str, result: Any) -> Any:
    reply = _json(result)
    if method == "Estimate":
        return {"affordability": reply.pop("affordability"), "estimate": reply}
    if method in _ITEM_FIELD:
        reply["results"] = [_item(_ITEM_FIELD[method], one) for one in result.results]
    if method in _ONE_FIELD:
        return {_ONE_FIELD[method]: reply}
    return reply


def _item(field: str, result: Any) -> dict[str, Any]:
    if isinstance(result, CreditdError):
        return {"refusal": _refusal(result)}
    return {field: _json(result)}


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
    if isinstance(value, HoldStatus):
        return f"HOLD_STATUS_{value.name}"
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, Usage):
        return _fields(value) | {"duration": _duration_json(value.duration)}
    if isinstance(value, datetime):
        time = Timestamp()
        time.FromDatetime(value)
        return time.ToJsonString()
    if is_dataclass(value):
        return _fields(value)
    if isinstance(value, Mapping):
        return {key: _json(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_json(one) for one in value]
    return value


def _fields(value: Any) -> dict[str, Any]:
    return {one.name: _json(getattr(value, one.name)) for one in fields(value)}


def _duration_json(value: timedelta | Decimal | None) -> str | None:
    if value is None:
        return None
    if isinstance(value, timedelta):
        value = Decimal(value // timedelta(microseconds=1)).scaleb(-6)
    return f"{value.normalize():f}s"
