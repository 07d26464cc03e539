"""The idempotency key of a request."""

import pytest

from creditd._idempotency import idempotency_key
from tests.support.schema import METHODS, WRITES, message_class, request_fields


@pytest.mark.parametrize("method", METHODS)
def test_only_a_write_has_a_key(method: str) -> None:
    """The request_id is a key where the reply has `replayed`; elsewhere it is a filter."""
    given = {"request_id": "order-17"} if "request_id" in request_fields(method) else {}
    request = message_class(METHODS[method].input_type)(**given)
    assert idempotency_key(request) == ("order-17" if method in WRITES else "")
