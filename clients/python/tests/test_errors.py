"""Failures are exceptions with the details of the server."""

import pickle
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo

import creditd
from creditd._status import error_from_status
from creditd.v1 import ledger_pb2, pricing_pb2
from tests.conftest import Connect
from tests.support.scripted import ENTRY, ESTIMATE, GRANT, Refusal, scripted_server

SHORT = {"account": "team-a", "required": "3", "available": "1.5", "shortfall": "1.5"}


def info(reason: str, metadata: dict[str, str] | None = None) -> ErrorInfo:
    return ErrorInfo(reason=reason, domain="creditd", metadata=metadata)


def failure(connect: Connect, refusal: Refusal, **options: Any) -> creditd.CreditdError:
    """The exception of a call that the server refuses so."""
    with scripted_server(refusal) as server:
        driver = connect(server.address, retry=creditd.RetryPolicy(max_attempts=1))
        with pytest.raises(creditd.CreditdError) as caught:
            driver.call("grant", "team-a", 5, **options)
    return caught.value


@pytest.mark.parametrize(
    ("code", "reason", "kind"),
    [
        ("INVALID_ARGUMENT", "INVALID_AMOUNT", creditd.InvalidArgumentError),
        ("NOT_FOUND", "ACCOUNT_NOT_FOUND", creditd.NotFoundError),
        ("FAILED_PRECONDITION", "TOO_MANY_HOLDS", creditd.FailedPreconditionError),
        ("FAILED_PRECONDITION", "HOLD_CLOSED", creditd.HoldClosedError),
        ("FAILED_PRECONDITION", "HOLD_EXCEEDED", creditd.HoldExceededError),
        ("FAILED_PRECONDITION", "REFUND_EXCEEDS_CHARGE", creditd.RefundExceedsChargeError),
        ("FAILED_PRECONDITION", "INSUFFICIENT_CREDITS", creditd.InsufficientCreditsError),
        ("ALREADY_EXISTS", "REQUEST_ID_REUSED", creditd.RequestIdReusedError),
        ("INVALID_ARGUMENT", "UNKNOWN_ATTRIBUTE_VALUE", creditd.UnknownAttributeValueError),
        ("INVALID_ARGUMENT", "NOT_OFFERED", creditd.NotOfferedError),
        ("INVALID_ARGUMENT", "METERS_DISAGREE", creditd.InvalidArgumentError),
        ("INVALID_ARGUMENT", "RATE_CARD_INVALID", creditd.RateCardInvalidError),
        ("ALREADY_EXISTS", "RATE_CARD_NAME_TAKEN", creditd.RateCardNameTakenError),
        ("FAILED_PRECONDITION", "RATE_CARD_NOT_SCHEDULED", creditd.RateCardNotScheduledError),
        ("FAILED_PRECONDITION", "TOO_MANY_RATE_CARDS", creditd.FailedPreconditionError),
        ("UNAUTHENTICATED", "KEY_REQUIRED", creditd.UnauthenticatedError),
        ("UNAUTHENTICATED", "KEY_INVALID", creditd.UnauthenticatedError),
        ("PERMISSION_DENIED", "NOT_ALLOWED", creditd.NotAllowedError),
        ("RESOURCE_EXHAUSTED", "RATE_LIMITED", creditd.RateLimitedError),
        ("RESOURCE_EXHAUSTED", "MESSAGE_TOO_LARGE", creditd.CreditdError),
        ("NOT_FOUND", "KEY_NOT_FOUND", creditd.NotFoundError),
        ("INVALID_ARGUMENT", "INVALID_KEY", creditd.InvalidArgumentError),
        ("FAILED_PRECONDITION", "TOO_MANY_KEYS", creditd.FailedPreconditionError),
        ("DEADLINE_EXCEEDED", "DEADLINE_EXCEEDED", creditd.DeadlineExceededError),
        ("UNAVAILABLE", "SERVER_OVERLOADED", creditd.UnavailableError),
        ("INTERNAL", "INTERNAL", creditd.CreditdError),
        ("NOT_FOUND", "A_REASON_OF_THE_FUTURE", creditd.NotFoundError),
    ],
)
def test_classes(
    code: str, reason: str, kind: type[creditd.CreditdError], connect: Connect
) -> None:
    refusal = Refusal(grpc.StatusCode[code], "because", [info(reason, {"key": "value"})])
    error = failure(connect, refusal)
    assert type(error) is kind
    assert (error.code.name, error.reason, error.message) == (code, reason, "because")
    assert error.metadata == {"key": "value"}
    assert error.retryable == (code == "UNAVAILABLE" or reason == "RATE_LIMITED")
    assert str(error) == "because"
    assert isinstance(error.__cause__, grpc.RpcError)


