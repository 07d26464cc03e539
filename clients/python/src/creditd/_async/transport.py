"""One asynchronous call: sent, sent again where that helps, and its failure as an exception."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar

import grpc

from creditd._async.call_key import CallKey
from creditd._async.connection import Connection, Connections, sleep
from creditd._attempts import DEFAULT_RETRY, Attempts, RetryPolicy, Timeout, timeout_s
from creditd._call_key import AsyncKeySource, KeyTimeoutError, check_security, with_bearer
from creditd._channel import (
    DEFAULT_TARGET,
    DEFAULT_TIMEOUT_S,
    CallOptions,
    Liveness,
    Security,
    channel_security,
)
from creditd._idempotency import idempotency_key, is_repeatable
from creditd._log import logger
from creditd._request_id import note_request_id
from creditd._status import error_from_rpc, is_from_server
from creditd._target import check_target
from creditd._tls import Tls, explain_handshake
from creditd.errors import CreditdError, DeadlineExceededError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from types import TracebackType

    from google.protobuf.message import Message
    from typing_extensions import Self


class Page(Protocol):
    """One page of a list."""

    @property
    def next_page_token(self) -> str:
        """The token of the page that follows; "" where there is none."""


Result = TypeVar("Result")
AnyPage = TypeVar("AnyPage", bound=Page)


class Transport:
    """The connection, timeout and retries of a client."""

    _liveness: ClassVar[Liveness] = Liveness()

    def __init__(
        self,
        target: str = DEFAULT_TARGET,
        *,
        timeout: Timeout = DEFAULT_TIMEOUT_S,
        retry: RetryPolicy = DEFAULT_RETRY,
        credentials: grpc.ChannelCredentials | None = None,
        insecure: bool = False,
        tls: Tls | None = None,
        key: AsyncKeySource | None = None,
        channel: grpc.aio.Channel | None = None,
    ) -> None:
        if channel is not None and (credentials is not None or insecure or tls is not None):
            raise ValueError("a channel has its own credentials; give one of the two")
        if channel is not None and key is not None:
            # Whether it speaks TLS, and where to, cannot be told.
            raise ValueError("a key is not sent over a channel of yours; give one of the two")
        self._key = CallKey(key)
        self._timeout_s = timeout_s(timeout)
        self._retry = retry
        self._target = target
        self._tls_by_default = False
        security = Security(None)
        if channel is None:
            check_target(target)
            given = credentials is not None or tls is not None
            security = channel_security(target, credentials, insecure=insecure, tls=tls)
            if self._key.is_set:
                check_security(target, security)
            self._tls_by_default = security.credentials is not None and not given
        self._connections = Connections(self, target, security, channel, self._liveness)

    async def close(self) -> None:
        """Ends the connection and the calls that are under way. A given `channel` stays open.

        Any further call raises ValueError.
        """
        await self._connections.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def _call(
        self,
        method: str,
        request: Message,
        result_from_pb: Callable[[Any], Result],
        options: CallOptions,
    ) -> Result:
        """Calls the method of the API until it answers or fails for good."""
        try:
            return result_from_pb(await self._reply(method, request, options))
        except BaseException as error:
            note_request_id(error, idempotency_key(request))
            raise

    async def _reply(self, method: str, request: Message, options: CallOptions) -> Any:
        limit_s = self._timeout_s if options.timeout is None else timeout_s(options.timeout)
        deadline_s = time.monotonic() + limit_s
        metadata = options.wire_metadata()
        self._key.check_metadata(metadata)
        # Made at the first failure: nearly every call is answered at once.
        attempts = None
        bearer = await self._ask_key(request, deadline_s, attempts)
        while True:
            connection = self._connection(request, attempts)
            left_s = max(deadline_s - time.monotonic(), 0)
            refused = None
            try:
                reply = await connection.call(
                    method, request, left_s, with_bearer(metadata, bearer)
                )
            except grpc.RpcError as failure:
                if attempts is None:
                    attempts = Attempts(self._retry, deadline_s, is_repeatable(request))
                error = error_from_rpc(failure, idempotency_key(request))
                refused = await self._pause(method, connection, error, attempts)
            else:
                if reply is not None:
                    if attempts is not None:
                        logger.info("%s was answered at attempt %d", method, attempts.made)
                    return reply
                if attempts is None:
                    attempts = Attempts(self._retry, deadline_s, is_repeatable(request))
                attempts.check_lost()
                logger.info("%s is sent again: its connection was replaced", method)
            attempts.start(time.monotonic())
            sent, bearer = bearer, await self._ask_key(request, deadline_s, attempts)
            if refused is not None and bearer == sent:
                raise refused

    async def _ask_key(
        self, request: Message, deadline_s: float, attempts: Attempts | None
    ) -> str | None:
        """The text of the header with the key, for the next attempt; None without a key."""
        try:
            return await self._key.ask(deadline_s)
        except KeyTimeoutError:
            raise DeadlineExceededError(
                "the function that gives the key did not return before the deadline",
                code=grpc.StatusCode.DEADLINE_EXCEEDED,
                request_id=idempotency_key(request),
                # The last attempt was counted and is not sent.
                attempts=0 if attempts is None else attempts.made - 1,
            ) from None

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
            # The last attempt was counted and is not sent.
            attempts=attempts.made - 1,
        )

    async def _pause(
        self, method: str, connection: Connection, error: CreditdError, attempts: Attempts
    ) -> CreditdError | None:
        """Waits until the call is to be sent again, or raises what it ends by.

        Returns:
            The error, where another key alone can help.
        """
        from_server = is_from_server(error)
        if from_server:
            connection.received_s = time.monotonic()
        elif error.code is grpc.StatusCode.DEADLINE_EXCEEDED:
            connection.probe()
        if (
            not from_server
            and self._tls_by_default
            and explain_handshake(error, self._target, with_key=self._key.is_set)
        ):
            error.attempts = attempts.made
            raise error
        if self._key.function is not None and attempts.wants_new_key(error):
            logger.info("%s was refused as %s; the key is asked for anew", method, error.reason)
            return error
        pause_s = attempts.pause_s(error, time.monotonic(), random.random())  # noqa: S311
        logger.info(
            "%s was refused as %s and is sent again in %.3f s, after attempt %d",
            method,
            error.reason or error.code.name,
            pause_s,
            attempts.made,
        )
        if not from_server:
            connection.reconnect()
        await sleep(pause_s)
        return None

    async def _pages(
        self,
        method: str,
        request: Any,
        page_from_pb: Callable[[Any], AnyPage],
        options: CallOptions,
    ) -> AsyncIterator[AnyPage]:
        """The page that `request` asks for and those that follow, each by a call of its own."""
        while True:
            page = await self._call(method, request, page_from_pb, options)
            yield page
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token
