"""Enums and times of messages."""

from datetime import datetime
from enum import IntEnum
from typing import TypeVar

from google.protobuf.message import Message

from creditd._values import INT32, time_from_pb, whole

Kind = TypeVar("Kind", bound=IntEnum)


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
