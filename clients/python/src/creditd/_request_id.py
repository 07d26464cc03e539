"""Names for calls that move credits: made here where the caller gives none, and found again."""

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
    ends by no CreditdError; what it carried is found all the same, from the error itself or from
    its causes. It belongs to that one call, however many run side by side.

    Args:
        error: What was raised: a CreditdError, CancelledError, TimeoutError or KeyboardInterrupt.

    Returns:
        The request_id to repeat the write with; "" where no write was sent, as for a read.
    """
    one: BaseException | None = error
    for _ in range(_CAUSES_MAX):
        if one is None:
            break
        if isinstance(one, CreditdError) and one.request_id:
            return one.request_id
        found = getattr(one, _ATTRIBUTE, "")
        if isinstance(found, str) and found:
            return found
        # Up to Python 3.10 a task that is awaited raises a CancelledError of its own, whose
        # context is the one that ended the task. Any other context is of another matter.
        of_task = isinstance(one, asyncio.CancelledError) and one.__cause__ is None
        following = one.__context__ if of_task else one.__cause__
        if of_task and not isinstance(following, asyncio.CancelledError):
            break
        one = following
    return ""


def note_request_id(error: BaseException, request_id: str) -> None:
    """Lets `request_id_of(error)` find what the call carried."""
    if request_id and not isinstance(error, CreditdError):
        setattr(error, _ATTRIBUTE, request_id)
