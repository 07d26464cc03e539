"""The key that a client sends with its calls: what can be one, and where it must not go."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeAlias

import grpc
from grpc.experimental import insecure_channel_credentials

from creditd._target import is_local

if TYPE_CHECKING:
    from creditd._channel import Security

KeySource: TypeAlias = str | Callable[[], str]
"""A key, or a function that is asked for one before each attempt of a call."""

AsyncKeySource: TypeAlias = str | Callable[[], str | Awaitable[str]]
"""The same; the function may be a coroutine function too."""

AUTHORIZATION = "authorization"

# A space ends a token, as RFC 6750 has it.
_VISIBLE_ASCII = range(0x21, 0x7F)


class KeyTimeoutError(Exception):
    """The function that gives the key took longer than the call may."""


class KeyLateError(grpc.RpcError):
    """The same, of a stream."""

    def code(self) -> grpc.StatusCode:
        """As a call of grpc has it."""
        return grpc.StatusCode.DEADLINE_EXCEEDED

    def details(self) -> str:
        """As a call of grpc has it."""
        return "the function that gives the key did not return before the deadline"


class KeyHolder:
    """The key of a client, or its function. Nothing here shows a key.

    Attributes:
        function: What is asked; None for a key that stays as it is, and without a key.
    """

    def __init__(self, key: str | Callable[[], Any] | None) -> None:
        self.function: Callable[[], Any] | None = None
        self._bearer: str | None = None
        if isinstance(key, str):
            self._bearer = bearer(key)
        elif callable(key):
            self.function = key
        elif key is not None:
            raise TypeError(
                f"key must be a str, or a function that returns one, not {type(key).__name__}"
            )

    @property
    def is_set(self) -> bool:
        """Whether the client has one."""
        return self._bearer is not None or self.function is not None

    def check_metadata(self, pairs: list[tuple[str, str | bytes]]) -> None:
        """Refuses a second key beside the client's."""
        if self.is_set and any(name == AUTHORIZATION for name, _ in pairs):
            raise ValueError(
                f"metadata has {AUTHORIZATION!r} and the client has a key; "
                "make another client for another key"
            )


def bearer(key: object) -> str:
    """The text of the header, of a key that can be sent; no message shows it."""
    if not isinstance(key, str):
        raise TypeError(f"the key must be a str, not {type(key).__name__}")
    if not key:
        raise ValueError("the key is empty")
    if key != key.strip():
        raise ValueError(
            "the key begins or ends with white space, as the text of a file may; strip() it"
        )
    if any(ord(character) not in _VISIBLE_ASCII for character in key):
        raise ValueError(
            "the key has a character that no key has: only visible ASCII is allowed, and no space; "
            'give it without "Bearer"'
        )
    return f"Bearer {key}"


def with_bearer(
    pairs: list[tuple[str, str | bytes]], text: str | None
) -> list[tuple[str, str | bytes]]:
    """The metadata with the key."""
    return pairs if text is None else [*pairs, (AUTHORIZATION, text)]


def check_security(target: str, security: Security) -> None:
    """Refuses to send a key in plaintext to another machine."""
    plaintext = security.credentials in {None, insecure_channel_credentials()}
    if plaintext and not is_local(target):
        raise ValueError(
            f"a key is not sent in plaintext to {target!r}, which may be another machine: "
            "leave insecure out, for TLS with the usual root certificates, or give tls="
        )
