"""The connection of an asynchronous client: asked where it is silent, replaced where it is dead."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

import grpc
from grpc import aio

from creditd import _fork
from creditd._channel import Silence, health_check_of, rpcs_of
from creditd._log import logger

if TYPE_CHECKING:
    from collections.abc import Callable


class Connection:
    """One channel, and whether anything comes over it.

    Attributes:
        channel: The channel of grpc.
        rpcs: The methods of the API over it, by name.
        heard_s: When something last came from the server, by time.monotonic().
        cut: Done as soon as another takes its place: what waits over it is then sent again.
        streams: What is streaming over it.
    """

    def __init__(
        self, channel: aio.Channel, silence: Silence, on_dead: Callable[[Connection], None] | None
    ) -> None:
        self.channel = channel
        self.rpcs = rpcs_of(channel)
        self.heard_s = time.monotonic()
        self.cut: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.streams: WeakSet[Any] = WeakSet()
        self.quiet_s = silence.quiet_s
        self._answer_s = silence.answer_s
        self._on_dead = on_dead
        self._health_check = health_check_of(channel)
        self._asking: asyncio.Task[None] | None = None

    def suspect(self) -> None:
        """Asks the server, since something waited in vain; without an answer it counts as dead."""
        if self._on_dead is not None and self._asking is None and not self.cut.done():
            self._asking = asyncio.create_task(self._ask(self._on_dead))

    def look(self) -> None:
        """The same, where nothing has come for so long that it has to be asked."""
        if time.monotonic() - self.heard_s >= self.quiet_s:
            self.suspect()

    async def close(self, grace_s: float | None = None) -> None:
        """Closes the channel: at once, or when calls that are under way have ended."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.wait([self._asking])
        # grpc finds the calls that a task of its own works for; a stream has none between replies.
        for stream in list(self.streams):
            stream.cancel()
        await self.channel.close(grace_s)
        _fork.discard_asyncio(self)

    async def _ask(self, on_dead: Callable[[Connection], None]) -> None:
        asked_s = time.monotonic()
        try:
            await self._health_check(b"", timeout=self._answer_s, wait_for_ready=True)
        except grpc.RpcError as failure:
            # grpc raises the call itself, which has these.
            call: Any = failure
            silent = call.code() is grpc.StatusCode.DEADLINE_EXCEEDED
            if silent and not call.initial_metadata() and self.heard_s < asked_s:
                on_dead(self)
                return
        except Exception:  # noqa: BLE001 - whatever an interceptor raises says nothing of the server
            return
        finally:
            self._asking = None
        self.heard_s = time.monotonic()


class Connections:
    """The connection that a client has now. It is made when it is first needed.

    One that was `given` by the caller is used as it is, and left alone.
    """

    def __init__(
        self,
        make: Callable[[], aio.Channel],
        target: str,
        silence: Silence,
        *,
        given: bool,
    ) -> None:
        self.closed = False
        self._make = make
        self._target = target
        self._silence = silence
        self._given = given
        self._loop: asyncio.AbstractEventLoop | None = None
        self._now: Connection | None = None
        self._closing: set[asyncio.Task[None]] = set()
        if not given:
            _fork.check_child()
            self._bind()

    def get(self) -> Connection:
        """The connection to use now."""
        if asyncio.get_running_loop() is not self._loop:
            self._bind()
        connection = self._now
        return self._connect() if connection is None else connection

    async def close(self) -> None:
        """Closes it, unless it was given. No other is made."""
        if self._given:
            return
        self.closed = True
        connection, self._now = self._now, None
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
        on_dead = None if self._given else self._replace
        self._now = Connection(self._make(), self._silence, on_dead)
        if not self._given:
            _fork.register_asyncio(self._now)
        return self._now

    def _replace(self, dead: Connection) -> None:
        if self.closed or self._now is not dead:
            return
        # The next call may have little time.
        self._connect().channel.get_state(try_to_connect=True)
        dead.cut.set_result(None)
        logger.warning(
            "nothing comes over the connection to %s any more; another takes its place",
            self._target,
        )
        # Whoever waits for longer than that has been told by `cut`.
        closing = asyncio.create_task(dead.close(self._silence.quiet_s))
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)
