"""Fields that several messages have."""

from datetime import datetime
from enum import IntEnum
from typing import TypeVar

from google.protobuf.message import Message

from creditd._convert.pricing import usage_to_pb
from creditd._request_id import new_request_id
from creditd._values import INT32, Amount, amount_to_text, text, time_from_pb, whole
from creditd.model import Usage
from creditd.v1 import pricing_pb2

Kind = TypeVar("Kind", bound=IntEnum)


def usage_or_credits_to_pb(
    usage: Usage | None,
    credits: Amount | None,  # noqa: A002 - the API's name
    where: str = "",
) -> tuple[pricing_pb2.Usage | None, str | None]:
    """The fields of a message that has either usage or credits; `where` prefixes them in errors."""
    if usage is not None and credits is not None:
        raise ValueError(f"{where}usage and {where}credits exclude each other; give one")
    return (
        None if usage is None else usage_to_pb(usage, f"{where}usage"),
        None if credits is None else amount_to_text(credits, f"{where}credits"),
    )


def request_id_or_new(request_id: str | None) -> str:
    """The request_id of the caller, or a new one where that is None."""
    return new_request_id() if request_id is None else text(request_id, "request_id")


def enum_to_number(value: int, kind: type[IntEnum], field: str) -> int:
    """The number of an enum's value, also of one that this client does not know."""
    if not isinstance(value, int) or isinstance(value, bool):
        known = ", ".join(f"{kind.__name__}.{one.name}" for one in kind if one)
        raise TypeError(f"{field} must be one of {known}, not {type(value).__name__}")
    return whole(value, field, INT32)


def enum_from_number(kind: type[Kind], number: int) -> Kind:
    """The value of that number; UNSPECIFIED where this client does not know it."""
    try:
        return kind(number)
    except ValueError:
        return kind(0)


def time_from_field(message: Message, field: str) -> datetime:
    """The time in a field that the message always has."""
    if not message.HasField(field):
        raise ValueError(f"the server left {field} out of {message.DESCRIPTOR.name}")
    return time_from_pb(getattr(message, field))


def optional_time_from_field(message: Message, field: str) -> datetime | None:
    """The time in a field that may be left out."""
    return time_from_pb(getattr(message, field)) if message.HasField(field) else None
