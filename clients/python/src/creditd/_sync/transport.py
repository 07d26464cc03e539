"""One synchronous call: sent, sent again where that helps, and its failure as an exception."""

from __future__ import annotations

import random
import threading
import time
import weakref
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import grpc

from creditd._attempts import DEFAULT_RETRY, Attempts, RetryPolicy, Timeout, timeout_s
from creditd._channel import (
    DEFAULT_TARGET,
    DEFAULT_TIMEOUT_S,
    CallOptions,
    Silence,
    channel_credentials,
    channel_options,
)
from creditd._idempotency import idempotency_key
from creditd._log import logger
from creditd._request_id import note_request_id
from creditd._status import error_from_rpc, is_from_server
from creditd._sync.connection import Connection, Connections
from creditd._target import check_target
from creditd._tls import explain_handshake
from creditd.errors import CreditdError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType

    from google.protobuf.message import Message
    from typing_extensions import Self

    from creditd.model import EntryPage, HoldPage

Result = TypeVar("Result")
AnyPage = TypeVar("AnyPage", bound="EntryPage | HoldPage")


class Transport:
    """The connection, timeout and retries of a Client."""

    _silence: ClassVar[Silence] = Silence()

    def __init__(
        self,
        target: str = DEFAULT_TARGET,
        *,
        timeout: Timeout = DEFAULT_TIMEOUT_S,
        retry: RetryPolicy = DEFAULT_RETRY,
        credentials: grpc.ChannelCredentials | None = None,
        insecure: bool = False,
        channel: grpc.Channel | None = None,
    ) -> None:
        if channel is not None and (credentials is not None or insecure):
            raise ValueError("a channel has its own credentials; give one of the two")
        self._timeout_s = timeout_s(timeout)
        self._retry = retry
        self._target = target
        self._tls_unasked = False
        if channel is None:
            check_target(target)
            with_ = channel_credentials(target, credentials, insecure)
            self._tls_unasked = credentials is None and with_ is not None
        self._connections = Connections(
            (lambda: channel) if channel is not None else (lambda: _channel(target, with_)),
            target,
            self._silence,
            given=channel is not None,
        )
        # Also where nobody closes the client: grpc's threads would keep a process from ending.
        weakref.finalize(self, _close_dropped, self._connections)

    def close(self) -> None:
        """Ends the connection and the calls that are under way. A given `channel` stays open.

        Any further call raises ValueError.
        """
        self._connections.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _call(
        self,
        method: str,
        request: Message,
        result_from_pb: Callable[[Any], Result],
        options: CallOptions,
    ) -> Result:
        """Calls the method of the API until it answers or fails for good."""
        try:
            return result_from_pb(self._reply(method, request, options))
        except BaseException as error:
            note_request_id(error, idempotency_key(request))
            raise

    def _reply(self, method: str, request: Message, options: CallOptions) -> Any:
        limit_s = self._timeout_s if options.timeout is None else timeout_s(options.timeout)
        left_s, begun_s = limit_s, time.monotonic()
        metadata = options.wire_metadata()
        # Nearly every call is answered at once and needs no more of this.
        attempts = None
        while True:
            connection = self._connection(request, attempts)
            try:
                reply = self._send(connection, method, request, left_s, metadata)
            except grpc.RpcError as failure:
                if attempts is None:
                    attempts = Attempts(self._retry, begun_s + limit_s)
                error = error_from_rpc(failure, idempotency_key(request))
                self._pause(method, connection, error, attempts)
            else:
                if reply is not None:
                    connection.heard_s = time.monotonic()
                    if attempts is not None:
                        logger.info("%s was answered at attempt %d", method, attempts.made)
                    return reply
                if attempts is None:
                    attempts = Attempts(self._retry, begun_s + limit_s)
            left_s = attempts.start(time.monotonic())

    def _send(
        self, connection: Connection, method: str, request: Message, left_s: float, metadata: Any
    ) -> Any:
        """One attempt: the reply, or None where the channel was closed between here and there."""
        rpc = connection.rpcs[method]
        try:
            if left_s < self._silence.quiet_s:
                return rpc(request, timeout=left_s, metadata=metadata)
            return _call_long(connection, rpc, request, left_s, metadata)
        except ValueError:
            if not connection.cut:
                raise
            return None

    def _connection(self, request: Message, attempts: Attempts | None) -> Connection:
        try:
            return self._connections.get()
        except ValueError:
            if attempts is None:
                raise
        raise CreditdError(
            "the client was closed",
            code=grpc.StatusCode.CANCELLED,
            request_id=idempotency_key(request),
            # The one that was begun is not sent.
            attempts=attempts.made - 1,
        )

    def _pause(
        self, method: str, connection: Connection, error: CreditdError, attempts: Attempts
    ) -> None:
        """Waits until the call is to be sent again, or raises what it ends by."""
        if connection.cut and not error.reason and not self._connections.closed:
            logger.info("%s is sent again: its connection was replaced", method)
            return
        unheard = not is_from_server(error)
        if not unheard:
            connection.heard_s = time.monotonic()
        elif error.code is grpc.StatusCode.DEADLINE_EXCEEDED:
            connection.suspect()
        if unheard and self._tls_unasked and explain_handshake(error, self._target):
            error.attempts = attempts.made
            raise error
        pause_s = attempts.pause_s(error, time.monotonic(), random.random())  # noqa: S311
        logger.info(
            "%s was refused as %s and is sent again in %.3f s, after attempt %d",
            method,
            error.reason or error.code.name,
            pause_s,
            attempts.made,
        )
        if unheard:
            connection.seek()
        time.sleep(pause_s)

    def _pages(
        self,
        method: str,
        request: Any,
        page_from_pb: Callable[[Any], AnyPage],
        options: CallOptions,
    ) -> Iterator[AnyPage]:
        """The page that `request` asks for and those that follow, each by a call of its own."""
        while True:
            page = self._call(method, request, page_from_pb, options)
            yield page
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token


def _channel(target: str, credentials: grpc.ChannelCredentials | None) -> grpc.Channel:
    options = channel_options(target)
    if credentials is None:
        return grpc.insecure_channel(target, options)
    return grpc.secure_channel(target, credentials, options)


def _call_long(
    connection: Connection, rpc: Any, request: Message, left_s: float, metadata: Any
) -> Any:
    """A call that may take so long that its connection is looked after meanwhile."""
    waiting = _Waiting()
    connection.wait_begins(waiting)
    try:
        return rpc(request, timeout=left_s, metadata=metadata)
    finally:
        connection.wait_ends(waiting)


class _Waiting:
    """Stands for a call that is waited for."""


def _close_dropped(connections: Connections) -> None:
    """Closes what nobody holds any more.

    The garbage collector may have found that in a thread of grpc, for which a close would wait.
    """
    if threading.current_thread() is threading.main_thread():
        connections.close()
    else:
        threading.Thread(target=connections.close, daemon=True).start()
