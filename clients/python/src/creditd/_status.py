"""From a gRPC status to an exception: one place for calls that fail and items that fail alone."""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import grpc
from google.protobuf.any_pb2 import Any as AnyPb
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from creditd.errors import (
    CreditdError,
    DeadlineExceededError,
    FailedPreconditionError,
    FieldViolation,
    HoldClosedError,
    HoldExceededError,
    InsufficientCreditsError,
    InvalidArgumentError,
    NotAllowedError,
    NotFoundError,
    NotOfferedError,
    RateCardInvalidError,
    RateCardNameTakenError,
    RateCardNotScheduledError,
    RateLimitedError,
    RefundExceedsChargeError,
    RequestIdReusedError,
    UnauthenticatedError,
    UnavailableError,
    UnknownAttributeValueError,
)
from creditd.reason import Reason

_DOMAIN = "creditd"
_STATUS_KEY = "grpc-status-details-bin"
_X_REQUEST_ID_KEY = "x-request-id"

_CODE_BY_NUMBER: dict[int, grpc.StatusCode] = {code.value[0]: code for code in grpc.StatusCode}

_CLASS_BY_REASON: dict[str, type[CreditdError]] = {
    Reason.INSUFFICIENT_CREDITS: InsufficientCreditsError,
    Reason.HOLD_CLOSED: HoldClosedError,
    Reason.HOLD_EXCEEDED: HoldExceededError,
    Reason.REFUND_EXCEEDS_CHARGE: RefundExceedsChargeError,
    Reason.REQUEST_ID_REUSED: RequestIdReusedError,
    Reason.UNKNOWN_ATTRIBUTE_VALUE: UnknownAttributeValueError,
    Reason.NOT_OFFERED: NotOfferedError,
    Reason.RATE_CARD_INVALID: RateCardInvalidError,
    Reason.RATE_CARD_NAME_TAKEN: RateCardNameTakenError,
    Reason.RATE_CARD_NOT_SCHEDULED: RateCardNotScheduledError,
    Reason.NOT_ALLOWED: NotAllowedError,
    Reason.RATE_LIMITED: RateLimitedError,
}
_CLASS_BY_CODE: dict[grpc.StatusCode, type[CreditdError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: InvalidArgumentError,
    grpc.StatusCode.NOT_FOUND: NotFoundError,
    grpc.StatusCode.FAILED_PRECONDITION: FailedPreconditionError,
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineExceededError,
    grpc.StatusCode.UNAVAILABLE: UnavailableError,
    grpc.StatusCode.UNAUTHENTICATED: UnauthenticatedError,
}


@dataclass(slots=True)
class _Details:
    """The standard details of a status."""

    reason: str = ""
    metadata: dict[str, str] = field(default_factory=dict)
    fields: list[FieldViolation] = field(default_factory=list)
    retry_after: timedelta | None = None


def error_from_rpc(failure: grpc.RpcError, request_id: str) -> CreditdError:
    """The exception for a call that failed. Details that cannot be read count as absent.

    `request_id` is that of the request.
    """
    # What grpc raises from a call is the call itself, in both of its APIs. An interceptor may raise
    # an RpcError of its own that is none.
    trailing = _metadata_dict(_property(failure, "trailing_metadata"))
    initial = _metadata_dict(_property(failure, "initial_metadata"))
    x_request_id = initial.get(_X_REQUEST_ID_KEY) or trailing.get(_X_REQUEST_ID_KEY) or ""
    code = _property(failure, "code")
    error = _error(
        code if isinstance(code, grpc.StatusCode) else grpc.StatusCode.UNKNOWN,
        _property(failure, "details") or "",
        _details_from_trailer(trailing.get(_STATUS_KEY)),
        request_id=request_id,
        x_request_id=x_request_id if isinstance(x_request_id, str) else "",
    )
    error.__cause__ = failure
    return error


def is_from_server(error: CreditdError) -> bool:
    """Whether a server answered so; otherwise grpc found the failure on this side."""
    return bool(error.reason or error.x_request_id)


def error_from_status(status: Status, request_id: str = "") -> CreditdError:
    """The exception for an item of a batch that failed alone."""
    code = _CODE_BY_NUMBER.get(status.code, grpc.StatusCode.UNKNOWN)
    return _error(code, status.message, _details(status.details), request_id=request_id)


def _property(failure: grpc.RpcError, name: str) -> Any:
    method = getattr(failure, name, None)
    return method() if callable(method) else None


def _error(
    code: grpc.StatusCode,
    message: str,
    details: _Details,
    *,
    request_id: str = "",
    x_request_id: str = "",
) -> CreditdError:
    kind = _CLASS_BY_REASON.get(details.reason) or _CLASS_BY_CODE.get(code, CreditdError)
    return kind(
        message,
        code=code,
        reason=details.reason,
        metadata=details.metadata,
        fields=details.fields,
        request_id=request_id,
        x_request_id=x_request_id,
        retry_after=details.retry_after,
    )


def _metadata_dict(
    pairs: Iterable[tuple[str, str | bytes]] | None,
) -> dict[str, str | bytes]:
    # dict() would take the metadata of grpc.aio for a mapping, and fail: its keys() are pairs.
    return {key: value for key, value in pairs or ()}  # noqa: C416


def _details_from_trailer(trailer: str | bytes | None) -> _Details:
    if not isinstance(trailer, bytes):
        return _Details()
    try:
        status = Status.FromString(trailer)
    except DecodeError:
        return _Details()
    return _details(status.details)


def _details(packed: Iterable[AnyPb]) -> _Details:
    details = _Details()
    for detail in packed:
        with suppress(DecodeError):
            _read_detail(detail, details)
    return details


def _read_detail(detail: AnyPb, details: _Details) -> None:
    if detail.Is(ErrorInfo.DESCRIPTOR):
        info = ErrorInfo.FromString(detail.value)
        if info.domain == _DOMAIN:
            details.reason = info.reason
            details.metadata = dict(info.metadata)
    elif detail.Is(BadRequest.DESCRIPTOR):
        details.fields = [
            FieldViolation(one.field, one.reason, one.description)
            for one in BadRequest.FromString(detail.value).field_violations
        ]
    elif detail.Is(RetryInfo.DESCRIPTOR):
        details.retry_after = RetryInfo.FromString(detail.value).retry_delay.ToTimedelta()