def test_all_details(connect: Connect) -> None:
    violation = BadRequest.FieldViolation(
        field="credits", reason="INVALID_AMOUNT", description="no amount"
    )
    error = failure(
        connect,
        Refusal(
            grpc.StatusCode.INVALID_ARGUMENT,
            details=[
                info("INVALID_AMOUNT"),
                BadRequest(field_violations=[violation]),
                RetryInfo(retry_delay=Duration(seconds=2)),
            ],
            trailing=[("x-request-id", "log-1")],
        ),
        request_id="order-17",
    )
    assert error.fields == [creditd.FieldViolation("credits", "INVALID_AMOUNT", "no amount")]
    assert error.retry_after == timedelta(seconds=2)
    assert error.x_request_id == "log-1"
    assert error.request_id == "order-17"


def test_insufficient_credits_are_decimals(connect: Connect) -> None:
    code = grpc.StatusCode.FAILED_PRECONDITION
    error = failure(connect, Refusal(code, details=[info("INSUFFICIENT_CREDITS", SHORT)]))
    assert isinstance(error, creditd.InsufficientCreditsError)
    figures = (error.required, error.available, error.shortfall)
    assert figures == (Decimal(3), Decimal("1.5"), Decimal("1.5"))


@pytest.mark.parametrize(
    ("status", "means"),
    [
        ("settled", creditd.HoldStatus.SETTLED),
        ("released", creditd.HoldStatus.RELEASED),
        ("expired", creditd.HoldStatus.EXPIRED),
        ("a status of the future", creditd.HoldStatus.UNSPECIFIED),
    ],
)
def test_a_closed_hold_says_why(status: str, means: creditd.HoldStatus) -> None:
    closed = info("HOLD_CLOSED", {"hold_id": "h1", "status": status})
    error = error_from_status(Refusal(grpc.StatusCode.FAILED_PRECONDITION, "", [closed]).status())
    assert isinstance(error, creditd.HoldClosedError)
    assert error.status is means


@pytest.mark.parametrize(
    ("state", "means"),
    [
        ("in force", creditd.RateCardState.IN_FORCE),
        ("replaced", creditd.RateCardState.REPLACED),
        ("a state of the future", creditd.RateCardState.UNSPECIFIED),
    ],
)
def test_a_card_that_is_not_scheduled_says_why(state: str, means: creditd.RateCardState) -> None:
    details = {"revision": "0123", "origin": "published", "state": state}
    error = _refused("FAILED_PRECONDITION", "RATE_CARD_NOT_SCHEDULED", details)
    assert isinstance(error, creditd.RateCardNotScheduledError)
    assert (error.state, error.origin) == (means, "published")


