"""One asynchronous call: sent, sent again where that helps, and its failure as an exception."""

from __future__ import annotations

import asyncio
import random
import time
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakSet

import grpc
from grpc import aio

from creditd._attempts import DEFAULT_RETRY, Attempts, RetryPolicy, Timeout, timeout_s
from creditd._channel import CHANNEL_OPTIONS, DEFAULT_TARGET, DEFAULT_TIMEOUT_S, CallOptions
from creditd._idempotency import idempotency_key
from creditd._status import error_from_rpc
from creditd.v1.ledger_pb2_grpc import LedgerServiceStub
from creditd.v1.pricing_pb2_grpc import PricingServiceStub

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from types import TracebackType

    from google.protobuf.message import Message
    from typing_extensions import Self

    from creditd.model import EntryPage, HoldPage

Result = TypeVar("Result")
AnyPage = TypeVar("AnyPage", bound="EntryPage | HoldPage")


class Transport:
    """The connection, timeout and retries of an AsyncClient."""

    def __init__(
        self,
        target: str = DEFAULT_TARGET,
        *,
        timeout: Timeout = DEFAULT_TIMEOUT_S,
        retry: RetryPolicy = DEFAULT_RETRY,
        credentials: grpc.ChannelCredentials | None = None,
        channel: aio.Channel | None = None,
    ) -> None:
        if channel is not None and credentials is not None:
            raise ValueError("a channel has its own credentials; give one of the two")
        self._timeout_s = timeout_s(timeout)
        self._retry = retry
        self._owned: aio.Channel | None = None
        if channel is None:
            # grpc binds a channel to a loop here; without a running one it takes another.
            asyncio.get_running_loop()
            channel = self._owned = (
                aio.insecure_channel(target, CHANNEL_OPTIONS)
                if credentials is None
                else aio.secure_channel(target, credentials, CHANNEL_OPTIONS)
            )
        self._streams: WeakSet[Any] = WeakSet()
        self._pricing: Any = PricingServiceStub(channel)
        self._ledger: Any = LedgerServiceStub(channel)

    async def close(self) -> None:
        """Ends the connection and the calls that are under way. A given `channel` stays open."""
        if self._owned is None:
            return
        # grpc finds the calls that a task of its own works for; a stream has none between replies.
        for stream in list(self._streams):
            stream.cancel()
        await self._owned.close()

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
        rpc: Any,
        request: Message,
        result_from_pb: Callable[[Any], Result],
        options: CallOptions,
    ) -> Result:
        """Calls `rpc`, a method of a generated stub, until it answers or fails for good."""
        limit_s = self._timeout_s if options.timeout is None else timeout_s(options.timeout)
        left_s, begun_s = limit_s, time.monotonic()
        # Nearly every call is answered at once and needs no more of this.
        attempts = None
        while True:
            try:
                reply = await rpc(request, timeout=left_s, metadata=options.wire_metadata())
            except grpc.RpcError as failure:
                error = error_from_rpc(failure, idempotency_key(request))
                if attempts is None:
                    attempts = Attempts(self._retry, begun_s + limit_s, made=1)
                wait_s = attempts.wait_s(error, time.monotonic(), random.random())  # noqa: S311
                if wait_s is None:
                    raise error from failure
            else:
                return result_from_pb(reply)
            await asyncio.sleep(wait_s)
            left_s = attempts.start(time.monotonic())

    async def _pages(
        self,
        rpc: Any,
        request: Any,
        page_from_pb: Callable[[Any], AnyPage],
        options: CallOptions,
    ) -> AsyncIterator[AnyPage]:
        """The page that `request` asks for and those that follow, each by a call of its own."""
        while True:
            page = await self._call(rpc, request, page_from_pb, options)
            yield page
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    def _stream(self, rpc: Any, request: Message, options: CallOptions) -> Any:
        """Starts `rpc`, which answers by a stream. It ends in time only where a timeout is given.

        It is not sent again: who reads it has to know that something may have been missed.
        """
        limit_s = None if options.timeout is None else timeout_s(options.timeout)
        stream = rpc(request, timeout=limit_s, metadata=options.wire_metadata())
        self._streams.add(stream)
        return stream
