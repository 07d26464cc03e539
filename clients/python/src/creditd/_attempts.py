"""When a call is sent again: the policy, and one call's course through it. Does no I/O."""

import math
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeAlias

from creditd.errors import CreditdError

Timeout: TypeAlias = float | timedelta
"""Seconds as a number, or a timedelta."""

_ATTEMPTS_MAX = 100


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often a call that finds the server UNAVAILABLE is sent, and how long it waits between.

    Before attempt n + 1 the wait is initial_backoff_s * 2^(n-1), at most max_backoff_s, of which
    a random half to whole is taken. What the server asks for in RetryInfo is waited on top. No
    wait goes past the timeout of the call: where it would, the error is raised at once.

    `max_attempts` counts the first; RetryPolicy(max_attempts=1) never retries.
    """

    max_attempts: int = 5
    initial_backoff_s: float = 0.1
    max_backoff_s: float = 2.0

    def __post_init__(self) -> None:
        if not 1 <= self.max_attempts <= _ATTEMPTS_MAX:
            raise ValueError(f"max_attempts must be 1 to {_ATTEMPTS_MAX}, not {self.max_attempts}")
        if not 0 < self.initial_backoff_s <= self.max_backoff_s < math.inf:
            raise ValueError(
                "backoffs must be finite, more than 0, and the initial one not over the maximum"
            )


DEFAULT_RETRY = RetryPolicy()


@dataclass(slots=True)
class Attempts:
    """One call: it ends at `deadline_s`, on whatever clock the readings given here are from."""

    policy: RetryPolicy
    deadline_s: float
    made: int = 0

    def start(self, now_s: float) -> float:
        """Counts an attempt; returns the seconds that it has."""
        self.made += 1
        return max(self.deadline_s - now_s, 0)

    def wait_s(self, error: CreditdError, now_s: float, chance: float) -> float | None:
        """The seconds until the next attempt, or None where `error` is final.

        `chance` is a random number from 0 to 1.
        """
        if not error.retryable or self.made >= self.policy.max_attempts:
            return None
        backoff_s = self.policy.initial_backoff_s * 2 ** (self.made - 1)
        wait_s = min(backoff_s, self.policy.max_backoff_s) * (1 + chance) / 2
        if error.retry_after is not None:
            wait_s += error.retry_after.total_seconds()
        return wait_s if now_s + wait_s < self.deadline_s else None


def timeout_s(value: Timeout) -> float:
    """The seconds of a timeout: a finite number, more than 0."""
    if isinstance(value, timedelta):
        seconds = value.total_seconds()
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        seconds = float(value)
    else:
        raise TypeError(
            f"timeout must be seconds as a number, or a timedelta, not {type(value).__name__}"
        )
    if not 0 < seconds < math.inf:
        raise ValueError(f"timeout must be finite and more than 0, not {value}")
    return seconds
