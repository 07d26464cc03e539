"""Client of creditd, which prices usage in credits and keeps a prepaid ledger.

`Client` for code without an event loop, `AsyncClient` for code with one. What goes in and comes
out is exact: Decimal, never float. What is refused is raised as a CreditdError.
"""

from creditd._async import AsyncBalanceWatch, AsyncClient
from creditd._attempts import RetryPolicy, Timeout
from creditd._channel import VERSION, Metadata
from creditd._request_id import new_request_id, request_id_of
from creditd._sync import BalanceWatch, Client
from creditd._values import Amount, Duration
from creditd.enums import EntryKind, HoldStatus, Overage
from creditd.errors import (
    CreditdError,
    DeadlineExceededError,
    FailedPreconditionError,
    FieldViolation,
    HoldClosedError,
    HoldExceededError,
    InsufficientCreditsError,
    InvalidArgumentError,
    NotFoundError,
    RefundExceedsChargeError,
    RequestIdReusedError,
    UnavailableError,
)
from creditd.model import (
    Affordability,
    Balance,
    BatchCharge,
    BatchEstimate,
    Charge,
    ChargeResult,
    Entry,
    EntryPage,
    Estimate,
    EstimateLine,
    ExtendHoldResult,
    GrantBalance,
    GrantResult,
    GrantShare,
    Hold,
    HoldPage,
    HoldResult,
    RateCard,
    RefundResult,
    ReleaseHoldResult,
    RevokeGrantResult,
    ServicePrice,
    SettleHoldResult,
    Usage,
)
from creditd.reason import Reason

__version__ = VERSION

__all__ = [
    "Affordability",
    "Amount",
    "AsyncBalanceWatch",
    "AsyncClient",
    "Balance",
    "BalanceWatch",
    "BatchCharge",
    "BatchEstimate",
    "Charge",
    "ChargeResult",
    "Client",
    "CreditdError",
    "DeadlineExceededError",
    "Duration",
    "Entry",
    "EntryKind",
    "EntryPage",
    "Estimate",
    "EstimateLine",
    "ExtendHoldResult",
    "FailedPreconditionError",
    "FieldViolation",
    "GrantBalance",
    "GrantResult",
    "GrantShare",
    "Hold",
    "HoldClosedError",
    "HoldExceededError",
    "HoldPage",
    "HoldResult",
    "HoldStatus",
    "InsufficientCreditsError",
    "InvalidArgumentError",
    "Metadata",
    "NotFoundError",
    "Overage",
    "RateCard",
    "Reason",
    "RefundExceedsChargeError",
    "RefundResult",
    "ReleaseHoldResult",
    "RequestIdReusedError",
    "RetryPolicy",
    "RevokeGrantResult",
    "ServicePrice",
    "SettleHoldResult",
    "Timeout",
    "UnavailableError",
    "Usage",
    "__version__",
    "new_request_id",
    "request_id_of",
]
