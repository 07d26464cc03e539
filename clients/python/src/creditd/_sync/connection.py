"""What Client has of its own: channels of grpc, calls over them, their replacement, and forks.

`_async/connection.py` has the same interface for an event loop. What uses it is generated from
there.
"""

from __future__ import annotations

import contextlib
import threading
import time
import weakref
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

import grpc

from creditd import _fork
from creditd._channel import (
    Liveness,
    Security,
    channel_options,
    health_check_of,
    rpcs_of,
)
from creditd._log import logger
from creditd._status import error_from_rpc

if TYPE_CHECKING:
    from collections.abc import Callable

    from google.protobuf.message import Message

sleep = time.sleep

# How long a fork waits for a connection that is being made.
_CONNECT_S_MAX = 1.0

# What a child has of its parent's connections: never used, and never let go, since either would
# wait for threads that the child does not have.
_inherited: list[Any] = []


class Connection:
    """One channel, and whether anything comes over it.

    Attributes:
        rpcs: The methods of the API over the channel, by name.
        received_s: When something last came from the server, by time.monotonic().
        replaced: This client closes it for another to take its place: what was under way over it
            is sent again.
        streams_wrapped: Interceptors make something else than a call of a stream; see Stream.
        liveness: When the connection counts as dead.
    """

    def __init__(
        self,
        channel: grpc.Channel,
        liveness: Liveness,
        on_dead: Callable[[Connection], None] | None,
    ) -> None:
        self.rpcs = rpcs_of(channel)
        self.received_s = time.monotonic()
        self.replaced = False
        self.streams_wrapped = False
        self.liveness = liveness
        self._channel = channel
        self._on_dead = on_dead
        self._health_check = health_check_of(channel)
        self._lock = threading.Lock()
        self._probe_sent_s: float | None = None
        self._dead_unless_answered = False
        self._waiters: WeakSet[Any] = WeakSet()
        self._watchdog: threading.Thread | None = None
        self._closed = threading.Event()

    def call(self, method: str, request: Message, timeout_s: float, metadata: Any) -> Any:
        """The reply of one attempt; None where the connection was replaced meanwhile.

        Raises:
            grpc.RpcError: The call failed.
        """
        rpc = self.rpcs[method]
        try:
            if timeout_s < self.liveness.idle_s:
                reply = rpc(request, timeout=timeout_s, metadata=metadata)
            else:
                reply = self._long_reply(rpc, request, timeout_s, metadata)
        except grpc.RpcError as failure:
            if self.replaced and not error_from_rpc(failure, "").reason:
                return None
            raise
        except ValueError:
            # grpc says so of a channel that was closed before the call began.
            if self.replaced:
                return None
            raise
        self.received_s = time.monotonic()
        return reply

    def probe(self) -> None:
        """Asks for the server's health; where no answer comes, the connection counts as dead."""
        if self._on_dead is not None:
            self._probe(dead_unless_answered=True)

    def probe_if_idle(self) -> None:
        """The same, only where nothing has come for too long."""
        if time.monotonic() - self.received_s >= self.liveness.idle_s:
            self.probe()

    def reconnect(self) -> None:
        """Has grpc connect now, where it is not connected, by a call that waits for it.

        grpc's threads connect while a call is under way, and otherwise every 5 s: too seldom for a
        server that is back to be found in the time of a few retries.
        """
        self._probe(dead_unless_answered=False)

    def start_waiting(self, waiter: object) -> None:
        """Has the connection probed, where it is idle, for as long as `waiter` waits."""
        if self._on_dead is None:
            return
        with self._lock:
            self._waiters.add(waiter)
            if self._watchdog is None and not self._closed.is_set():
                # It ends by itself when nothing waits, or nothing refers to the connection.
                self._watchdog = threading.Thread(
                    target=_watch_over,
                    args=(weakref.ref(self), self._closed, self.liveness.idle_s),
                    daemon=True,
                    name="creditd-liveness",
                )
                self._watchdog.start()

    def stop_waiting(self, waiter: object) -> None:
        """The counterpart of `start_waiting`; a waiter that is dropped does not wait either."""
        with self._lock:
            self._waiters.discard(waiter)

    def watch_over(self) -> bool:
        """Probes it where it is idle; False, and the watchdog ends, where nothing waits."""
        with self._lock:
            if not self._waiters:
                self._watchdog = None
                return False
        self.probe_if_idle()
        return True

    def finish_connecting(self) -> None:
        """Waits, for a limited time, until grpc has connected or has failed to.

        Before grpcio 1.80, a channel that is closed while it connects is never freed
        by grpc, and grpc's own fork support ends a child in which a channel is left.
        """
        with contextlib.suppress(grpc.RpcError, ValueError):
            self._health_check(b"", timeout=_CONNECT_S_MAX)

    def close(self) -> None:
        """Closes the channel; calls that are under way fail as cancelled."""
        self._closed.set()
        self._channel.close()

    def _long_reply(self, rpc: Any, request: Message, timeout_s: float, metadata: Any) -> Any:
        """The reply of a call that may take so long that the connection is probed meanwhile."""
        waiter = _Waiter()
        self.start_waiting(waiter)
        try:
            return rpc(request, timeout=timeout_s, metadata=metadata)
        finally:
            self.stop_waiting(waiter)

    def _probe(self, *, dead_unless_answered: bool) -> None:
        with self._lock:
            self._dead_unless_answered |= dead_unless_answered
            if self._probe_sent_s is not None or self.replaced:
                return
            self._probe_sent_s = time.monotonic()
        try:
            answer = self._health_check.future(
                b"", timeout=self.liveness.probe_timeout_s, wait_for_ready=True
            )
        except Exception:  # noqa: BLE001 - an interceptor's error says nothing about the server
            # Most often the channel was closed meanwhile.
            self._probe_sent_s = None
            return
        answer.add_done_callback(self._probe_done)

    def _probe_done(self, answer: Any) -> None:
        """Runs in a thread of grpc, for which a close of the channel would wait: it must not."""
        with self._lock:
            sent_s, self._probe_sent_s = self._probe_sent_s, None
            dead_unless_answered, self._dead_unless_answered = self._dead_unless_answered, False
        late = answer.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        if not late or answer.initial_metadata():
            self.received_s = time.monotonic()
            return
        alive = sent_s is None or self.received_s >= sent_s
        if dead_unless_answered and not alive and not self.replaced and self._on_dead is not None:
            threading.Thread(target=self._on_dead, args=(self,), daemon=True).start()


