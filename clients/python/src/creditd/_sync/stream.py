"""What a watch of Client reads: one call of grpc that streams, which any thread can end.

`_async/stream.py` has the same interface for an event loop.
"""

from __future__ import annotations

import contextvars
import threading
import time
import weakref
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import grpc

from creditd._call_key import KeyLateError, KeyTimeoutError, with_bearer
from creditd._status import error_from_rpc

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from google.protobuf.message import Message

    from creditd._sync.call_key import CallKey
    from creditd._sync.connection import Connection

# The longest that a wrapped stream may outlive its end: it is sent again so often.
RENEWAL_S = 300.0

_Received = tuple[Any, "BaseException | None"]


class StreamReplacedError(Exception):
    """This client ended the stream itself, to go on by another call."""


class Stream:
    """One call that streams, over one connection.

    Its `deadline_s`, by time.monotonic(), is that of all of the watch.
    """

    def __init__(
        self,
        connection: Connection,
        method: str,
        request: Message,
        *,
        deadline_s: float | None,
        metadata: list[tuple[str, str | bytes]],
        key: CallKey,
    ) -> None:
        self._connection = connection
        # Whether it ends sooner than the watch does, to be sent again.
        self._renewed = False
        self._late = False
        try:
            metadata = with_bearer(metadata, key.ask(deadline_s))
        except KeyTimeoutError:
            self._call = None
            self._late = True
            return
        left_s = None if deadline_s is None else max(deadline_s - time.monotonic(), 0)
        try:
            self._call = self._send(method, request, left_s, metadata)
        except ValueError:
            # grpc says so of a channel that was closed before the call began.
            if not connection.replaced:
                raise
            self._call = None
            return
        connection.start_waiting(self)

    def receive(self) -> Any:
        """The next reply, or None at the end.

        Raises:
            StreamReplacedError: It ended since it is to go on by another call.
            grpc.RpcError: The call failed.
        """
        if self._late:
            raise KeyLateError
        if self._call is None:
            raise StreamReplacedError
        try:
            reply = next(self._call, None)
        except grpc.RpcError as failure:
            if self._goes_on(failure):
                raise StreamReplacedError from failure
            raise
        self._connection.received_s = time.monotonic()
        return reply

    def cancel(self) -> None:
        """Ends it, also while another thread waits for it."""
        self._connection.stop_waiting(self)
        if self._call is not None:
            self._call.cancel()

    def _send(
        self,
        method: str,
        request: Message,
        timeout_s: float | None,
        metadata: list[tuple[str, str | bytes]],
    ) -> Any:
        rpc = self._connection.rpcs[method]
        if not self._connection.streams_wrapped:
            call = rpc(request, timeout=timeout_s, metadata=metadata)
            if callable(getattr(call, "cancel", None)):
                return call
            # `call` is dropped, which ends it; a generator has not even begun.
            del call
            self._connection.streams_wrapped = True
        if timeout_s is None or timeout_s > RENEWAL_S:
            self._renewed = True
            timeout_s = RENEWAL_S
        return WrappedStream(lambda: rpc(request, timeout=timeout_s, metadata=metadata))

    def _goes_on(self, failure: grpc.RpcError) -> bool:
        """Whether the failure is this client's own doing."""
        error = error_from_rpc(failure, "")
        if error.reason:
            return False
        late = error.code is grpc.StatusCode.DEADLINE_EXCEEDED
        return self._connection.replaced or (self._renewed and late)


class CancelledStreamError(grpc.RpcError):
    """The stream was cancelled here."""


class WrappedStream:
    """A stream without `cancel`, as instrumentation makes it: a generator around the call.

    A generator cannot be closed by one thread while another waits in it. So a thread of its own
    reads it, and only when the next message is asked for. `cancel` ends a wait for that thread at
    once; the call itself ends at once where the thread is idle, and otherwise with its next
    message or its deadline.
    """

    def __init__(self, start: Callable[[], Iterator[Any]]) -> None:
        self._requests: SimpleQueue[bool] = SimpleQueue()
        self._received: SimpleQueue[_Received] = SimpleQueue()
        # In the context of the caller, so that a trace has the call in its place.
        run = contextvars.copy_context().run
        arguments = (_read, start, self._requests, self._received)
        threading.Thread(target=run, args=arguments, daemon=True, name="creditd-watch").start()
        # For a stream that is dropped without `cancel`.
        weakref.finalize(self, self._requests.put, False)

    def __iter__(self) -> WrappedStream:
        return self

    def __next__(self) -> Any:
        self._requests.put(True)
        message, error = self._received.get()
        if error is not None:
            raise error
        return message

    def cancel(self) -> None:
        """Ends it, and a wait for its next message."""
        self._requests.put(False)
        self._received.put((None, CancelledStreamError("the stream was cancelled")))


def _read(
    start: Callable[[], Iterator[Any]],
    requests: SimpleQueue[bool],
    received: SimpleQueue[_Received],
) -> None:
    # Started in this thread, since instrumentation keeps things in the context of a thread.
    try:
        messages = start()
        while requests.get():
            received.put((next(messages), None))
    except BaseException as error:  # noqa: BLE001 - raised again where the message was asked for
        received.put((None, error))
