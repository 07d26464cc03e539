"""Results of calls about keys, and the trail of what administrators did.

They are as those of `model`: frozen dataclasses with the field names of admin.proto.
"""

from dataclasses import dataclass, field
from datetime import datetime

__all__ = [
    "AdminEvent",
    "AdminEventPage",
    "CreateKeyResult",
    "Key",
    "KeyPage",
]


@dataclass(frozen=True, slots=True)
class Key:
    """What a caller may do. It is not the secret that is sent with calls.

    `scopes` are "price", "read", "charge", "grant" and "admin". `accounts` are those that it may
    name, a trailing "*" for all that begin so; empty: all. `expire_time` is None where it never
    expires, `last_use_time`, to the minute, where it was never used, and `revoke_time` where it
    was not revoked. `calls_per_second_max` is 0 without a limit.
    """

    key_id: str
    title: str
    scopes: tuple[str, ...]
    accounts: tuple[str, ...]
    create_time: datetime
    expire_time: datetime | None
    last_use_time: datetime | None
    calls_per_second_max: int
    revoke_time: datetime | None


@dataclass(frozen=True, slots=True)
class CreateKeyResult:
    """A new key and its secret, which is shown here alone: it is the `key=` of a client.

    The secret does not stand in `repr`.
    """

    key: Key
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class KeyPage:
    """Some keys, in the order of their creation.

    `next_page_token` names the page that follows; "" where there is none.
    """

    keys: tuple[Key, ...]
    next_page_token: str


@dataclass(frozen=True, slots=True)
class AdminEvent:
    """Something that was done by AdminService: the trail of it never changes.

    `key_id` is who did it; "": anybody, since authentication was off. `action` is "create_key",
    "revoke_key", "publish_rate_card" or "withdraw_rate_card", and `subject` the key_id or the
    revision that it was done to. `title` is the key's, or the name of the rate card.
    """

    create_time: datetime
    key_id: str
    action: str
    subject: str
    title: str


@dataclass(frozen=True, slots=True)
class AdminEventPage:
    """Some events, newest first.

    `next_page_token` names the page that follows; "" where there is none.
    """

    events: tuple[AdminEvent, ...]
    next_page_token: str
