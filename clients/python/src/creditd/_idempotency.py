"""The request_id by which a call can be repeated."""

from google.protobuf.message import Message

from creditd.v1 import admin_pb2, ledger_pb2


def idempotency_key(request: Message) -> str:
    """The request_id of a request that moves credits; "" where it moves none."""
    if isinstance(request, ledger_pb2.ListHoldsRequest):
        # There it is a filter: the hold that another call made.
        return ""
    key = getattr(request, "request_id", "")
    return key if isinstance(key, str) else ""


def is_repeatable(request: Message) -> bool:
    """Whether the call can be sent twice, where it is not known whether it took effect."""
    return not isinstance(request, admin_pb2.CreateKeyRequest)
