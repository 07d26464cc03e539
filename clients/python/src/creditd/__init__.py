"""Client of creditd, which prices usage in credits and keeps a prepaid ledger.

`Client` for code without an event loop, `AsyncClient` for code with one. What goes in and comes
out is exact: Decimal, never float. What is refused is raised as a CreditdError.
"""

from creditd._aio import AsyncClient
from creditd._attempts import RetryPolicy, Timeout
from creditd._channel import Metadata
from creditd._sync import Client
from creditd._values import Amount, Duration
from creditd.errors import (
    CreditdError,
    DeadlineExceededError,
    FailedPreconditionError,
    FieldViolation,
    InsufficientCreditsError,
    InvalidArgumentError,
    NotFoundError,
    RequestIdReusedError,
    UnavailableError,
)
from creditd.model import (
    Affordability,
    Balance,
    BatchEstimate,
    Entry,
    EntryKind,
    Estimate,
    EstimateLine,
    GrantBalance,
    GrantResult,
    GrantShare,
    RateCard,
    ServicePrice,
    Usage,
)
from creditd.reason import Reason

__all__ = [
    "Affordability",
    "Amount",
    "AsyncClient",
    "Balance",
    "BatchEstimate",
    "Client",
    "CreditdError",
    "DeadlineExceededError",
    "Duration",
    "Entry",
    "EntryKind",
    "Estimate",
    "EstimateLine",
    "FailedPreconditionError",
    "FieldViolation",
    "GrantBalance",
    "GrantResult",
    "GrantShare",
    "InsufficientCreditsError",
    "InvalidArgumentError",
    "Metadata",
    "NotFoundError",
    "RateCard",
    "Reason",
    "RequestIdReusedError",
    "RetryPolicy",
    "ServicePrice",
    "Timeout",
    "UnavailableError",
    "Usage",
]
