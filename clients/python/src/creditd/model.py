"""What calls take and return: frozen dataclasses with the field names of the .proto files.

Every amount is a Decimal, every time a datetime in UTC cut to whole microseconds; None stands where
the server may leave a field out. The .proto files say what each field means.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import IntEnum

from creditd._values import Amount, Duration
from creditd.errors import CreditdError


@dataclass(frozen=True, slots=True)
class Usage:
    """One billable thing, measured. At most one of `duration` and `count`.

    In a reply `duration` is a timedelta where that is exact, otherwise seconds as a Decimal, and
    `meters` are Decimals.
    """

    service: str
    duration: Duration | None = None
    count: int | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)
    meters: Mapping[str, Amount] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Affordability:
    """Whether an account could pay at the moment of the answer. It reserves nothing."""

    sufficient: bool
    available: Decimal
    shortfall: Decimal


@dataclass(frozen=True, slots=True)
class EstimateLine:
    """One line of how a cost adds up."""

    description: str
    quantity: Decimal
    unit: str
    unit_credits: Decimal
    credits: Decimal


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a usage costs. `credits` is exact, `display_credits` as the price list prints it.

    `lines` is filled only with `explain`, `affordability` only with `check_balance`, and never
    for an item of a batch, which has one for the whole.
    """

    service: str
    credits: Decimal
    display_credits: Decimal
    rate_card: str
    revision: str
    lines: tuple[EstimateLine, ...]
    affordability: Affordability | None = None


@dataclass(frozen=True, slots=True)
class BatchEstimate:
    """The estimates of a batch, in the order of the request.

    An item that was refused stands in `results` as the error that `estimate` would have raised.
    `total_credits` is the exact sum of the others.
    """

    results: list[Estimate | CreditdError]
    total_credits: Decimal
    failed_count: int
    affordability: Affordability | None = None


@dataclass(frozen=True, slots=True)
class ServicePrice:
    """One service of a rate card; `rule` is the price in words.

    `quantity_max` is the largest quantity of one usage with its unit, "3600 s";
    empty without a limit.
    """

    service: str
    title: str
    rule: str
    meters: tuple[str, ...]
    quantity_max: str = ""


@dataclass(frozen=True, slots=True)
class RateCard:
    """All prices of one rate card at one revision."""

    rate_card: str
    revision: str
    services: tuple[ServicePrice, ...]


@dataclass(frozen=True, slots=True)
class GrantBalance:
    """What is left of one grant."""

    grant_id: str
    granted: Decimal
    remaining: Decimal
    priority: int
    expire_time: datetime | None
    source: str
    held: Decimal
    services: tuple[str, ...]
    create_time: datetime


@dataclass(frozen=True, slots=True)
class Balance:
    """All figures of an account at one moment. `grants` stand in the order in which they burn."""

    account: str
    available: Decimal
    held: Decimal
    grants: tuple[GrantBalance, ...]
    read_time: datetime
    version: int


class EntryKind(IntEnum):
    """What moved credits. A kind that a newer server adds is read as UNSPECIFIED."""

    UNSPECIFIED = 0
    GRANT = 1
    CHARGE = 2
    REFUND = 3
    HOLD = 4
    SETTLE = 5
    RELEASE = 6
    EXPIRE = 7
    REVOKE = 8


@dataclass(frozen=True, slots=True)
class GrantShare:
    """What one grant gave to an entry, or got back."""

    grant_id: str
    credits: Decimal
    held: Decimal


@dataclass(frozen=True, slots=True)
class Entry:
    """One move of credits. Entries are never changed; those of an account sum to its balance."""

    entry_id: str
    account: str
    kind: EntryKind
    credits: Decimal
    available: Decimal
    create_time: datetime
    request_id: str
    service: str
    rate_card: str
    revision: str
    labels: Mapping[str, str]
    spent: Decimal
    held: Decimal
    usage: Usage | None
    grant_id: str
    hold_id: str
    refunded_entry_id: str
    version: int
    grants: tuple[GrantShare, ...]
    source: str


@dataclass(frozen=True, slots=True)
class GrantResult:
    """The answer to a grant. `replayed`: it was given before to the same request_id."""

    entry: Entry
    available: Decimal
    replayed: bool
