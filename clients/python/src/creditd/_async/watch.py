"""A balance that is watched, for the asynchronous client."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import grpc

from creditd._async.stream import Stream, StreamReplacedError
from creditd._attempts import timeout_s
from creditd._convert.ledger import balance_from_pb
from creditd._log import logger
from creditd._status import error_from_rpc
from creditd.errors import CreditdError

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from creditd._async.call_key import CallKey
    from creditd._async.connection import Connections
    from creditd._channel import CallOptions
    from creditd.model import Balance
    from creditd.v1 import ledger_pb2


class AsyncBalanceWatch:
    """The balances that `AsyncClient.watch_balance` yields: an iterator that can be closed.

    It ends when the server stops or ends its old connection, and after `close`, which any task
    may call. Where it fails it raises CreditdError and is over. It is never sent again, but for
    one case: where the client replaces its connection, the watch goes on over the new one.
    """

    def __init__(
        self,
        client: object,
        connections: Connections,
        request: ledger_pb2.WatchBalanceRequest,
        options: CallOptions,
        key: CallKey,
    ) -> None:
        # The connection is closed when nothing refers to its client any more.
        self._client = client
        self._connections = connections
        self._request = request
        self._metadata = options.wire_metadata()
        self._key = key
        key.check_metadata(self._metadata)
        self._deadline_s = (
            None if options.timeout is None else time.monotonic() + timeout_s(options.timeout)
        )
        self._closed = False
        self._failure: CreditdError | None = None
        self._version: int | None = None
        self._stream = self._start()

    async def close(self) -> None:
        """Ends the watch, also one that another task waits for."""
        self._closed = True
        self._stream.cancel()

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
        yielded, resumed = self._version, False
        while not self._closed:
            if self._failure is not None:
                raise self._failure
            try:
                reply = await self._stream.receive()
            except StreamReplacedError:
                self._stream.cancel()
                self._resume()
                resumed = True
                continue
            except grpc.RpcError as failure:
                self._stream.cancel()
                if self._closed:
                    break
                self._failure = error_from_rpc(failure, "")
                continue
            if reply is None:
                self._stream.cancel()
                break
            balance = balance_from_pb(reply)
            self._version = balance.version
            # A stream begins with the balance as it is, which may have been yielded already.
            if resumed and balance.version == yielded:
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

    def _start(self) -> Stream:
        connection = self._connections.get()
        return Stream(
            connection,
            "WatchBalance",
            self._request,
            deadline_s=self._deadline_s,
            metadata=self._metadata,
            key=self._key,
        )

    def _resume(self) -> None:
        """Goes on by another call, unless the watch or its client was closed."""
        if self._closed:
            return
        try:
            self._stream = self._start()
        except ValueError:
            self._failure = CreditdError("the client was closed", code=grpc.StatusCode.CANCELLED)
            return
        logger.info("WatchBalance is sent again, to go on")
        # It may have been closed by another task, which has ended the stream before.
        if self._closed:
            self._stream.cancel()
