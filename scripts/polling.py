"""Waits for what comes by itself, with a bound."""

from __future__ import annotations

import time
from collections.abc import Callable

SECONDS_MAX = 60


def until(what: str, holds: Callable[[], bool]) -> None:
    end = time.monotonic() + SECONDS_MAX
    while not holds():
        assert time.monotonic() < end, f"not {what} within {SECONDS_MAX} s"
        time.sleep(0.05)
