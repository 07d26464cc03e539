"""Names for calls that move credits, where the caller gives none."""

from uuid import uuid4


def new_request_id() -> str:
    """A request_id that no other call has."""
    return str(uuid4())
