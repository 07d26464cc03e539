"""What a watch of AsyncClient reads: one call of grpc.aio that streams.

`_sync/stream.py` has the same interface for threads.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import grpc

from creditd._call_key import KeyLateError, KeyTimeoutError, with_bearer

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from creditd._async.call_key import CallKey
    from creditd._async.connection import Connection


class StreamReplacedError(Exception):
    """This client ended the stream itself, to go on by another call."""


class StreamCancelledError(grpc.RpcError):
    """The stream was cancelled, by this client or by grpc."""

    def code(self) -> grpc.StatusCode:
        """As a call of grpc has it."""
        return grpc.StatusCode.CANCELLED

    def details(self) -> str:
        """As a call of grpc has it."""
        return "the client was closed"


class Stream:
    """One call that streams, over one connection; it begins when it is first read.

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
        self._rpc = connection.rpcs[method]
        self._request = request
        self._deadline_s = deadline_s
        self._metadata = metadata
        self._key = key
        self._call: Any = None
        self._replies: Any = None
        self._reading: asyncio.Future[Any] | None = None
        self._cancelled = False
        connection.streams.add(self)

    async def receive(self) -> Any:
        """The next reply, or None at the end.

        Raises:
            StreamReplacedError: It ended since it is to go on by another call.
            grpc.RpcError: The call failed.
        """
        # A task of its own: grpc raises CancelledError where the call was cancelled, and here that
        # must mean nothing but that the caller was.
        reading = self._reading = asyncio.ensure_future(self._read())
        try:
            while not reading.done():
                await asyncio.wait([reading], timeout=self._connection.liveness.idle_s)
                self._connection.probe_if_idle()
        finally:
            reading.cancel()
        try:
            reply = reading.result()
        except asyncio.CancelledError:
            if self._connection.replaced:
                raise StreamReplacedError from None
            raise StreamCancelledError from None
        except grpc.RpcError as failure:
            if self._connection.replaced:
                raise StreamReplacedError from failure
            raise
        self._connection.received_s = time.monotonic()
        return reply

    def cancel(self) -> None:
        """Ends it, also while it is waited for."""
        self._cancelled = True
        if self._call is not None:
            self._call.cancel()
        elif self._reading is not None:
            self._reading.cancel()

    async def _read(self) -> Any:
        if self._call is None:
            if self._cancelled:
                raise StreamCancelledError
            await self._begin()
        return await anext(self._replies, None)

    async def _begin(self) -> None:
        try:
            bearer = await self._key.ask(self._deadline_s)
        except KeyTimeoutError:
            raise KeyLateError from None
        left_s = None if self._deadline_s is None else max(self._deadline_s - time.monotonic(), 0)
        metadata = with_bearer(self._metadata, bearer)
        self._call = self._rpc(self._request, timeout=left_s, metadata=metadata)
        self._replies = aiter(self._call)
