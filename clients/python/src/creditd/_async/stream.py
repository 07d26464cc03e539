"""What a watch of AsyncClient reads: one call of grpc.aio that streams.

`_sync/stream.py` has the same interface for threads.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import grpc

if TYPE_CHECKING:
    from google.protobuf.message import Message

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
    """One call that streams, over one connection.

    Its `timeout_s` is what is left of the time for all of the watch.
    """

    def __init__(
        self,
        connection: Connection,
        method: str,
        request: Message,
        timeout_s: float | None,
        metadata: Any,
    ) -> None:
        self._connection = connection
        self._call = connection.rpcs[method](request, timeout=timeout_s, metadata=metadata)
        self._replies = aiter(self._call)
        connection.streams.add(self._call)

    async def receive(self) -> Any:
        """The next reply, or None at the end.

        Raises:
            StreamReplacedError: It ended since it is to go on by another call.
            grpc.RpcError: The call failed.
        """
        # A task of its own: grpc raises CancelledError where the call was cancelled, and here that
        # must mean nothing but that the caller was.
        reading = asyncio.ensure_future(self._read())
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
        self._call.cancel()

    async def _read(self) -> Any:
        return await anext(self._replies, None)
