"""The enums of the API. A value that a newer server adds is read as UNSPECIFIED."""

from enum import IntEnum

__all__ = [
    "AttributeSource",
    "EntryKind",
    "HoldStatus",
    "Overage",
    "RateCardState",
]

_NUMBER_FORMATS = frozenset("bcdoxXneEfFgG%")


class _Named(IntEnum):
    """A number that is printed by its name."""

    def __str__(self) -> str:
        return self.name

    def __format__(self, spec: str) -> str:
        if spec[-1:] in _NUMBER_FORMATS:
            return int.__format__(self, spec)
        return format(self.name, spec)


class EntryKind(_Named):
    """The kind of an entry: which verb or expiry moved the credits."""

    UNSPECIFIED = 0
    GRANT = 1
    CHARGE = 2
    REFUND = 3
    HOLD = 4
    SETTLE = 5
    RELEASE = 6
    EXPIRE = 7
    REVOKE = 8


class AttributeSource(_Named):
    """Where the value of an attribute comes from. Callers send those of CALLER alone."""

    UNSPECIFIED = 0
    CALLER = 1
    ACCOUNT = 2
    CLOCK = 3


class HoldStatus(_Named):
    """The status of a hold. Only an OPEN one can change."""

    UNSPECIFIED = 0
    OPEN = 1
    SETTLED = 2
    RELEASED = 3
    EXPIRED = 4


class Overage(_Named):
    """What a settlement does where the cost is more than what is held.

    REJECT, which UNSPECIFIED means too, refuses it. FROM_AVAILABLE takes the rest from what is
    available, or refuses all of it.
    """

    UNSPECIFIED = 0
    REJECT = 1
    FROM_AVAILABLE = 2


class RateCardState(_Named):
    """Whether a rate card prices requests: it does IN_FORCE.

    A SCHEDULED one will from its effective_time on, and another took the place of a REPLACED one.
    A WITHDRAWN one never came into force, and is on no list.
    """

    UNSPECIFIED = 0
    IN_FORCE = 1
    SCHEDULED = 2
    REPLACED = 3
    WITHDRAWN = 4