class _Waiter:
    """Stands for a call that waits."""


def _watch_over(weak: weakref.ref[Connection], closed: threading.Event, interval_s: float) -> None:
    """Watches over a connection without keeping it alive."""
    while not closed.wait(interval_s):
        connection = weak()
        if connection is None or not connection.watch_over():
            return
        del connection


class Connections:
    """The one connection that a client uses at a time, made when it is first needed.

    A channel that the caller gave is used as it is: it is neither replaced nor closed.
    """

    def __init__(
        self,
        owner: object,
        target: str,
        security: Security,
        channel: grpc.Channel | None,
        liveness: Liveness,
    ) -> None:
        self.closed = False
        self._target = target
        self._security = security
        self._given = channel
        self._liveness = liveness
        self._current: Connection | None = None
        if channel is None:
            _fork.register(self)
        # For a client that is dropped without a close: grpc's threads would keep a process from
        # ending.
        weakref.finalize(owner, _close_dropped, self)

    def get(self) -> Connection:
        """The connection to use now.

        Raises:
            ValueError: The client was closed.
        """
        connection = self._current
        return self._connect() if connection is None else connection

    def close(self) -> None:
        """Closes the connection, and makes no other. A given channel stays as it is."""
        if self._given is not None:
            return
        with _fork.connecting():
            self.closed = True
            connection, self._current = self._current, None
        if connection is not None:
            connection.close()

    def close_before_fork(self) -> None:
        """See `_fork.Forkable`."""
        connection, self._current = self._current, None
        if connection is not None:
            connection.replaced = True
            if _fork.is_grpc_prepared():
                connection.finish_connecting()
            connection.close()

    def forget_in_child(self) -> None:
        """See `_fork.Forkable`."""
        connection, self._current = self._current, None
        if connection is not None:
            _inherited.append(connection)

    def _connect(self) -> Connection:
        with _fork.connecting():
            if self.closed:
                raise ValueError("this Client is closed; make another one")
            if self._current is None:
                _fork.check_child()
                if self._given is not None:
                    self._current = Connection(self._given, self._liveness, on_dead=None)
                else:
                    channel = _new_channel(self._target, self._security)
                    self._current = Connection(channel, self._liveness, on_dead=self._replace)
            return self._current

    def _replace(self, dead: Connection) -> None:
        with _fork.connecting():
            if self.closed or self._current is not dead:
                return
            dead.replaced = True
            self._current = None
            fresh = self._connect()
        logger.warning(
            "nothing comes over the connection to %s any more; another takes its place",
            self._target,
        )
        # Connected at once, since the next call may have little time.
        fresh.reconnect()
        dead.close()


def _new_channel(target: str, security: Security) -> grpc.Channel:
    options = channel_options(target, security)
    if security.credentials is None:
        return grpc.insecure_channel(target, options)
    return grpc.secure_channel(target, security.credentials, options)


def _close_dropped(connections: Connections) -> None:
    """Closes the connections of a client that nothing refers to any more.

    The garbage collector may have found that in a thread of grpc, for which a close would wait.
    """
    if threading.current_thread() is threading.main_thread():
        connections.close()
    else:
        threading.Thread(target=connections.close, daemon=True).start()
