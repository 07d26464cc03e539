"""A stream that can be ended from another thread, whatever interceptors made of it."""

from __future__ import annotations

import contextvars
import threading
import weakref
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import grpc

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from typing_extensions import Self

# The longest that a wrapped stream may outlive its end: it is asked for anew so often.
RENEWAL_S = 300.0

_Found = tuple[Any, "BaseException | None"]


def is_wrapped(call: object) -> bool:
    """Whether an interceptor gave something else than a call, such as a generator around one."""
    return not callable(getattr(call, "cancel", None))


class EndedError(grpc.RpcError):
    """The stream was ended here."""


class WrappedStream:
    """A stream without `cancel`, as instrumentation makes it: a generator around the call.

    A generator cannot be closed by one thread while another waits in it. So a thread of its own
    reads it, and only when somebody asks for the next message. `cancel` ends a wait for that
    thread at once; the call itself ends at once where the thread is idle, and otherwise with its
    next message or its deadline.
    """

    def __init__(self, start: Callable[[], Iterator[Any]]) -> None:
        self._wanted: SimpleQueue[bool] = SimpleQueue()
        self._found: SimpleQueue[_Found] = SimpleQueue()
        # In the context of who asked, so that a trace shows it there.
        run = contextvars.copy_context().run
        reading = (_read, start, self._wanted, self._found)
        threading.Thread(target=run, args=reading, daemon=True, name="creditd-watch").start()
        # Also where nobody ends it.
        weakref.finalize(self, self._wanted.put, False)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        self._wanted.put(True)
        message, error = self._found.get()
        if error is not None:
            raise error
        return message

    def cancel(self) -> None:
        """Ends it, and a wait for its next message."""
        self._wanted.put(False)
        self._found.put((None, EndedError("the stream was ended")))


def _read(
    start: Callable[[], Iterator[Any]], wanted: SimpleQueue[bool], found: SimpleQueue[_Found]
) -> None:
    # Started here, for what instrumentation keeps in the context of a thread.
    try:
        messages = start()
        while wanted.get():
            found.put((next(messages), None))
    except BaseException as error:  # noqa: BLE001 - raised again where the message was asked for
        found.put((None, error))
