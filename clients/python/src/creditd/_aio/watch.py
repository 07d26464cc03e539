"""A balance that is watched, for the asynchronous client."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import grpc

from creditd._attempts import timeout_s
from creditd._convert.ledger import balance_from_pb
from creditd._log import logger
from creditd._status import error_from_rpc
from creditd.errors import CreditdError

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from creditd._aio.connection import Connection, Connections
    from creditd._channel import CallOptions
    from creditd.model import Balance
    from creditd.v1 import ledger_pb2


class AsyncBalanceWatch:
    """The balances that `AsyncClient.watch_balance` yields; see BalanceWatch.

    A wait for the next balance that is cancelled, as asyncio.wait_for does it, ends the watch.
    """

    def __init__(
        self,
        client: object,
        connections: Connections,
        request: ledger_pb2.WatchBalanceRequest,
        options: CallOptions,
    ) -> None:
        # The connection lives as long as its client.
        self._client = client
        self._connections = connections
        self._request = request
        self._metadata = options.wire_metadata()
        self._deadline_s = (
            None if options.timeout is None else time.monotonic() + timeout_s(options.timeout)
        )
        self._closed = False
        self._failure: CreditdError | None = None
        self._version: int | None = None
        self._connection: Connection
        self._call: Any
        self._replies: Any
        self._start()

    async def close(self) -> None:
        """Ends the watch, also one that another task waits for."""
        self._closed = True
        self._call.cancel()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Balance:
        """The balance now, and then after each change.

        Returns:
            The newest balance; it waits for a change.

        Raises:
            CreditdError: The watch failed, and is over.
            StopAsyncIteration: The server stopped, or the watch was closed.
        """
        seen, moved = self._version, False
        while not self._closed:
            if self._failure is not None:
                raise self._failure
            try:
                reply = await self._next_reply()
            except (grpc.RpcError, _CancelledError) as failure:
                if self._closed:
                    break
                if not self._connection.cut.done() or self._connections.closed:
                    self._failure = _error(failure)
                    raise self._failure from failure
                logger.info("a watch goes on over another connection")
                self._start()
                moved = True
                continue
            if reply is None:
                break
            self._connection.heard_s = time.monotonic()
            balance = balance_from_pb(reply)
            self._version = balance.version
            # What was yielded already is no news.
            if moved and balance.version == seen:
                continue
            return balance
        raise StopAsyncIteration

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    def _start(self) -> None:
        self._connection = connection = self._connections.get()
        left_s = None if self._deadline_s is None else max(self._deadline_s - time.monotonic(), 0)
        self._call = connection.rpcs["WatchBalance"](
            self._request, timeout=left_s, metadata=self._metadata
        )
        connection.streams.add(self._call)
        self._replies = aiter(self._call)

    async def _next_reply(self) -> Any:
        """The next reply, or None at the end."""
        # A task of its own: grpc raises CancelledError where the call was cancelled, and here that
        # must mean nothing but that the caller was.
        read = asyncio.ensure_future(self._read())
        try:
            while not read.done():
                await asyncio.wait([read], timeout=self._connection.quiet_s)
                self._connection.look()
        finally:
            read.cancel()
        try:
            return read.result()
        except asyncio.CancelledError:
            raise _CancelledError from None

    async def _read(self) -> Any:
        return await anext(self._replies, None)


class _CancelledError(Exception):
    """The call was cancelled, by this client or by grpc."""


def _error(failure: grpc.RpcError | _CancelledError) -> CreditdError:
    if isinstance(failure, grpc.RpcError):
        return error_from_rpc(failure, "")
    return CreditdError("the client was closed", code=grpc.StatusCode.CANCELLED)
