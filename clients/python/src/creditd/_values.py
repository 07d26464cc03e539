"""Values at the boundary: amounts, durations and times, to and from what is on the wire.

Nothing here rounds, but for one case: a `datetime` has microseconds, so nanoseconds of a time
that the server sends are cut off. What cannot be sent exactly is refused before anything is
sent, with TypeError for the wrong kind and ValueError for a value that has no form on the wire.
Limits are checked by the server alone: every value that can be sent exactly is sent.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from typing import Any, TypeAlias

from google.protobuf.duration_pb2 import Duration as DurationPb
from google.protobuf.timestamp_pb2 import Timestamp as TimestampPb

Amount: TypeAlias = Decimal | int | str
"""Credits or another exact decimal. A str is sent as it stands; float is refused."""

Duration: TypeAlias = timedelta | Decimal
"""A timedelta, or seconds as a Decimal with up to 9 decimals."""

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_MICROSECOND = timedelta(microseconds=1)
_SECONDS_PER_DAY = 86_400
_MICROSECONDS_PER_SECOND = 1_000_000
_NANOS = 1_000_000_000
_NANOS_PER_MICROSECOND = 1_000

MeterValue: TypeAlias = Amount | timedelta
"""A quantity of a meter: an Amount, or a timedelta for a meter in seconds. float is refused."""

INT32 = range(-(2**31), 2**31)
INT64 = range(-(2**63), 2**63)

# Far past every limit of the API; keeps Decimal("1E+999999") from becoming a megabyte of zeros.
_DECIMAL_EXPONENT_MAX = 64


def text(value: str, field: str) -> str:
    """A str, unchanged."""
    if not isinstance(value, str):
        raise TypeError(f"{field} must be a str, not {type(value).__name__}")
    return value


def optional_text(value: str | None, field: str) -> str | None:
    """The same, but None, for a field that is left out, stays None."""
    return None if value is None else text(value, field)


def texts(values: Iterable[str], field: str) -> list[str]:
    """The strs, unchanged."""
    return [text(one, f"{field}[{index}]") for index, one in enumerate(iterable(values, field))]


def iterable(values: Iterable[Any], field: str) -> Iterable[Any]:
    """The values, unless they are one str, of which each letter would be a value."""
    if isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
        raise TypeError(f"{field} must be several, not one {type(values).__name__}")
    return values


def text_map(values: Mapping[str, str] | None, field: str) -> dict[str, str] | None:
    """Strs by names; None stays None."""
    if values is None:
        return None
    if not isinstance(values, Mapping):
        raise TypeError(f"{field} must be a mapping, not {type(values).__name__}")
    for name, value in values.items():
        text(name, f"a key of {field}")
        text(value, f"{field}[{name!r}]")
    return dict(values)


def whole(value: int, field: str, numbers: range) -> int:
    """A whole number of those that the field can hold."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{field} must be an int, not {type(value).__name__}")
    # `in` would compare a value of a subclass of int, such as an enum's, with each number in turn.
    if not numbers.start <= value < numbers.stop:
        raise ValueError(f"{field} must be {numbers.start} to {numbers.stop - 1}, not {value}")
    return value


def flag(value: bool, field: str) -> bool:
    """A bool, and no other value that is true or false."""
    if not isinstance(value, bool):
        raise TypeError(f"{field} must be a bool, not {type(value).__name__}")
    return value


def amount_to_text(value: Amount, field: str) -> str:
    """The plain decimal text of an amount, without exponent; a str unchanged."""
    if isinstance(value, str):
        return value
    if isinstance(value, Decimal):
        return format(_plain(value, field), "f")
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise TypeError(
        f"{field} must be a Decimal, an int or a str, not {type(value).__name__}; "
        'write it like Decimal("0.25")'
    )


