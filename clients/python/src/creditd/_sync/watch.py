"""A balance that is watched, for the synchronous client."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc

from creditd._convert.ledger import balance_from_pb
from creditd._status import error_from_rpc

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from creditd.model import Balance


class BalanceWatch:
    """The balances that `Client.watch_balance` yields: an iterator that can be closed.

    It ends when the server stops, and after `close`, which any thread may call. Where it fails it
    raises CreditdError and is over.
    """

    def __init__(self, client: object, call: Any) -> None:
        # A client that nobody holds any more ends its connection, and this stream with it.
        self._client = client
        self._call = call
        self._closed = False

    def close(self) -> None:
        """Ends the watch, also one that another thread waits for."""
        self._closed = True
        self._call.cancel()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Balance:
        if self._closed:
            raise StopIteration
        try:
            reply = next(self._call)
        except grpc.RpcError as failure:
            if self._closed:
                raise StopIteration from None
            raise error_from_rpc(failure, "") from failure
        return balance_from_pb(reply)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
