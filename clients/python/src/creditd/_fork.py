"""What has to happen around a fork of the process, so that the child can use grpc.

grpc can be forked only while no thread is inside of it, and every call and stream that waits is
such a thread. So the connections of all Clients are closed before a fork; what was under way over
them goes on over new ones afterwards, in the parent. The child has none of them, and makes its own.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, Protocol
from weakref import WeakSet

import grpc

from creditd._log import logger

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from types import FrameType

# How long a fork waits for the connections to be closed, which mostly takes milliseconds.
_CLOSE_S_MAX = 5.0
# How long it waits for the last thread to leave grpc, which threads of other channels never do.
_LEAVE_S_MAX = 0.5
_POLL_S = 0.001


class Forkable(Protocol):
    """A client's connections."""

    def close_before_fork(self) -> None:
        """Closes the connection; the next call makes another. Called with `connecting` held."""

    def forget_in_child(self) -> None:
        """Drops the parent's connection without touching it. Called in the child."""


class _State:
    def __init__(self) -> None:
        # Held while a connection is made or replaced, and around a fork. The garbage collector may
        # close a client inside of it.
        self.connecting = threading.RLock()
        self.clients: WeakSet[Any] = WeakSet()
        self.anchor: grpc.Channel | None = None
        self.asyncio_open: WeakSet[Any] = WeakSet()
        self.asyncio_lost = False


_state = _State()


def connecting() -> AbstractContextManager[bool]:
    """The lock without which no connection is made. In a child it is another than in the parent."""
    return _state.connecting


def register(client: Forkable) -> None:
    """From now on the connections of `client` are closed before a fork."""
    _anchor()
    _state.clients.add(client)


def check_child() -> None:
    """Refuses what would hang, or end the parent: its event loop reads what grpc writes here.

    Raises:
        RuntimeError: In a child of a process that had a connection of an event loop at the fork.
    """
    if _state.asyncio_lost:
        raise RuntimeError(
            "this process was forked while an AsyncClient was open, and grpc cannot work "
            "in it; close the AsyncClient before the fork, or start the process by "
            'multiprocessing.get_context("spawn")'
        )


def register_asyncio(connection: object) -> None:
    """Notes a connection of an event loop; it counts until it is dropped or discarded."""
    _anchor()
    _state.asyncio_open.add(connection)


def discard_asyncio(connection: object) -> None:
    """The connection was closed."""
    _state.asyncio_open.discard(connection)


def is_grpc_prepared() -> bool:
    """Whether grpc does something at a fork too, since the environment says so."""
    wanted = os.environ.get("GRPC_ENABLE_FORK_SUPPORT", "")
    return wanted.lower() in {"1", "true", "yes"}


def _anchor() -> None:
    # grpc shuts itself down when the last channel is gone, by a thread of its own, and a fork
    # meanwhile can crash the process. This channel never connects, and never goes.
    with _state.connecting:
        if _state.anchor is not None:
            return
        _state.anchor = grpc.insecure_channel("127.0.0.1:1")
        # Now that grpc has registered what it does itself at a fork: of what is to run before one,
        # the last that was registered is the first. grpc stops its threads, and a close would wait
        # for them.
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(
                before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_child
            )


def _clients() -> Iterator[Forkable]:
    yield from list(_state.clients)


def _before() -> None:
    _state.connecting.acquire()
    closing = [
        threading.Thread(target=client.close_before_fork, daemon=True) for client in _clients()
    ]
    for thread in closing:
        thread.start()
    end_s = time.monotonic() + _CLOSE_S_MAX
    for thread in closing:
        thread.join(max(end_s - time.monotonic(), 0))
    # The thread of a call that was cancelled leaves grpc a little later.
    end_s = min(end_s, time.monotonic() + _LEAVE_S_MAX)
    while closing and _is_grpc_busy():
        if time.monotonic() >= end_s:
            logger.warning("grpc is in use by others while the process forks; the child may hang")
            return
        time.sleep(_POLL_S)


def _is_grpc_busy() -> bool:
    """Whether another thread is inside of grpc."""
    own = threading.get_ident()
    for thread, innermost in sys._current_frames().items():  # noqa: SLF001 - a documented function
        frame: FrameType | None = None if thread == own else innermost
        while frame is not None:
            if frame.f_globals.get("__name__", "").startswith("grpc."):
                return True
            frame = frame.f_back
    return False


def _after_in_parent() -> None:
    _state.connecting.release()


def _after_in_child() -> None:
    _state.connecting = threading.RLock()
    for client in _clients():
        client.forget_in_child()
    _state.asyncio_lost = _state.asyncio_lost or bool(_state.asyncio_open)
