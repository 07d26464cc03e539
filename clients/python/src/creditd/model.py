"""Arguments and results of calls: frozen dataclasses with the field names of the .proto files.

Every amount is a Decimal, every time a datetime in UTC cut to whole microseconds; None stands where
the server may leave a field out. The .proto files say what each field means.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from creditd._request_id import new_request_id
from creditd._values import Amount, Duration, MeterValue
from creditd.enums import AttributeSource, EntryKind, HoldStatus, RateCardState
from creditd.errors import CreditdError

__all__ = [
    "Account",
    "AccountPage",
    "Affordability",
    "Attribute",
    "Balance",
    "BatchCharge",
    "BatchEstimate",
    "Charge",
    "ChargeResult",
    "Entry",
    "EntryPage",
    "Estimate",
    "EstimateLine",
    "ExtendHoldResult",
    "GrantBalance",
    "GrantResult",
    "GrantShare",
    "Hold",
    "HoldPage",
    "HoldResult",
    "Meter",
    "OpeningBalance",
    "PublishRateCardResult",
    "RateCard",
    "RateCardPage",
    "RateCardRevision",
    "RateCardRevisionPage",
    "RefundResult",
    "ReleaseHoldResult",
    "RevokeGrantResult",
    "ServicePrice",
    "SettleHoldResult",
    "UpdateAccountResult",
    "Usage",
]


@dataclass(frozen=True, slots=True)
class Usage:
    """One billable thing, measured. At most one of `duration` and `count`.

        Usage("messages", meters={"input_tokens": 2000}, attributes={"model": "opus-5"})

    `meters` are further quantities by name, a timedelta for one in seconds. `attributes` are words
    that the price depends on. `get_rate_card` says which ones a service has.

    In a reply `duration` is a timedelta where that is exact, otherwise seconds as a Decimal, and
    `meters` are Decimals.
    """

    service: str
    duration: Duration | None = None
    count: int | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)
    meters: Mapping[str, MeterValue] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Affordability:
    """Whether an account could pay at the moment of the answer. It reserves nothing."""

    sufficient: bool
    available: Decimal
    shortfall: Decimal


@dataclass(frozen=True, slots=True)
class EstimateLine:
    """One line of how a cost adds up.

    `key` is the line of the rate card; "total" for what a total or a factor of the card adds or
    takes off, and "" for a service with one price.
    """

    description: str
    quantity: Decimal
    unit: str
    unit_credits: Decimal
    credits: Decimal
    key: str


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a usage costs. `credits` is exact, `display_credits` as the price list prints it.

    `lines` is filled only with `explain`, `affordability` only with `check_balance`, and never
    for an item of a batch, which has one for the whole. `account_known` says, where an account
    was given, whether the ledger knows it: one that it does not know is priced by the defaults.
    """

    service: str
    credits: Decimal
    display_credits: Decimal
    rate_card: str
    revision: str
    lines: tuple[EstimateLine, ...]
    account_known: bool
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
class Meter:
    """A quantity that a usage brings: "duration", "count" or a key of its `meters`.

    `default_value` stands where a usage does not bring it; None: it must be sent. `min` and `max`
    are the least and the most of it; None: no limit of its own.
    """

    meter: str
    unit: str
    decimals: int
    default_value: Decimal | None
    min: Decimal | None
    max: Decimal | None


@dataclass(frozen=True, slots=True)
class Attribute:
    """A word that a price depends on, such as a model or a plan.

    `default_value` stands where there is no other; "": it must be sent.
    """

    attribute: str
    values: tuple[str, ...]
    default_value: str
    source: AttributeSource


@dataclass(frozen=True, slots=True)
class ServicePrice:
    """One service of a rate card; `rule` is the price in words.

    `quantity_max` is the largest quantity of one usage with its unit, such as "3600 s"; empty
    without a limit.
    """

    service: str
    title: str
    rule: str
    meters: tuple[str, ...]
    quantity_max: str
    meter_details: tuple[Meter, ...]
    attributes: tuple[Attribute, ...]


@dataclass(frozen=True, slots=True)
class RateCard:
    """Prices of one rate card at one revision.

    `effective_time` is since when it is in force; None: always. `next_effective_time` is when
    another card of its name takes its place, where one is known.
    """

    rate_card: str
    revision: str
    services: tuple[ServicePrice, ...]
    title: str
    effective_time: datetime | None
    next_effective_time: datetime | None


@dataclass(frozen=True, slots=True)
class RateCardPage(RateCard):
    """Some services of a rate card, in its order.

    `next_page_token` names the page that follows; "" where there is none.
    """

    next_page_token: str


@dataclass(frozen=True, slots=True)
class RateCardRevision:
    """A rate card as the server keeps it: one revision of its name.

    `effective_time` is from when on it is in force; None: always was. `origin` is "built-in",
    "file" or "published". `toml` is its text, where it was asked for.
    """

    rate_card: str
    revision: str
    title: str
    effective_time: datetime | None
    state: RateCardState
    origin: str
    toml: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class RateCardRevisionPage:
    """Some rate cards, by name, then by effective_time.

    `next_page_token` names the page that follows; "" where there is none.
    """

    rate_cards: tuple[RateCardRevision, ...]
    next_page_token: str


@dataclass(frozen=True, slots=True)
class PublishRateCardResult:
    """The answer to a publication; `warnings` are what is allowed but may not be meant."""

    rate_card: RateCardRevision
    warnings: tuple[str, ...]


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