def test_what_is_wrong_with_prices_has_a_name() -> None:
    word = {"attribute": "model", "value": "opus-4", "values": "opus-5, haiku-5"}
    unknown = _refused("INVALID_ARGUMENT", "UNKNOWN_ATTRIBUTE_VALUE", word)
    assert isinstance(unknown, creditd.UnknownAttributeValueError)
    assert (unknown.attribute, unknown.values) == ("model", ["opus-5", "haiku-5"])

    not_offered = _refused("INVALID_ARGUMENT", "NOT_OFFERED", {"why": "clips are 5 s"})
    assert isinstance(not_offered, creditd.NotOfferedError)
    assert not_offered.why == "clips are 5 s"

    line = {"field": "toml", "line": "12", "problem": "no amount"}
    invalid = _refused("INVALID_ARGUMENT", "RATE_CARD_INVALID", line)
    assert isinstance(invalid, creditd.RateCardInvalidError)
    assert (invalid.line, invalid.problem) == (12, "no amount")

    name = {"rate_card": "studio", "origin": "file"}
    taken = _refused("ALREADY_EXISTS", "RATE_CARD_NAME_TAKEN", name)
    assert isinstance(taken, creditd.RateCardNameTakenError)
    assert (taken.rate_card, taken.origin) == ("studio", "file")


def test_what_a_key_may_not_do_has_a_name() -> None:
    denied = _refused("PERMISSION_DENIED", "NOT_ALLOWED", {"scope": "charge"})
    assert isinstance(denied, creditd.NotAllowedError)
    assert denied.scope == "charge"

    limited = _refused("RESOURCE_EXHAUSTED", "RATE_LIMITED", {"limit": "100", "of": "key"})
    assert isinstance(limited, creditd.RateLimitedError)
    assert (limited.limit, limited.of) == (100, "key")


def _refused(code: str, reason: str, metadata: dict[str, str]) -> creditd.CreditdError:
    refusal = Refusal(grpc.StatusCode[code], "", [info(reason, metadata)])
    return error_from_status(refusal.status())


def test_a_settlement_over_its_hold_has_decimals() -> None:
    figures = {"hold_id": "h1", "required": "5", "held": "3.25"}
    exceeded = info("HOLD_EXCEEDED", figures)
    error = error_from_status(Refusal(grpc.StatusCode.FAILED_PRECONDITION, "", [exceeded]).status())
    assert isinstance(error, creditd.HoldExceededError)
    assert (error.required, error.held) == (Decimal(5), Decimal("3.25"))


def test_a_refund_over_its_charge_has_decimals() -> None:
    figures = {"entry_id": "e1", "requested": "5", "refundable": "0.248"}
    exceeds = info("REFUND_EXCEEDS_CHARGE", figures)
    error = error_from_status(Refusal(grpc.StatusCode.FAILED_PRECONDITION, "", [exceeds]).status())
    assert isinstance(error, creditd.RefundExceedsChargeError)
    assert (error.requested, error.refundable) == (Decimal(5), Decimal("0.248"))


@pytest.mark.parametrize(
    "refusal",
    [
        Refusal(grpc.StatusCode.NOT_FOUND),
        Refusal(grpc.StatusCode.NOT_FOUND, raw_details=b""),
        Refusal(grpc.StatusCode.NOT_FOUND, raw_details=b"\xff\xff"),
        Refusal(
            grpc.StatusCode.NOT_FOUND, details=[ErrorInfo(reason="X", domain="proxy.example.com")]
        ),
    ],
)
def test_without_readable_details_the_status_is_left(refusal: Refusal, connect: Connect) -> None:
    error = failure(connect, refusal)
    assert type(error) is creditd.NotFoundError
    assert (error.reason, error.metadata, error.fields) == ("", {}, [])


def test_the_made_request_id_of_a_failed_write_is_known(connect: Connect) -> None:
    with scripted_server(Refusal(grpc.StatusCode.INTERNAL), GRANT) as server:
        driver = connect(server.address)
        with pytest.raises(creditd.CreditdError) as caught:
            driver.call("grant", "team-a", 5)
        driver.call("grant", "team-a", 5, request_id=caught.value.request_id)
    first, second = server.requests
    assert first == second
    assert first.request_id


