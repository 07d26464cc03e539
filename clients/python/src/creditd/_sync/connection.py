"""The connection of a synchronous client: asked where it is silent, replaced where it is dead."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any
from weakref import WeakSet, ref

import grpc

from creditd import _fork
from creditd._channel import Silence, health_check_of, rpcs_of
from creditd._log import logger

if TYPE_CHECKING:
    from collections.abc import Callable

# What a child has of its parent's connections: never used, and never let go, since either would
# wait for threads that the child does not have.
_inherited: list[Any] = []


class Connection:
    """One channel, and whether anything comes over it.

    Attributes:
        channel: The channel of grpc.
        rpcs: The methods of the API over it, by name.
        heard_s: When something last came from the server, by time.monotonic().
        cut: It is closed by this client, for another to take its place: what was under way over
            it is sent again.
    """

    def __init__(
        self, channel: grpc.Channel, silence: Silence, on_dead: Callable[[Connection], None] | None
    ) -> None:
        self.channel = channel
        self.rpcs = rpcs_of(channel)
        self.heard_s = time.monotonic()
        self.cut = False
        self._silence = silence
        self._on_dead = on_dead
        self._health_check = health_check_of(channel)
        self._lock = threading.Lock()
        self._asked_s: float | None = None
        self._suspected = False
        self._waiting: WeakSet[Any] = WeakSet()
        self._watcher: threading.Thread | None = None
        self._over = threading.Event()

    def close(self) -> None:
        """Closes the channel; calls that are under way fail as cancelled."""
        self._over.set()
        self.channel.close()

    def seek(self) -> None:
        """Lets grpc look whether a connection comes about, by a call that waits for it.

        grpc's threads look while a call is under way, and otherwise every 5 s: too seldom for a
        server that is back to be found in the time of a few retries.
        """
        self._ask(suspected=False)

    def suspect(self) -> None:
        """Asks the server, since something waited in vain; without an answer it counts as dead."""
        if self._on_dead is not None:
            self._ask(suspected=True)

    def wait_begins(self, waiting: object) -> None:
        """Has the connection asked from time to time for as long as `waiting` is waited for."""
        if self._on_dead is None:
            return
        with self._lock:
            self._waiting.add(waiting)
            if self._watcher is None and not self._over.is_set():
                # It ends by itself where nothing is waited for, or nobody holds the connection.
                self._watcher = threading.Thread(
                    target=_watch, args=(ref(self), self._over, self._silence.quiet_s), daemon=True
                )
                self._watcher.name = "creditd-silence"
                self._watcher.start()

    def wait_ends(self, waiting: object) -> None:
        """The counterpart of `wait_begins`. What is dropped without it is not waited for either."""
        with self._lock:
            self._waiting.discard(waiting)

    def look(self) -> bool:
        """One look of the watcher; False where it has nothing to do any more."""
        with self._lock:
            if not self._waiting:
                self._watcher = None
                return False
        if time.monotonic() - self.heard_s >= self._silence.quiet_s:
            self.suspect()
        return True

    def _ask(self, *, suspected: bool) -> None:
        with self._lock:
            self._suspected |= suspected
            if self._asked_s is not None or self.cut:
                return
            self._asked_s = time.monotonic()
        try:
            answer = self._health_check.future(
                b"", timeout=self._silence.answer_s, wait_for_ready=True
            )
        except Exception:  # noqa: BLE001 - whatever an interceptor raises, the caller's call has its own
            # Most often it was closed meanwhile.
            self._asked_s = None
            return
        answer.add_done_callback(self._answered)

    def _answered(self, answer: Any) -> None:
        """Runs in a thread of grpc, for which a close of the channel would wait: it must not."""
        with self._lock:
            asked_s, self._asked_s = self._asked_s, None
            suspected, self._suspected = self._suspected, False
        silent = (
            answer.code() is grpc.StatusCode.DEADLINE_EXCEEDED and not answer.initial_metadata()
        )
        if not silent:
            self.heard_s = time.monotonic()
            return
        heard = asked_s is None or self.heard_s >= asked_s
        if suspected and not heard and not self.cut and self._on_dead is not None:
            threading.Thread(target=self._on_dead, args=(self,), daemon=True).start()


def _watch(found: ref[Connection], over: threading.Event, quiet_s: float) -> None:
    """Looks after a connection without keeping it."""
    while not over.wait(quiet_s):
        connection = found()
        if connection is None or not connection.look():
            return
        del connection


class Connections:
    """The connection that a client has now. It is made when it is first needed.

    One that was `given` by the caller is used as it is, and left alone.
    """

    def __init__(
        self,
        make: Callable[[], grpc.Channel],
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
        self._now: Connection | None = None
        if not given:
            _fork.register(self)

    def get(self) -> Connection:
        """The connection to use now."""
        connection = self._now
        return self._connect() if connection is None else connection

    def close(self) -> None:
        """Closes it, unless it was given. No other is made."""
        if self._given:
            return
        with _fork.making():
            self.closed = True
            connection, self._now = self._now, None
        if connection is not None:
            connection.close()

    def cut(self) -> None:
        """See `_fork.Forkable`."""
        connection, self._now = self._now, None
        if connection is not None:
            connection.cut = True
            connection.close()

    def forget(self) -> None:
        """See `_fork.Forkable`."""
        connection, self._now = self._now, None
        if connection is not None:
            _inherited.append(connection)

    def _connect(self) -> Connection:
        with _fork.making():
            if self.closed:
                raise ValueError("this Client is closed; make another one")
            if self._now is None:
                _fork.check_child()
                on_dead = None if self._given else self._replace
                self._now = Connection(self._make(), self._silence, on_dead)
            return self._now

    def _replace(self, dead: Connection) -> None:
        with _fork.making():
            if self.closed or self._now is not dead:
                return
            dead.cut = True
            self._now = None
            fresh = self._connect()
        logger.warning(
            "nothing comes over the connection to %s any more; another takes its place",
            self._target,
        )
        # The next call may have little time.
        fresh.seek()
        dead.close()