@dataclass(frozen=True, slots=True)
class Account:
    """An account: by which prices it pays, what is known of it, and its balance.

    `rate_card` prices it where a request names none; "": the server's default. `attributes` are
    what rate cards take from the account, such as a plan; `labels` are for people. The `balance`
    has no `grants` in lists and in answers to `update_account`.
    """

    account: str
    create_time: datetime
    rate_card: str
    attributes: Mapping[str, str]
    labels: Mapping[str, str]
    balance: Balance


@dataclass(frozen=True, slots=True)
class AccountPage:
    """Some accounts, by name.

    `next_page_token` names the page that follows; "" where there is none.
    """

    accounts: tuple[Account, ...]
    next_page_token: str


@dataclass(frozen=True, slots=True)
class UpdateAccountResult:
    """The account after an update. `replayed`: it was given before to the same request_id."""

    account: Account
    replayed: bool


@dataclass(frozen=True, slots=True)
class GrantShare:
    """What one grant gave to an entry, negative, or got back."""

    grant_id: str
    credits: Decimal
    held: Decimal


@dataclass(frozen=True, slots=True)
class Entry:
    """One move of credits. Entries are never changed; those of an account sum to its balance.

    `credits` is the change of what is available, `held` of what is set aside, and `spent` what
    was paid for work: a settlement of 3 from a hold of 5 has 2, -5 and 3.

    `price_values` are the attributes by which the usage was priced that came from the account or
    the clock. `price_time` is the time for which it was priced, where that decided an attribute or
    the request named it. `key_id` is who did it; "": the server, or authentication was off.
    """

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
    expire_time: datetime | None
    priority: int
    services: tuple[str, ...]
    price_values: Mapping[str, str]
    price_time: datetime | None
    key_id: str


@dataclass(frozen=True, slots=True)
class OpeningBalance:
    """What an account had after the newest of its entries that were moved to an archive.

    `entry_id` and `create_time` are of that entry. Balances of then and later are known. `archive`
    counts archives: the newest one that has entries of the account.
    """

    available: Decimal
    held: Decimal
    entry_id: str
    create_time: datetime
    archive: int


@dataclass(frozen=True, slots=True)
class EntryPage:
    """Some entries, newest first. It may be empty and still not the last.

    `next_page_token` names the page that follows; "" where there is none. The last page has an
    `opening_balance` where older entries that could pass the filters are in an archive.
    """

    entries: tuple[Entry, ...]
    next_page_token: str
    opening_balance: OpeningBalance | None = None


@dataclass(frozen=True, slots=True)
class GrantResult:
    """The answer to a grant. `replayed`: it was given before to the same request_id."""

    entry: Entry
    available: Decimal
    replayed: bool


@dataclass(frozen=True, slots=True)
class RevokeGrantResult:
    """The answer to a revocation; the entry's `credits` are what was taken back, negative."""

    entry: Entry
    available: Decimal
    replayed: bool


@dataclass(frozen=True, slots=True)
class Charge:
    """One charge of a batch: what `charge` takes. At most one of `usage` and `credits`.

    It has its `request_id` from the start, so that a batch that is sent again with the same
    objects charges nothing twice.
    """

    account: str
    usage: Usage | None = None
    credits: Amount | None = None
    rate_card: str | None = None
    revision: str | None = None
    price_time: datetime | None = None
    prices_account: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    request_id: str = field(default_factory=new_request_id)


@dataclass(frozen=True, slots=True)
class ChargeResult:
    """The answer to a charge; the entry's `spent` is what it cost."""

    entry: Entry
    available: Decimal
    replayed: bool


@dataclass(frozen=True, slots=True)
class BatchCharge:
    """The answers to a batch, in the order of the request.

    A charge that was refused stands in `results` as the error that `charge` would have raised,
    with the `request_id` of that charge. Entries here have no `grants`; `list_entries` has them.
    """

    results: list[ChargeResult | CreditdError]
    failed_count: int


@dataclass(frozen=True, slots=True)
class RefundResult:
    """The answer to a refund; the entry's `credits` are what came back."""

    entry: Entry
    available: Decimal
    replayed: bool


@dataclass(frozen=True, slots=True)
class Hold:
    """Credits set aside: what is still `held`, and what its settlements cost, `settled`.

    `service` is empty for a hold by amount, and `usage` is None. `request_id`, `labels` and `usage`
    are those of the call that made it. `price_values` are the attributes that came from the account
    or the clock; settlements are priced by them too, unless they name other prices.
    """

    hold_id: str
    held: Decimal
    settled: Decimal
    expire_time: datetime
    status: HoldStatus
    account: str
    create_time: datetime
    service: str
    labels: Mapping[str, str]
    request_id: str
    usage: Usage | None
    price_values: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class HoldPage:
    """Some open holds, oldest first.

    `next_page_token` names the page that follows; "" where there is none.
    """

    holds: tuple[Hold, ...]
    next_page_token: str


@dataclass(frozen=True, slots=True)
class HoldResult:
    """The answer to a hold; `available` is what is left beside it."""

    hold: Hold
    available: Decimal
    replayed: bool


@dataclass(frozen=True, slots=True)
class ExtendHoldResult:
    """The answer to an extension, which moves no credits."""

    hold: Hold
    replayed: bool


@dataclass(frozen=True, slots=True)
class SettleHoldResult:
    """The answer to a settlement; the entry's `spent` is what it cost."""

    entry: Entry
    hold: Hold
    available: Decimal
    replayed: bool


@dataclass(frozen=True, slots=True)
class ReleaseHoldResult:
    """The answer to a release."""

    hold: Hold
    available: Decimal
    replayed: bool
