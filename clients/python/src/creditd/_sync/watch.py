"""A balance that is watched, for the synchronous client."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import grpc

from creditd._attempts import timeout_s
from creditd._convert.ledger import balance_from_pb
from creditd._log import logger
from creditd._status import error_from_rpc
from creditd._sync.stream import RENEWAL_S, WrappedStream, is_wrapped

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from creditd._channel import CallOptions
    from creditd._sync.connection import Connection, Connections
    from creditd.errors import CreditdError
    from creditd.model import Balance
    from creditd.v1 import ledger_pb2


class BalanceWatch:
    """The balances that `Client.watch_balance` yields: an iterator that can be closed.

    It ends when the server stops, and after `close`, which any thread may call. Where it fails it
    raises CreditdError and is over; it is never sent again, but for one case: where the client
    replaces its connection, the watch goes on over the new one, without a word.
    """

    def __init__(
        self,
        client: object,
        connections: Connections,
        request: ledger_pb2.WatchBalanceRequest,
        options: CallOptions,
    ) -> None:
        # A client that nobody holds any more ends its connection, and this stream with it.
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
        self._renews = False
        self._connection: Connection
        self._call: Any
        self._start()

    def close(self) -> None:
        """Ends the watch, also one that another thread waits for."""
        self._closed = True
        self._end()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Balance:
        """The balance now, and then after each change.

        Returns:
            The newest balance; it waits for a change.

        Raises:
            CreditdError: The watch failed, and is over.
            StopIteration: The server stopped, or the watch was closed.
        """
        seen, moved = self._version, False
        while not self._closed:
            if self._failure is not None:
                raise self._failure
            try:
                reply = next(self._call)
            except grpc.RpcError as failure:
                if self._closed:
                    break
                error = error_from_rpc(failure, "")
                self._end()
                if not self._goes_on(error):
                    self._failure = error
                    raise error from failure
                self._start()
                moved = True
                continue
            except StopIteration:
                self._end()
                raise
            self._connection.heard_s = time.monotonic()
            balance = balance_from_pb(reply)
            self._version = balance.version
            # What was yielded already is no news.
            if moved and balance.version == seen:
                continue
            return balance
        raise StopIteration

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _start(self) -> None:
        while True:
            connection = self._connections.get()
            try:
                self._call = self._send(connection)
            except ValueError:
                # grpc says so of a channel that was closed between here and there.
                if connection.cut:
                    continue
                raise
            break
        self._connection = connection
        connection.wait_begins(self._call)
        if self._closed:
            self._end()

    def _send(self, connection: Connection) -> Any:
        rpc = connection.rpcs["WatchBalance"]
        left_s = self._left_s()
        if not self._renews:
            call = rpc(self._request, timeout=left_s, metadata=self._metadata)
            if not is_wrapped(call):
                return call
            self._renews = True
        # `call` is dropped here, which ends it; generators have not even begun.
        call = None
        limit_s = RENEWAL_S if left_s is None else min(left_s, RENEWAL_S)
        request, metadata = self._request, self._metadata
        return WrappedStream(lambda: rpc(request, timeout=limit_s, metadata=metadata))

    def _goes_on(self, error: CreditdError) -> bool:
        """Whether the watch goes on by another call, since it was this client that ended it."""
        if error.reason or self._connections.closed:
            return False
        if self._connection.cut:
            logger.info("a watch goes on over another connection")
            return True
        left_s = self._left_s()
        return (
            self._renews
            and error.code is grpc.StatusCode.DEADLINE_EXCEEDED
            and (left_s is None or left_s > 0)
        )

    def _left_s(self) -> float | None:
        if self._deadline_s is None:
            return None
        return max(self._deadline_s - time.monotonic(), 0)

    def _end(self) -> None:
        self._connection.wait_ends(self._call)
        self._call.cancel()
