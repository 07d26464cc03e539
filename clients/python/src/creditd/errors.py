"""The exceptions of calls. Decide by class, `reason` and `metadata`; messages may change."""

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

import grpc

from creditd.enums import HoldStatus, RateCardState
from creditd.reason import Reason

__all__ = [
    "CreditdError",
    "DeadlineExceededError",
    "FailedPreconditionError",
    "FieldViolation",
    "HoldClosedError",
    "HoldExceededError",
    "InsufficientCreditsError",
    "InvalidArgumentError",
    "NotAllowedError",
    "NotFoundError",
    "NotOfferedError",
    "RateCardInvalidError",
    "RateCardNameTakenError",
    "RateCardNotScheduledError",
    "RateLimitedError",
    "RefundExceedsChargeError",
    "RequestIdReusedError",
    "UnauthenticatedError",
    "UnavailableError",
    "UnknownAttributeValueError",
]


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """One field of the request that was refused, with a reason of its own."""

    field: str
    reason: str
    description: str


class CreditdError(Exception):
    """A call that was refused or failed; `str()` is the message.

    Raised, its `__cause__` is the grpc.RpcError; that of a DeadlineExceededError which ended the
    retries is the last refusal, a CreditdError too. An item of a batch that failed alone is
    returned as one of these instead; it has no cause, an empty `x_request_id` and no `attempts`.

    Attributes:
        message: What happened, for people.
        code: The gRPC status code.
        reason: One of `Reason`, or "" where the server gave none (no connection, a deadline that
            passed here).
        metadata: Every variable of the message, under the keys that `Reason` lists.
        fields: The violations of all fields that were refused.
        request_id: The idempotency key that the write carried, given or made by the client; ""
            for a read, and for a batch, whose items have their own. Where it is not known whether
            the write took effect, send the same call again with this request_id: nothing is done
            twice.
        x_request_id: The id of the call in the server's log, which has more about it.
        retry_after: How long the server asks to wait, where it does.
        attempts: How often the call was sent.
    """

    def __init__(
        self,
        message: str,
        *,
        code: grpc.StatusCode = grpc.StatusCode.UNKNOWN,
        reason: str = "",
        metadata: dict[str, str] | None = None,
        fields: list[FieldViolation] | None = None,
        request_id: str = "",
        x_request_id: str = "",
        retry_after: timedelta | None = None,
        attempts: int = 0,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.reason = reason
        self.metadata = metadata or {}
        self.fields = fields or []
        self.request_id = request_id
        self.x_request_id = x_request_id
        self.retry_after = retry_after
        self.attempts = attempts

    @property
    def retryable(self) -> bool:
        """Whether the same call may be sent again unchanged and may then succeed."""
        return self.code is grpc.StatusCode.UNAVAILABLE or self.reason == Reason.RATE_LIMITED


class InvalidArgumentError(CreditdError):
    """The request is wrong, whatever the state of the server. `fields` has every violation."""


class UnknownAttributeValueError(InvalidArgumentError):
    """An attribute cannot have this value: of a usage, or of an account."""

    @property
    def attribute(self) -> str:
        """The name of the attribute."""
        return self.metadata["attribute"]

    @property
    def values(self) -> list[str]:
        """The values that it can have."""
        return self.metadata["values"].split(", ")


class NotOfferedError(InvalidArgumentError):
    """The rate card says that this is not sold."""

    @property
    def why(self) -> str:
        """Why, in the words of the card."""
        return self.metadata["why"]


class RateCardInvalidError(InvalidArgumentError):
    """The text is no rate card. Nothing was published."""

    @property
    def line(self) -> int:
        """The line of the text that is wrong, from 1."""
        return int(self.metadata["line"])

    @property
    def problem(self) -> str:
        """What is wrong there, and what to do."""
        return self.metadata["problem"]


class NotFoundError(CreditdError):
    """The account, rate card, revision, hold, entry, grant or key does not exist."""


class FailedPreconditionError(CreditdError):
    """The request is valid, but the state of the account or server does not allow it now."""


class InsufficientCreditsError(FailedPreconditionError):
    """The account cannot pay. No credits moved."""

    @property
    def required(self) -> Decimal:
        """What the call costs."""
        return Decimal(self.metadata["required"])

    @property
    def available(self) -> Decimal:
        """What this call could have spent."""
        return Decimal(self.metadata["available"])

    @property
    def shortfall(self) -> Decimal:
        """What is missing."""
        return Decimal(self.metadata["shortfall"])


class HoldClosedError(FailedPreconditionError):
    """The hold was settled, released or has expired. No credits moved."""

    @property
    def status(self) -> HoldStatus:
        """The status of the hold."""
        name = self.metadata["status"].upper()
        return HoldStatus.__members__.get(name, HoldStatus.UNSPECIFIED)


class HoldExceededError(FailedPreconditionError):
    """The settlement is more than the hold has left, and overage is refused. No credits moved."""

    @property
    def required(self) -> Decimal:
        """What the settlement costs."""
        return Decimal(self.metadata["required"])

    @property
    def held(self) -> Decimal:
        """What the hold has left."""
        return Decimal(self.metadata["held"])


class RefundExceedsChargeError(FailedPreconditionError):
    """The refund is more than what is left of the charge. No credits moved."""

    @property
    def requested(self) -> Decimal:
        """The credits that the refund asked for."""
        return Decimal(self.metadata["requested"])

    @property
    def refundable(self) -> Decimal:
        """The credits that can still be refunded."""
        return Decimal(self.metadata["refundable"])


class RateCardNotScheduledError(FailedPreconditionError):
    """Only a published rate card that has not come into force can be withdrawn."""

    @property
    def state(self) -> RateCardState:
        """The state of the card."""
        name = self.metadata["state"].upper().replace(" ", "_")
        return RateCardState.__members__.get(name, RateCardState.UNSPECIFIED)

    @property
    def origin(self) -> str:
        """Where it comes from: "built-in", "file" or "published"."""
        return self.metadata["origin"]


class RateCardNameTakenError(CreditdError):
    """Another rate card has the name, or its name and effective_time. Nothing was published."""

    @property
    def rate_card(self) -> str:
        """The name."""
        return self.metadata["rate_card"]

    @property
    def origin(self) -> str:
        """Where the other one comes from: "built-in", "file" or "published"."""
        return self.metadata["origin"]


class RequestIdReusedError(CreditdError):
    """The request_id was used before with another body. No credits moved."""


class UnauthenticatedError(CreditdError):
    """The call had no key (KEY_REQUIRED), or one that is not valid (KEY_INVALID)."""


class NotAllowedError(CreditdError):
    """The key may not do that, or not with that account. Nothing was done."""

    @property
    def scope(self) -> str:
        """The scope that the call needs, such as "charge"."""
        return self.metadata["scope"]


class RateLimitedError(CreditdError):
    """The key, or the account, was called for more often than it may be. Nothing was done.

    It is raised where a RetryPolicy limits the attempts, and by a watch, which is never retried.
    Elsewhere the call is sent again when `retry_after` has passed, and this is the `__cause__` of a
    DeadlineExceededError where there is no time for that.
    """

    @property
    def limit(self) -> int:
        """How many calls a second are allowed."""
        return int(self.metadata["limit"])

    @property
    def of(self) -> str:
        """What was called for too often: "key" or "account"."""
        return self.metadata["of"]


class DeadlineExceededError(CreditdError):
    """No answer in time. A write may have taken effect: repeat it with its `request_id`."""


class UnavailableError(CreditdError):
    """The server could not be reached or would not work now, and the call was not sent again.

    It is raised where a RetryPolicy limits the attempts, and by a watch, which is never retried.
    Elsewhere it is the `__cause__` of a DeadlineExceededError. A write may have taken effect:
    repeat it with its `request_id`.
    """
