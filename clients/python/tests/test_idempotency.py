"""The idempotency key of a request."""

import pytest
from google.protobuf.descriptor import MethodDescriptor

from creditd._idempotency import idempotency_key
from creditd.v1 import ledger_pb2, pricing_pb2

_SERVICES = (
    pricing_pb2.DESCRIPTOR.services_by_name["PricingService"],
    ledger_pb2.DESCRIPTOR.services_by_name["LedgerService"],
)
_METHODS = [method for service in _SERVICES for method in service.methods]


@pytest.mark.parametrize("method", _METHODS, ids=lambda method: method.name)
def test_only_what_moves_credits_has_a_key(method: MethodDescriptor) -> None:
    """The request_id is a key where the reply has `replayed`; elsewhere it is a filter."""
    request = getattr(ledger_pb2, method.input_type.name, None) or getattr(
        pricing_pb2, method.input_type.name
    )
    filled = request()
    if "request_id" in request.DESCRIPTOR.fields_by_name:
        filled.request_id = "order-17"
    moves = "replayed" in method.output_type.fields_by_name
    assert idempotency_key(filled) == ("order-17" if moves else "")
