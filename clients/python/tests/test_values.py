"""Amounts, durations and times are exact on the wire or refused."""

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from decimal import Decimal, localcontext
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from creditd import _attempts, _values

UTC = timezone.utc
CEST = timezone(timedelta(hours=2))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Decimal("0.248"), "0.248"),
        (Decimal("1E+2"), "100"),
        (Decimal("1E-9"), "0.000000001"),
        (Decimal("1.50"), "1.50"),
        (Decimal("-3"), "-3"),
        (Decimal("9000000000.123456789"), "9000000000.123456789"),
        (Decimal("0.1234567891"), "0.1234567891"),
        (12, "12"),
        (0, "0"),
        (10**20, "100000000000000000000"),
        ("1e3", "1e3"),
        (" 1 ", " 1 "),
        ("", ""),
    ],
)
def test_amounts_go_out_as_plain_text(value: Any, text: str) -> None:
    assert _values.amount_to_text(value, "credits") == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (2000, "2000"),
        (Decimal("1E+3"), "1000"),
        ("1e3", "1e3"),
        (timedelta(seconds=90), "90"),
        (timedelta(days=2), "172800"),
        (timedelta(seconds=90, microseconds=500_000), "90.5"),
        (timedelta(seconds=123456789, microseconds=1), "123456789.000001"),
        (timedelta(0), "0"),
        (timedelta(seconds=-1.5), "-1.5"),
    ],
)
def test_meters_go_out_as_plain_text(value: Any, text: str) -> None:
    with localcontext() as context:
        context.prec = 2
        assert _values.meter_to_text(value, "meters") == text


@pytest.mark.parametrize("text", ["0", "0.248", "9000000000.123456789", "-5"])
def test_amounts_come_in_digit_by_digit(text: str) -> None:
    with localcontext() as context:
        context.prec = 2
        amount = _values.amount_from_text(text)
    assert format(amount, "f") == text


@pytest.mark.parametrize("text", ["", "x"])
def test_a_reply_without_an_amount_is_no_zero(text: str) -> None:
    with pytest.raises(ValueError, match="where an amount belongs"):
        _values.amount_from_text(text)


@pytest.mark.parametrize(
    ("value", "seconds", "nanos"),
    [
        (timedelta(seconds=31), 31, 0),
        (timedelta(minutes=2, microseconds=1), 120, 1_000),
        (timedelta(seconds=-1), -1, 0),
        (timedelta(seconds=-1.5), -1, -500_000_000),
        (timedelta(0), 0, 0),
        (Decimal(31), 31, 0),
        (Decimal("120.000000001"), 120, 1),
        (Decimal("-0.25"), 0, -250_000_000),
        (Decimal("1E+2"), 100, 0),
        (Decimal("1.1234567890"), 1, 123_456_789),
        (Decimal("123456789012.123456789"), 123_456_789_012, 123_456_789),
    ],
)
def test_durations_are_exact(value: Any, seconds: int, nanos: int) -> None:
    with localcontext() as context:
        context.prec = 2
        sent = _values.duration_to_pb(value, "duration")
        back = _values.duration_from_pb(sent)
    assert (sent.seconds, sent.nanos) == (seconds, nanos)
    assert back == (
        value if nanos % 1000 else timedelta(seconds=seconds, microseconds=nanos / 1000)
    )


def test_a_duration_comes_back_as_a_decimal_only_where_a_timedelta_cannot_say_it() -> None:
    assert _values.duration_from_pb(Duration(seconds=1, nanos=500)) == Decimal("1.0000005")
    assert _values.duration_from_pb(Duration(nanos=-1)) == Decimal("-0.000000001")
    assert _values.duration_from_pb(Duration(seconds=1, nanos=1_000)) == timedelta(
        seconds=1, microseconds=1
    )


@pytest.mark.parametrize(
    ("value", "seconds", "nanos"),
    [
        (datetime(1970, 1, 1, tzinfo=UTC), 0, 0),
        (datetime(2026, 3, 1, 12, 0, 0, 123_456, tzinfo=UTC), 1_772_366_400, 123_456_000),
        (datetime(2026, 3, 1, 14, 0, 0, 123_456, tzinfo=CEST), 1_772_366_400, 123_456_000),
        (datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC), -1, 999_999_000),
        (datetime(1, 1, 1, tzinfo=UTC), -62_135_596_800, 0),
    ],
)
def test_times_are_exact(value: datetime, seconds: int, nanos: int) -> None:
    sent = _values.time_to_pb(value, "as_of")
    assert (sent.seconds, sent.nanos) == (seconds, nanos)
    back = _values.time_from_pb(sent)
    assert back == value
    assert back.tzinfo is UTC


def test_nanoseconds_of_a_time_are_cut_not_rounded() -> None:
    time = _values.time_from_pb(Timestamp(seconds=1, nanos=999_999_999))
    assert time == datetime(1970, 1, 1, 0, 0, 1, 999_999, tzinfo=UTC)


@pytest.mark.parametrize(
    ("convert", "value", "error", "says"),
    [
        (_values.amount_to_text, 0.1, TypeError, 'not float; write it like Decimal("0.25")'),
        (_values.amount_to_text, True, TypeError, "not bool"),
        (_values.amount_to_text, None, TypeError, "not NoneType"),
        (_values.amount_to_text, Decimal("NaN"), ValueError, "must be a number"),
        (_values.amount_to_text, Decimal("-Infinity"), ValueError, "must be a number"),
        (_values.amount_to_text, Decimal("1E+999999"), ValueError, "out of range"),
        (_values.amount_to_text, Decimal("1E-999999"), ValueError, "out of range"),
        (_values.amount_to_text, Decimal("0E+999999"), ValueError, "out of range"),
        (_values.duration_to_pb, 31, TypeError, "not int"),
        (_values.duration_to_pb, 31.0, TypeError, "not float"),
        (_values.duration_to_pb, True, TypeError, "not bool"),
        (_values.duration_to_pb, "31s", TypeError, "not str"),
        (_values.duration_to_pb, Decimal("NaN"), ValueError, "must be a number"),
        (_values.duration_to_pb, Decimal("0.0000000001"), ValueError, "more than 9 decimals"),
        (_values.duration_to_pb, Decimal("1E+30"), ValueError, ""),
        (_values.time_to_pb, datetime(2026, 1, 1), ValueError, "has no time zone"),  # noqa: DTZ001
        (_values.time_to_pb, datetime(2026, 1, 1).date(), TypeError, "not date"),  # noqa: DTZ001
        (_values.time_to_pb, 0, TypeError, "not int"),
    ],
)
def test_what_has_no_exact_form_is_refused(
    convert: Callable[[Any, str], object], value: Any, error: type[Exception], says: str
) -> None:
    with pytest.raises(error) as caught:
        convert(value, "the.field")
    assert says in str(caught.value)
    assert str(caught.value).startswith("the.field") or not says


@pytest.mark.parametrize("value", [2, 2.0, timedelta(seconds=2)])
def test_timeouts_are_seconds(value: Any) -> None:
    assert _attempts.timeout_s(value) == 2


@pytest.mark.parametrize(
    ("value", "error"),
    [
        (0, ValueError),
        (-1, ValueError),
        (float("nan"), ValueError),
        (float("inf"), ValueError),
        (timedelta(0), ValueError),
        (True, TypeError),
        ("2", TypeError),
    ],
)
def test_other_timeouts_are_refused(value: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="timeout must be"):
        _attempts.timeout_s(value)