def meter_to_text(value: MeterValue, field: str) -> str:
    """The same for a quantity; a timedelta as its seconds."""
    if isinstance(value, timedelta):
        micros = value // _MICROSECOND
        seconds, rest = divmod(abs(micros), _MICROSECONDS_PER_SECOND)
        sign = "-" if micros < 0 else ""
        return f"{sign}{seconds}.{rest:06}".rstrip("0").rstrip(".")
    if isinstance(value, (str, Decimal, int)) and not isinstance(value, bool):
        return amount_to_text(value, field)
    raise TypeError(
        f"{field} must be an int, a Decimal, a str or a timedelta, not {type(value).__name__}; "
        'write it like Decimal("0.25")'
    )


def amount_from_text(text: str) -> Decimal:
    """The Decimal of a canonical amount, digit by digit."""
    try:
        return Decimal(text)
    except ArithmeticError:
        raise ValueError(f"the server sent {text!r} where an amount belongs") from None


def put_duration(message: DurationPb, value: Duration, field: str) -> None:
    """Sets `message` to exactly `value`."""
    if isinstance(value, timedelta):
        # Only its days can be negative.
        seconds = value.days * _SECONDS_PER_DAY + value.seconds
        nanos = value.microseconds * _NANOS_PER_MICROSECOND
        if seconds < 0 < nanos:
            seconds, nanos = seconds + 1, nanos - _NANOS
    elif isinstance(value, Decimal):
        exact = Fraction(_plain(value, field)) * _NANOS
        if exact.denominator != 1:
            raise ValueError(f"{field} {value} has more than 9 decimals")
        sign = -1 if exact < 0 else 1
        seconds, nanos = (sign * part for part in divmod(abs(exact.numerator), _NANOS))
    else:
        raise TypeError(
            f"{field} must be a timedelta, or seconds as a Decimal, not {type(value).__name__}"
        )
    # Also a 0 is set, since that makes the message present.
    message.seconds = seconds
    message.nanos = nanos


def duration_to_pb(value: Duration, field: str) -> DurationPb:
    """The protobuf duration that is exactly `value`."""
    message = DurationPb()
    put_duration(message, value, field)
    return message


def optional_duration_to_pb(value: Duration | None, field: str) -> DurationPb | None:
    """The same, but None, for a field that is left out, stays None."""
    return None if value is None else duration_to_pb(value, field)


def duration_from_pb(value: DurationPb) -> Duration:
    """A timedelta where that is exact, otherwise seconds as a Decimal."""
    micros, rest = divmod(value.nanos, _NANOS_PER_MICROSECOND)
    if rest == 0:
        return timedelta(seconds=value.seconds, microseconds=micros)
    sign = "-" if value.seconds < 0 or value.nanos < 0 else ""
    return Decimal(f"{sign}{abs(value.seconds)}.{abs(value.nanos):09}")


def time_to_pb(value: datetime, field: str) -> TimestampPb:
    """The protobuf time that is exactly `value`, which must know its offset from UTC."""
    if not isinstance(value, datetime):
        raise TypeError(f"{field} must be a datetime, not {type(value).__name__}")
    if value.utcoffset() is None:
        raise ValueError(f"{field} {value} has no time zone; use datetime.now(timezone.utc)")
    seconds, micros = divmod((value - _EPOCH) // _MICROSECOND, _MICROSECONDS_PER_SECOND)
    return TimestampPb(seconds=seconds, nanos=micros * _NANOS_PER_MICROSECOND)


def optional_time_to_pb(value: datetime | None, field: str) -> TimestampPb | None:
    """The same, but None, for a field that is left out, stays None."""
    return None if value is None else time_to_pb(value, field)


def time_from_pb(value: TimestampPb) -> datetime:
    """The time in UTC, cut to whole microseconds."""
    micros = value.nanos // _NANOS_PER_MICROSECOND
    return _EPOCH + timedelta(seconds=value.seconds, microseconds=micros)


def _plain(value: Decimal, field: str) -> Decimal:
    """`value`, if it can be written out."""
    if not value.is_finite():
        raise ValueError(f"{field} must be a number, not {value}")
    exponent = value.as_tuple().exponent
    if abs(value.adjusted()) > _DECIMAL_EXPONENT_MAX or abs(int(exponent)) > _DECIMAL_EXPONENT_MAX:
        raise ValueError(f"{field} {value} is out of range")
    return value
