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

# So long a fork waits for the connections to be closed. They mostly are within milliseconds.
_CLOSE_S_MAX = 5.0
# And so long for the last thread to leave grpc. Channels of others keep theirs inside of it.
_LEAVE_S_MAX = 0.5
_LOOK_S = 0.001


class Forkable(Protocol):
    """A client's connections."""

    def cut(self) -> None:
        """Closes the connection; the next call makes another. Called with `making` held."""

    def forget(self) -> None:
        """Lets go of what the parent had, without touching it. Called in the child."""


class _State:
    def __init__(self) -> None:
        # Held while a connection is made or replaced, and around a fork. The garbage collector may
        # close a client inside of it.
        self.making = threading.RLock()
        self.clients: WeakSet[Any] = WeakSet()
        self.anchor: grpc.Channel | None = None
        self.asyncio_open: WeakSet[Any] = WeakSet()
        self.asyncio_lost = False


_state = _State()


def making() -> AbstractContextManager[bool]:
    """The lock without which no connection is made. In a child it is another than in the parent."""
    return _state.making


def register(client: Forkable) -> None:
    """From now on `client` is told of forks."""
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


def _anchor() -> None:
    # grpc shuts itself down when the last channel is gone, by a thread of its own, and a fork
    # meanwhile can crash the process. This channel never connects, and never goes.
    with _state.making:
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
    _state.making.acquire()
    closing = [threading.Thread(target=client.cut, daemon=True) for client in _clients()]
    for thread in closing:
        thread.start()
    end_s = time.monotonic() + _CLOSE_S_MAX
    for thread in closing:
        thread.join(max(end_s - time.monotonic(), 0))
    # A call that was cancelled has been told so a little before its thread has left grpc.
    end_s = min(end_s, time.monotonic() + _LEAVE_S_MAX)
    while closing and _is_grpc_busy():
        if time.monotonic() >= end_s:
            logger.warning("grpc is in use by others while the process forks; the child may hang")
            return
        time.sleep(_LOOK_S)


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
    _state.making.release()


def _after_in_child() -> None:
    _state.making = threading.RLock()
    for client in _clients():
        client.forget()
    _state.asyncio_lost = _state.asyncio_lost or bool(_state.asyncio_open)
