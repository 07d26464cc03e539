"""A balance that is watched, for the asynchronous client."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import grpc

from creditd._convert.ledger import balance_from_pb
from creditd._status import error_from_rpc
from creditd.errors import CreditdError

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from creditd.model import Balance


class AsyncBalanceWatch:
    """The balances that `AsyncClient.watch_balance` yields; see BalanceWatch.

    A wait for the next balance that is cancelled, as asyncio.wait_for does it, ends the watch.
    """

    def __init__(self, client: object, call: Any) -> None:
        # The connection lives as long as its client.
        self._client = client
        self._call = call
        self._replies = aiter(call)
        self._closed = False

    async def close(self) -> None:
        """Ends the watch, also one that another task waits for."""
        self._closed = True
        self._call.cancel()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Balance:
        if self._closed:
            raise StopAsyncIteration
        # A task of its own: grpc raises CancelledError where the call was cancelled, and here that
        # must mean nothing but that the caller was.
        read = asyncio.ensure_future(self._read())
        try:
            await asyncio.wait([read])
        finally:
            read.cancel()
        try:
            reply = read.result()
        except (grpc.RpcError, asyncio.CancelledError) as failure:
            if self._closed:
                raise StopAsyncIteration from None
            raise _error(failure) from failure
        if reply is None:
            raise StopAsyncIteration
        return balance_from_pb(reply)

    async def _read(self) -> Any:
        """The next reply, or None at the end."""
        return await anext(self._replies, None)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()


def _error(failure: grpc.RpcError | asyncio.CancelledError) -> CreditdError:
    if isinstance(failure, grpc.RpcError):
        return error_from_rpc(failure, "")
    return CreditdError("the client was closed", code=grpc.StatusCode.CANCELLED)
