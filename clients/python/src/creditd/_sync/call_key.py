"""Asks for the key of a Client.

`_async/call_key.py` has the same interface for an event loop.
"""

from __future__ import annotations

import time

from creditd._call_key import KeyHolder, KeyTimeoutError, bearer


class CallKey(KeyHolder):
    """The key of a client, asked for before each attempt where it is a function."""

    def ask(self, deadline_s: float | None) -> str | None:
        """The text of the header; None without a key.

        Raises:
            KeyTimeoutError: The function took longer than until `deadline_s`, by time.monotonic().
                It cannot be interrupted.
        """
        if self.function is None:
            return self._bearer
        text = bearer(self.function())
        if deadline_s is not None and time.monotonic() >= deadline_s:
            raise KeyTimeoutError
        return text
