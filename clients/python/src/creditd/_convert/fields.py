"""Fields that several messages have."""

from datetime import datetime
from enum import IntEnum
from typing import TypeVar

from google.protobuf.message import Message

from creditd._convert.pricing import usage_to_pb
from creditd._values import Amount, amount_to_text, time_from_pb
from creditd.model import Usage
from creditd.v1 import pricing_pb2

Kind = TypeVar("Kind", bound=IntEnum)


def what_to_pb(
    usage: Usage | None,
    credits: Amount | None,  # noqa: A002 - the API's name
    where: str = "",
) -> tuple[pricing_pb2.Usage | None, str | None]:
    """Usage and credits of which a message has one. `where` stands before them in messages."""
    if usage is not None and credits is not None:
        raise ValueError(f"{where}usage and {where}credits exclude each other; give one")
    return (
        None if usage is None else usage_to_pb(usage, f"{where}usage"),
        None if credits is None else amount_to_text(credits, f"{where}credits"),
    )


def enum_from_number(kind: type[Kind], number: int) -> Kind:
    """The value of that number; UNSPECIFIED where it is none that is known here."""
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
