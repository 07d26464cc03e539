"""Fields that several messages have."""

from creditd._convert.pricing import usage_to_pb
from creditd._request_id import new_request_id
from creditd._values import Amount, amount_to_text, text
from creditd.model import Usage
from creditd.v1 import pricing_pb2


def usage_or_credits_to_pb(
    usage: Usage | None,
    credits: Amount | None,  # noqa: A002 - the API's name
    where: str = "",
) -> tuple[pricing_pb2.Usage | None, str | None]:
    """The fields of a message that has either usage or credits; `where` prefixes them in errors."""
    if usage is not None and credits is not None:
        raise ValueError(f"{where}usage and {where}credits exclude each other; give one")
    return (
        None if usage is None else usage_to_pb(usage, f"{where}usage"),
        None if credits is None else amount_to_text(credits, f"{where}credits"),
    )


def request_id_or_new(request_id: str | None) -> str:
    """The request_id of the caller, or a new one where that is None."""
    return new_request_id() if request_id is None else text(request_id, "request_id")
