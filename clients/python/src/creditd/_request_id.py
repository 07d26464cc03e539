"""Idempotency keys: made where the caller gives none, and read back from exceptions."""

import asyncio
from uuid import uuid4

from creditd.errors import CreditdError

_ATTRIBUTE = "creditd_request_id"
# No chain of causes is longer; one that loops ends.
_CAUSES_MAX = 16


def new_request_id() -> str:
    """A request_id that no other call has, for a write that is to be safe to repeat.

    Make it before the call, and keep it until the call is answered: with the same request_id the
    call can be sent again after whatever happens in between, and nothing is done twice.

    Returns:
        A random UUID as text.
    """
    return str(uuid4())


def request_id_of(error: BaseException) -> str:
    """The request_id of the write that ended by `error`, also where the client made it.

    A write that is cancelled, as by asyncio.wait_for or asyncio.timeout, or interrupted by Ctrl-C,
    ends by no CreditdError; its request_id is stored in the exception itself or in one of its
    causes. It belongs to that one call, however many run side by side.

    Args:
        error: What was raised: a CreditdError, CancelledError, TimeoutError or KeyboardInterrupt.

    Returns:
        The request_id to repeat the write with; "" where no write was sent, as for a read.
    """
    cause: BaseException | None = error
    for _ in range(_CAUSES_MAX):
        if cause is None:
            break
        if isinstance(cause, CreditdError) and cause.request_id:
            return cause.request_id
        noted = getattr(cause, _ATTRIBUTE, "")
        if isinstance(noted, str) and noted:
            return noted
        # Up to Python 3.10 a task that is awaited raises a CancelledError of its own, whose
        # context is the one that ended the task. Any other context is an unrelated exception.
        of_task = isinstance(cause, asyncio.CancelledError) and cause.__cause__ is None
        following = cause.__context__ if of_task else cause.__cause__
        if of_task and not isinstance(following, asyncio.CancelledError):
            break
        cause = following
    return ""


def note_request_id(error: BaseException, request_id: str) -> None:
    """Stores the request_id of the call in the exception, for `request_id_of`."""
    if request_id and not isinstance(error, CreditdError):
        setattr(error, _ATTRIBUTE, request_id)
