"""The enums of the API. A value that a newer server adds is read as UNSPECIFIED."""

from enum import IntEnum


class EntryKind(IntEnum):
    """What moved credits."""

    UNSPECIFIED = 0
    GRANT = 1
    CHARGE = 2
    REFUND = 3
    HOLD = 4
    SETTLE = 5
    RELEASE = 6
    EXPIRE = 7
    REVOKE = 8


class HoldStatus(IntEnum):
    """Where a hold stands. Only an OPEN one can change."""

    UNSPECIFIED = 0
    OPEN = 1
    SETTLED = 2
    RELEASED = 3
    EXPIRED = 4


class Overage(IntEnum):
    """What a settlement does where the cost is more than what is held.

    REJECT, which UNSPECIFIED means too, refuses it. FROM_AVAILABLE takes the rest from what is
    available, or refuses all of it.
    """

    UNSPECIFIED = 0
    REJECT = 1
    FROM_AVAILABLE = 2
