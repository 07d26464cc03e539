"""One way to call both clients, so that each test is written once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Protocol

from creditd import AsyncClient, Client

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self


class Driver(Protocol):
    """A client behind plain calls."""

    def call(self, method: str, *args: Any, **kwargs: Any) -> Any: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...


class SyncDriver:
    """Client."""

    def __init__(self, target: str, **options: Any) -> None:
        self._client = Client(target, **options)

    def call(self, method: str, *args: Any, **kwargs: Any) -> Any:
        return getattr(self._client, method)(*args, **kwargs)

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
    """AsyncClient, in an event loop of its own."""

    def __init__(self, target: str, **options: Any) -> None:
        self._loop = asyncio.new_event_loop()

        async def make() -> AsyncClient:
            return AsyncClient(target, **options)

        self._client = self._loop.run_until_complete(make())

    def call(self, method: str, *args: Any, **kwargs: Any) -> Any:
        return self._loop.run_until_complete(getattr(self._client, method)(*args, **kwargs))

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


DRIVERS: dict[str, type[SyncDriver | AsyncDriver]] = {
    "Client": SyncDriver,
    "AsyncClient": AsyncDriver,
}
