"""When a call is sent again: the policy, and the attempts of one call. Does no I/O."""

import math
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeAlias

import grpc

from creditd.errors import CreditdError, DeadlineExceededError, UnavailableError
from creditd.reason import Reason

Timeout: TypeAlias = float | timedelta
"""Seconds as a number, or a timedelta."""

_FACTOR = 2
# 2 to this power is past every backoff, and no overflow.
_DOUBLINGS_MAX = 64
# An attempt is made only where at least so much time is left for it.
_ATTEMPT_S_MIN = 0.01
# With these the server says that it has not begun with the call.
_NOTHING_DONE = {Reason.RATE_LIMITED, Reason.SERVER_OVERLOADED, Reason.CLOCK_NOT_BELIEVED}


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How a call is sent again that found the server UNAVAILABLE, or was RATE_LIMITED.

    It is, for as long as the timeout of the call allows. The pause after attempt n is random,
    from 0 to initial_backoff_s * 2^(n-1), or to max_backoff_s where that is less. Where the server
    says how long to wait (RetryInfo), the pause begins after that. Where the time that is left is
    too short for another attempt, the call ends at once by DeadlineExceededError, whose cause is
    the last refusal.

    Attributes:
        max_attempts: How often a call is sent at most, the first time included; 1 never sends
            again. None, the default, leaves it to the timeout.
        initial_backoff_s: The longest pause after the first attempt.
        max_backoff_s: The longest pause.
    """

    max_attempts: int | None = None
    initial_backoff_s: float = 0.05
    max_backoff_s: float = 2.0

    def __post_init__(self) -> None:
        if self.max_attempts is not None:
            if not isinstance(self.max_attempts, int) or isinstance(self.max_attempts, bool):
                kind = type(self.max_attempts).__name__
                raise TypeError(f"max_attempts must be an int or None, not {kind}")
            if self.max_attempts < 1:
                raise ValueError(f"max_attempts must be 1 or more, not {self.max_attempts}")
        if not 0 < self.initial_backoff_s <= self.max_backoff_s < math.inf:
            raise ValueError(
                "backoffs must be finite, more than 0, and the initial one not over the maximum"
            )


DEFAULT_RETRY = RetryPolicy()


@dataclass(slots=True)
class Attempts:
    """One call that failed at least once. `deadline_s` is on the same clock as `now_s`.

    A call that is not `repeatable` takes effect each time it is sent: it is sent again only where
    the server says that nothing was done.
    """

    policy: RetryPolicy
    deadline_s: float
    repeatable: bool = True
    made: int = 1
    refusal: CreditdError | None = None
    asked_for_new_key: bool = False

    def start(self, now_s: float) -> float:
        """Counts another attempt; returns the seconds that it has, or raises where there are none.

        The time passes without a pause where a connection was replaced under the call.
        """
        left_s = self.deadline_s - now_s
        if left_s <= 0:
            raise self.out_of_time()
        self.made += 1
        return left_s

    def pause_s(self, error: CreditdError, now_s: float, jitter: float) -> float:
        """The seconds until the next attempt; where there is none, raises the call's last error.

        `jitter` is a random number from 0 to 1.
        """
        error.attempts = self.made
        if not error.retryable or not (self.repeatable or error.reason in _NOTHING_DONE):
            if error.code is grpc.StatusCode.DEADLINE_EXCEEDED and self.refusal is not None:
                error.__cause__ = self.refusal
            raise error
        if self._is_last():
            raise error
        self.refusal = error
        asked_s = 0.0 if error.retry_after is None else max(error.retry_after.total_seconds(), 0)
        spare_s = self.deadline_s - now_s - asked_s - _ATTEMPT_S_MIN
        if spare_s <= 0:
            raise self.out_of_time()
        backoff_s: float = self.policy.initial_backoff_s * _FACTOR ** min(
            self.made - 1, _DOUBLINGS_MAX
        )
        return asked_s + min(backoff_s, self.policy.max_backoff_s, spare_s) * jitter

    def wants_new_key(self, error: CreditdError) -> bool:
        """Whether the call is to be sent again with another key: once, where its key was refused.

        Nothing was done then, so this is for every call.
        """
        if error.reason != Reason.KEY_INVALID or self.asked_for_new_key or self._is_last():
            return False
        error.attempts = self.made
        self.asked_for_new_key = True
        return True

    def check_lost(self) -> None:
        """Raises where the call was sent, is not answered, and must not be sent again."""
        if not self.repeatable:
            raise UnavailableError(
                "the connection was lost: it is not known whether the call took effect",
                code=grpc.StatusCode.UNAVAILABLE,
                attempts=self.made,
            )

    def _is_last(self) -> bool:
        return self.policy.max_attempts is not None and self.made >= self.policy.max_attempts

    def out_of_time(self) -> CreditdError:
        """The error of a call whose attempts all failed until its deadline."""
        last = "" if self.refusal is None else f"; the last one was refused: {self.refusal.message}"
        times = "attempt" if self.made == 1 else "attempts"
        error = DeadlineExceededError(
            f"no answer before the deadline, in {self.made} {times}{last}",
            code=grpc.StatusCode.DEADLINE_EXCEEDED,
            request_id="" if self.refusal is None else self.refusal.request_id,
            x_request_id="" if self.refusal is None else self.refusal.x_request_id,
            attempts=self.made,
        )
        error.__cause__ = self.refusal
        return error


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
