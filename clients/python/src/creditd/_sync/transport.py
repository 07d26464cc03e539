"""One synchronous call: sent, sent again where that helps, and its failure as an exception."""

from __future__ import annotations

import random
import time
import weakref
from typing import TYPE_CHECKING, Any, TypeVar

import grpc

from creditd._attempts import DEFAULT_RETRY, Attempts, RetryPolicy, Timeout, timeout_s
from creditd._channel import CHANNEL_OPTIONS, DEFAULT_TARGET, DEFAULT_TIMEOUT_S, CallOptions
from creditd._idempotency import idempotency_key
from creditd._status import error_from_rpc
from creditd.v1.ledger_pb2_grpc import LedgerServiceStub
from creditd.v1.pricing_pb2_grpc import PricingServiceStub

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType

    from google.protobuf.message import Message
    from typing_extensions import Self

    from creditd.model import EntryPage, HoldPage

Result = TypeVar("Result")
AnyPage = TypeVar("AnyPage", bound="EntryPage | HoldPage")

# grpc's thread that watches a channel looks up every 0.2 s whether it is still wanted. Closing the
# channel under it would make it print a stray traceback.
_WATCHER_ENDS_S = 0.5


class _Watch:
    """Until when the channel's state was watched."""

    def __init__(self) -> None:
        self.until_s = time.monotonic() - _WATCHER_ENDS_S


def _close(channel: grpc.Channel, watch: _Watch) -> None:
    time.sleep(max(0.0, watch.until_s + _WATCHER_ENDS_S - time.monotonic()))
    channel.close()


class Transport:
    """The connection, timeout and retries of a Client."""

    def __init__(
        self,
        target: str = DEFAULT_TARGET,
        *,
        timeout: Timeout = DEFAULT_TIMEOUT_S,
        retry: RetryPolicy = DEFAULT_RETRY,
        credentials: grpc.ChannelCredentials | None = None,
        channel: grpc.Channel | None = None,
    ) -> None:
        if channel is not None and credentials is not None:
            raise ValueError("a channel has its own credentials; give one of the two")
        self._timeout_s = timeout_s(timeout)
        self._retry = retry
        self._owned: grpc.Channel | None = None
        if channel is None:
            channel = self._owned = (
                grpc.insecure_channel(target, CHANNEL_OPTIONS)
                if credentials is None
                else grpc.secure_channel(target, credentials, CHANNEL_OPTIONS)
            )
        self._channel = channel
        self._pricing: Any = PricingServiceStub(channel)
        self._ledger: Any = LedgerServiceStub(channel)
        self._watch = _Watch()
        # Also where nobody closes the client: grpc's threads would keep a process from ending.
        self._close = (
            None
            if self._owned is None
            else weakref.finalize(self, _close, self._owned, self._watch)
        )

    def close(self) -> None:
        """Ends the connection and the calls that are under way. A given `channel` stays open."""
        if self._close is not None:
            self._close()

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
                reply = rpc(request, timeout=left_s, metadata=options.wire_metadata())
            except grpc.RpcError as failure:
                error = error_from_rpc(failure, idempotency_key(request))
                if attempts is None:
                    attempts = Attempts(self._retry, begun_s + limit_s, made=1)
                wait_s = attempts.wait_s(error, time.monotonic(), random.random())  # noqa: S311
                if wait_s is None:
                    raise error from failure
            else:
                return result_from_pb(reply)
            self._wait(wait_s)
            left_s = attempts.start(time.monotonic())

    def _pages(
        self,
        rpc: Any,
        request: Any,
        page_from_pb: Callable[[Any], AnyPage],
        options: CallOptions,
    ) -> Iterator[AnyPage]:
        """The page that `request` asks for and those that follow, each by a call of its own."""
        while True:
            page = self._call(rpc, request, page_from_pb, options)
            yield page
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    def _stream(self, rpc: Any, request: Message, options: CallOptions) -> Any:
        """Starts `rpc`, which answers by a stream. It ends in time only where a timeout is given.

        It is not sent again: who reads it has to know that something may have been missed.
        """
        limit_s = None if options.timeout is None else timeout_s(options.timeout)
        return rpc(request, timeout=limit_s, metadata=options.wire_metadata())

    def _wait(self, wait_s: float) -> None:
        """Sleeps, and lets grpc see meanwhile whether a connection came about.

        Without a call under way nobody looks but every 5 s, so that a server that is back would
        not be found in the time that retries take.
        """
        self._channel.subscribe(_ignore_state, try_to_connect=True)
        try:
            time.sleep(wait_s)
        finally:
            self._channel.unsubscribe(_ignore_state)
            self._watch.until_s = time.monotonic()


def _ignore_state(_: grpc.ChannelConnectivity) -> None:
    pass