def test_items_of_a_batch_are_returned_not_raised(connect: Connect) -> None:
    refused = Refusal(
        grpc.StatusCode.INVALID_ARGUMENT, "what?", [info("UNKNOWN_SERVICE", {"service": "x"})]
    )
    reply = pricing_pb2.BatchEstimateResponse(
        results=[
            pricing_pb2.BatchEstimateResult(error=refused.status()),
            pricing_pb2.BatchEstimateResult(estimate=ESTIMATE.estimate),
        ],
        total_credits="0.2",
        failed_count=1,
    )
    with scripted_server(reply) as server:
        batch = connect(server.address).call("batch_estimate", [creditd.Usage("x")] * 2)
    error, estimate = batch.results
    assert type(error) is creditd.InvalidArgumentError
    assert (error.reason, error.metadata, error.message) == (
        creditd.Reason.UNKNOWN_SERVICE,
        {"service": "x"},
        "what?",
    )
    assert error.__cause__ is None
    assert estimate.credits == batch.total_credits == Decimal("0.2")
    assert batch.failed_count == 1


def test_charges_of_a_batch_that_fail_are_returned_and_know_their_request_id(
    connect: Connect,
) -> None:
    refused = Refusal(
        grpc.StatusCode.FAILED_PRECONDITION, "no", [info("INSUFFICIENT_CREDITS", SHORT)]
    )
    reply = ledger_pb2.BatchChargeResponse(
        results=[
            ledger_pb2.BatchChargeResult(
                charge=ledger_pb2.ChargeResponse(entry=ENTRY, available="5")
            ),
            ledger_pb2.BatchChargeResult(error=refused.status()),
        ],
        failed_count=1,
    )
    with scripted_server(reply) as server:
        charges = [creditd.Charge("team-a", credits=1), creditd.Charge("team-a", credits=3)]
        batch = connect(server.address).call("batch_charge", charges)
    charged, error = batch.results
    assert isinstance(charged, creditd.ChargeResult)
    assert charged.available == Decimal(5)
    assert type(error) is creditd.InsufficientCreditsError
    assert error.shortfall == Decimal("1.5")
    assert error.request_id == charges[1].request_id != charges[0].request_id
    assert error.__cause__ is None
    assert batch.failed_count == 1


def test_errors_travel_between_processes() -> None:
    error = creditd.NotFoundError(
        "gone", code=grpc.StatusCode.NOT_FOUND, reason="HOLD_NOT_FOUND", metadata={"hold_id": "h"}
    )
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert type(copy) is creditd.NotFoundError
    assert vars(copy) == vars(error)
    assert str(copy) == "gone"


def test_the_real_server_says_it_in_full(connect: Connect, server: str) -> None:
    with pytest.raises(creditd.InvalidArgumentError) as caught:
        connect(server).call("estimate", "lip_sink_video", x_request_id="from-the-test-1")
    error = caught.value
    assert error.reason == creditd.Reason.UNKNOWN_SERVICE
    assert error.metadata["nearest_service"] == "lip_sync_video"
    assert [(one.field, one.reason) for one in error.fields] == [
        ("usage.service", creditd.Reason.UNKNOWN_SERVICE)
    ]
    assert error.x_request_id == "from-the-test-1"
    assert error.request_id == ""


def test_the_real_server_names_a_call_that_has_no_name(connect: Connect, server: str) -> None:
    with pytest.raises(creditd.NotFoundError) as caught:
        connect(server).call("get_balance", "nobody-ever-granted-this-anything")
    assert caught.value.reason == creditd.Reason.ACCOUNT_NOT_FOUND
    assert caught.value.x_request_id


def test_a_reused_request_id(connect: Connect, server: str) -> None:
    driver = connect(server)
    account = f"reused-{uuid4()}"
    driver.call("grant", account, "1.0", request_id="order-17")
    assert driver.call("grant", account, 1, request_id="order-17").replayed
    with pytest.raises(creditd.RequestIdReusedError) as caught:
        driver.call("grant", account, 2, request_id="order-17")
    assert caught.value.metadata["request_id"] == "order-17"
