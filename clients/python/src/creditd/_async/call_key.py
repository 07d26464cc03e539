"""Asks for the key of an AsyncClient.

`_sync/call_key.py` has the same interface for functions that block.
"""

from __future__ import annotations

import asyncio
import inspect
import time
from typing import Any

from creditd._call_key import KeyHolder, KeyTimeoutError, bearer


class CallKey(KeyHolder):
    """The key of a client, asked for before each attempt where it is a function."""

    async def ask(self, deadline_s: float | None) -> str | None:
        """The text of the header; None without a key.

        Raises:
            KeyTimeoutError: The function took longer than until `deadline_s`, by time.monotonic().
        """
        if self.function is None:
            return self._bearer
        key = self.function()
        if inspect.isawaitable(key):
            key = await _limited(key, deadline_s)
        text = bearer(key)
        if deadline_s is not None and time.monotonic() >= deadline_s:
            raise KeyTimeoutError
        return text


async def _limited(key: Any, deadline_s: float | None) -> Any:
    """What it gives, by a task of its own: `asyncio.wait_for` would hide whose timeout it was."""
    left_s = None if deadline_s is None else max(deadline_s - time.monotonic(), 0)
    asking = asyncio.ensure_future(key)
    try:
        await asyncio.wait([asking], timeout=left_s)
        if not asking.done():
            raise KeyTimeoutError
    finally:
        asking.cancel()
    return asking.result()
