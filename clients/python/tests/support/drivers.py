"""One way to call both clients, so that each test is written once."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Protocol

from creditd import AsyncClient, Client

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self


class Driver(Protocol):
    """A client behind functions that block."""

    def call(self, method: str, *args: Any, **kwargs: Any) -> Any: ...

    def iterate(self, method: str, *args: Any, **kwargs: Any) -> Iterating: ...

    def idle(self, seconds: float) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...


class Iterating(Protocol):
    """The iterator that a method returns, behind functions that block."""

    def __iter__(self) -> Self: ...

    def __next__(self) -> Any: ...

    def close(self) -> None: ...


class SyncDriver:
    """Drives a Client."""

    def __init__(self, target: str, **options: Any) -> None:
        self._client = Client(target, **options)

    def call(self, method: str, *args: Any, **kwargs: Any) -> Any:
        return getattr(self._client, method)(*args, **kwargs)

    def iterate(self, method: str, *args: Any, **kwargs: Any) -> Iterating:
        iterator: Iterating = getattr(self._client, method)(*args, **kwargs)
        return iterator

    def idle(self, seconds: float) -> None:
        time.sleep(seconds)

    def __enter__(self) -> Self:
        self._client.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._client.__exit__(kind, error, traceback)


class AsyncDriver:
    """Drives an AsyncClient in an event loop of its own."""

    def __init__(self, target: str, **options: Any) -> None:
        self._loop = asyncio.new_event_loop()

        async def make() -> AsyncClient:
            return AsyncClient(target, **options)

        try:
            self._client = self._loop.run_until_complete(make())
        except BaseException:
            self._loop.close()
            raise

    def call(self, method: str, *args: Any, **kwargs: Any) -> Any:
        return self._loop.run_until_complete(getattr(self._client, method)(*args, **kwargs))

    def iterate(self, method: str, *args: Any, **kwargs: Any) -> Iterating:
        async def start() -> Any:
            return getattr(self._client, method)(*args, **kwargs)

        return _AsyncIterating(self._loop, self._loop.run_until_complete(start()))

    def idle(self, seconds: float) -> None:
        self._loop.run_until_complete(asyncio.sleep(seconds))

    def __enter__(self) -> Self:
        self._loop.run_until_complete(self._client.__aenter__())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._loop.run_until_complete(self._client.__aexit__(kind, error, traceback))
        self._loop.close()


class _AsyncIterating:
    """An asynchronous iterator, in the event loop of its driver."""

    def __init__(self, loop: asyncio.AbstractEventLoop, iterator: Any) -> None:
        self._loop = loop
        self._iterator = iterator

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        try:
            return self._loop.run_until_complete(self._step())
        except StopAsyncIteration:
            raise StopIteration from None

    def close(self) -> None:
        self._loop.run_until_complete(self._iterator.close())

    async def _step(self) -> Any:
        return await anext(self._iterator)


DRIVERS: dict[str, type[SyncDriver | AsyncDriver]] = {
    "Client": SyncDriver,
    "AsyncClient": AsyncDriver,
}
