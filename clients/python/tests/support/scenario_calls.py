"""Calls a method of the API by its name and JSON, as scenarios have it, through a client.

Which method of the client that is, its arguments and the reply's JSON follow from the messages'
descriptors and the signatures of `Client`, so that a method that is added needs nothing here:

- the method has the name in snake case, with `_page` where the client has such a one;
- a field is the argument of its name. Where there is none, its own fields are arguments: `usage` of
  Estimate becomes `service`, `duration` and so on, `prices` of Charge `rate_card`, and `account` of
  `prices` becomes `prices_account` where the request has an `account` itself;
- where a message has a field of its own name, as Account has, its fields are arguments too;
- a FieldMask is no argument: the client makes it of the arguments that are given, and that of the
  request must be the same;
- a message is the dataclass of its name, such as Usage, or Charge for a ChargeRequest;
- a field of the reply is the attribute of its name. The client may leave out a message around the
  result: the reply of GetHold is a Hold, the `hold` of that reply.
"""

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc.status_pb2 import Status

import creditd
from creditd import Client, CreditdError
from tests.support.drivers import Driver
from tests.support.scenarios import Refusal
from tests.support.schema import (
    METHODS,
    OUTPUT_ONLY,
    has_its_own_name,
    is_map,
    is_repeated,
    masks,
)

_MICROSECOND_DIGITS = 6
# Arguments of all methods that are no field of a request.
_OPTIONS = {"self", "timeout", "metadata", "x_request_id"}


def call(driver: Driver, method: str, request: Mapping[str, Any]) -> Any:
    """The reply in the form of the scenarios, or the Refusal."""
    try:
        result = driver.call(client_method(method), **arguments(method, request))
    except CreditdError as error:
        return _refusal(error)
    return _reply(METHODS[method].output_type, result)


