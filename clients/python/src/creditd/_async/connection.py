"""What AsyncClient has of its own: channels of grpc.aio, calls over them, their replacement.

`_sync/connection.py` has the same interface for threads. What uses it is generated from here.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

import grpc
from grpc import aio

from creditd import _fork
from creditd._channel import (
    Liveness,
    Security,
    channel_options,
    health_check_of,
    rpcs_of,
)
from creditd._log import logger

if TYPE_CHECKING:
    from collections.abc import Callable

    from google.protobuf.message import Message

sleep = asyncio.sleep


class Connection:
    """One channel, and whether anything comes over it.

    Attributes:
        rpcs: The methods of the API over the channel, by name.
        received_s: When something last came from the server, by time.monotonic().
        streams: What streams over the channel.
        liveness: When the connection counts as dead.
    """

    def __init__(
        self,
        channel: aio.Channel,
        liveness: Liveness,
        on_dead: Callable[[Connection], None] | None,
    ) -> None:
        self.rpcs = rpcs_of(channel)
        self.received_s = time.monotonic()
        self.streams: WeakSet[Any] = WeakSet()
        self.liveness = liveness
        self._channel = channel
        self._on_dead = on_dead
        self._health_check = health_check_of(channel)
        self._probing: asyncio.Task[None] | None = None
        self._replaced: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def replaced(self) -> bool:
        """Whether the client has another in its place: what waits over it is then sent again."""
        return self._replaced.done()

    async def call(self, method: str, request: Message, timeout_s: float, metadata: Any) -> Any:
        """The reply of one attempt; None where the connection was replaced meanwhile.

        Raises:
            grpc.RpcError: The call failed.
        """
        call = self.rpcs[method](request, timeout=timeout_s, metadata=metadata)
        if timeout_s < self.liveness.idle_s:
            reply = await call
        else:
            reply = await self._long_reply(call)
        if reply is not None:
            self.received_s = time.monotonic()
        return reply

    def probe(self) -> None:
        """Asks for the server's health; where no answer comes, the connection counts as dead."""
        if self._on_dead is not None and self._probing is None and not self.replaced:
            self._probing = asyncio.create_task(self._probe(self._on_dead))

    def probe_if_idle(self) -> None:
        """The same, only where nothing has come for too long."""
        if time.monotonic() - self.received_s >= self.liveness.idle_s:
            self.probe()

    def reconnect(self) -> None:
        """Has grpc connect now, where it is not connected."""
        self._channel.get_state(try_to_connect=True)

    def set_replaced(self) -> None:
        """Ends the waits of all calls over it."""
        self._replaced.set_result(None)

    async def close(self, grace_s: float | None = None) -> None:
        """Closes the channel: at once, or when calls that are under way have ended."""
        if self._probing is not None:
            self._probing.cancel()
            await asyncio.wait([self._probing])
        # grpc cancels the calls that a task of its own works for; a stream has none between
        # replies.
        for stream in list(self.streams):
            stream.cancel()
        await self._channel.close(grace_s)
        _fork.discard_asyncio(self)

    async def _long_reply(self, call: Any) -> Any:
        """The reply of a call that may take so long that the connection is probed meanwhile."""

        async def reply() -> Any:
            return await call

        # A task of its own: grpc raises CancelledError where the call was cancelled, and here that
        # must mean nothing but that the caller was.
        waiting = asyncio.ensure_future(reply())
        try:
            while not waiting.done() and not self.replaced:
                await asyncio.wait(
                    [waiting, self._replaced],
                    timeout=self.liveness.idle_s,
                    return_when=asyncio.FIRST_COMPLETED,
                )
                self.probe_if_idle()
        finally:
            if not waiting.done():
                waiting.cancel()
        return waiting.result() if waiting.done() else None

    async def _probe(self, on_dead: Callable[[Connection], None]) -> None:
        sent_s = time.monotonic()
        try:
            await self._health_check(
                b"", timeout=self.liveness.probe_timeout_s, wait_for_ready=True
            )
        except grpc.RpcError as failure:
            # grpc raises the call itself, which has these.
            call: Any = failure
            late = call.code() is grpc.StatusCode.DEADLINE_EXCEEDED
            if late and not call.initial_metadata() and self.received_s < sent_s:
                on_dead(self)
                return
        except Exception:  # noqa: BLE001 - an interceptor's error says nothing about the server
            return
        finally:
            self._probing = None
        self.received_s = time.monotonic()


class Connections:
    """The one connection that a client uses at a time, made when it is first needed.

    A channel that the caller gave is used as it is: it is neither replaced nor closed.
    """

    def __init__(
        self,
        owner: object,
        target: str,
        security: Security,
        channel: aio.Channel | None,
        liveness: Liveness,
    ) -> None:
        del owner  # grpc.aio closes a channel that nothing refers to by itself
        self.closed = False
        self._target = target
        self._security = security
        self._given = channel
        self._liveness = liveness
        self._loop: asyncio.AbstractEventLoop | None = None
        self._current: Connection | None = None
        self._closing: set[asyncio.Task[None]] = set()
        if channel is None:
            _fork.check_child()
            self._bind()

    def get(self) -> Connection:
        """The connection to use now.

        Raises:
            ValueError: The client was closed.
        """
        if asyncio.get_running_loop() is not self._loop:
            self._bind()
        connection = self._current
        return self._connect() if connection is None else connection

    async def close(self) -> None:
        """Closes the connection, and makes no other. A given channel stays as it is."""
        if self._given is not None:
            return
        self.closed = True
        connection, self._current = self._current, None
        if connection is not None:
            await connection.close()
        if self._closing:
            for task in self._closing:
                task.cancel()
            await asyncio.wait(self._closing)

    def _bind(self) -> None:
        """Notes the event loop; grpc binds a channel to the one in which it is made."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError as error:
            raise RuntimeError(
                f"an AsyncClient is made inside of the event loop that uses it: {error}"
            ) from None
        if self._loop is None:
            self._loop = loop
        elif self._loop is not loop:
            raise RuntimeError(
                "this AsyncClient belongs to another event loop; make one inside of each loop"
            )

    def _connect(self) -> Connection:
        if self.closed:
            raise ValueError("this AsyncClient is closed; make another one")
        if self._given is not None:
            self._current = Connection(self._given, self._liveness, on_dead=None)
        else:
            channel = _new_channel(self._target, self._security)
            self._current = Connection(channel, self._liveness, on_dead=self._replace)
            _fork.register_asyncio(self._current)
        return self._current

    def _replace(self, dead: Connection) -> None:
        if self.closed or self._current is not dead:
            return
        # Connected at once, since the next call may have little time.
        self._connect().reconnect()
        dead.set_replaced()
        logger.warning(
            "nothing comes over the connection to %s any more; another takes its place",
            self._target,
        )
        # Calls with more time than that were ended by `set_replaced`.
        closing = asyncio.create_task(dead.close(self._liveness.idle_s))
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)


def _new_channel(target: str, security: Security) -> aio.Channel:
    options = channel_options(target, security)
    if security.credentials is None:
        return aio.insecure_channel(target, options)
    return aio.secure_channel(target, security.credentials, options)