def arguments(method: str, request: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of the client's method for a request with this JSON."""
    return _arguments(getattr(Client, client_method(method)), METHODS[method].input_type, request)


def client_method(method: str) -> str:
    """The name of the client's method that makes one call of the API's method."""
    name = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", method).lower()
    return f"{name}_page" if hasattr(Client, f"{name}_page") else name


def _arguments(
    function: Callable[..., Any], message: Descriptor, request: Mapping[str, Any]
) -> dict[str, Any]:
    """The arguments with which `function` makes the message with these fields."""
    parameters = inspect.signature(function).parameters
    places = _places(set(parameters), message)
    assert set(parameters) - _OPTIONS == set(places), f"{function} has no field for an argument"
    values = {}
    for name, (outer, field) in places.items():
        holder = request if outer is None else request.get(outer.name, {})
        if field.name in holder:
            values[name] = _python_value(field, holder[field.name])
        elif _is_demanded(function, parameters[name]):
            # The request lacks what the client demands or makes by itself: it is sent empty.
            values[name] = _empty(field)
    _check_known(message, request)
    _check_mask(message, request)
    return values


def _places(
    parameters: set[str], message: Descriptor
) -> dict[str, tuple[FieldDescriptor | None, FieldDescriptor]]:
    """For each argument its field, and the field around that where its message is no argument."""
    places: dict[str, tuple[FieldDescriptor | None, FieldDescriptor]] = {}
    for field in message.fields:
        if field.name in parameters and not has_its_own_name(field):
            places[field.name] = (None, field)
            continue
        assert field.message_type is not None, f"{field.full_name} is no argument"
        if field.message_type is FieldMask.DESCRIPTOR:
            continue
        for inner in field.message_type.fields:
            if inner.full_name in OUTPUT_ONLY:
                continue
            long_name = f"{field.name}_{inner.name}"
            name = long_name if long_name in parameters else inner.name
            assert name in parameters, f"{inner.full_name} is no argument"
            places[name] = (field, inner)
    return places


def _check_mask(message: Descriptor, request: Mapping[str, Any]) -> None:
    """Fails where a mask is not what a client makes of the fields that are given."""
    for field, updated in masks(message):
        given = request.get(updated.name, {}).keys() - {updated.name}
        mask = FieldMask()
        mask.FromJsonString(request.get(field.name, ""))
        assert set(mask.paths) == given, f"{field.name} must name {given}, not {mask.paths}"


def _check_known(message: Descriptor, request: Mapping[str, Any]) -> None:
    """Fails on a field that the message does not have, also in a message inside of it."""
    for name, value in request.items():
        assert name in message.fields_by_name, f"{message.name} has no field {name}"
        field = message.fields_by_name[name]
        if isinstance(value, Mapping) and not is_map(field):
            _check_known(field.message_type, value)


def _is_demanded(function: Callable[..., Any], parameter: inspect.Parameter) -> bool:
    if parameter.default is inspect.Parameter.empty:
        return True
    # A dataclass may make the value anew for each object, such as the request_id of a Charge.
    made = fields(function) if is_dataclass(function) else ()
    return any(one.name == parameter.name and one.default_factory is not MISSING for one in made)


def _empty(field: FieldDescriptor) -> Any:
    if is_map(field):
        return {}
    if is_repeated(field):
        return []
    return "" if field.type == FieldDescriptor.TYPE_STRING else None


def _python_value(field: FieldDescriptor, value: Any) -> Any:
    """The argument for a field that has this JSON."""
    if is_repeated(field) and not is_map(field):
        return [_python_single(field, one) for one in value]
    return _python_single(field, value)


def _python_single(field: FieldDescriptor, value: Any) -> Any:
    if field.enum_type is not None:
        # A number stays one, also where it is no value of the enum: the client sends it as it is.
        known = field.enum_type.values_by_name
        kind = getattr(creditd, field.enum_type.name)
        return value if isinstance(value, int) else kind(known[value].number)
    if field.message_type is None or is_map(field):
        return value
    if field.message_type.full_name == "google.protobuf.Timestamp":
        return _time(value)
    if field.message_type.full_name == "google.protobuf.Duration":
        return _duration(value)
    kind = getattr(creditd, field.message_type.name.removesuffix("Request"))
    return kind(**_arguments(kind, field.message_type, value))


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


def _reply(message: Descriptor, result: Any) -> dict[str, Any]:
    """The JSON of a reply, or of an item of one, that the client gave as `result`."""
    if isinstance(result, CreditdError):
        return {"refusal": _refusal(result)}
    reply = {}
    for field in message.fields:
        if field.message_type is Status.DESCRIPTOR:
            # The other case of an item that may fail alone.
            continue
        value = getattr(result, field.name, None)
        # A message is no str: that is the name of what the message describes.
        if _is_left_out(field) and (not hasattr(result, field.name) or isinstance(value, str)):
            value = result
        reply[field.name] = _json_value(field, value)
    return reply


def _is_left_out(field: FieldDescriptor) -> bool:
    return field.message_type is not None and not is_repeated(field)


def _json_value(field: FieldDescriptor, value: Any) -> Any:
    """The JSON of a field that the client gave as `value`."""
    if value is None:
        return None
    if is_map(field):
        of_values = field.message_type.fields_by_name["value"]
        return {key: _json_single(of_values, one) for key, one in value.items()}
    if is_repeated(field):
        return [_json_single(field, one) for one in value]
    return _json_single(field, value)


def _json_single(field: FieldDescriptor, value: Any) -> Any:
    if field.enum_type is not None:
        return field.enum_type.values_by_number[value].name
    if isinstance(value, Decimal) and field.type == FieldDescriptor.TYPE_STRING:
        return format(value, "f")
    if field.message_type is None:
        return value
    if field.message_type.full_name == "google.protobuf.Timestamp":
        time = Timestamp()
        time.FromDatetime(value)
        return time.ToJsonString()
    if field.message_type.full_name == "google.protobuf.Duration":
        return _duration_json(value)
    return _reply(field.message_type, value)


def _duration_json(value: timedelta | Decimal) -> str:
    if isinstance(value, timedelta):
        value = Decimal(value // timedelta(microseconds=1)).scaleb(-6)
    return f"{value.normalize():f}s"


def _refusal(error: CreditdError) -> Refusal:
    return Refusal(
        code=error.code.name,
        reason=error.reason,
        metadata=error.metadata,
        fields=[violation.field for violation in error.fields],
    )
