"""How both clients connect, and what they send along with a call."""

from collections.abc import Sequence
from importlib.metadata import version
from typing import NamedTuple, TypeAlias

from creditd._attempts import Timeout

DEFAULT_TARGET = "127.0.0.1:50051"
DEFAULT_TIMEOUT_S = 10.0

Metadata: TypeAlias = Sequence[tuple[str, str | bytes]]
"""Pairs as grpc takes them: keys in lower case, bytes only under keys that end in -bin."""

CHANNEL_OPTIONS: list[tuple[str, str | int]] = [
    ("grpc.primary_user_agent", f"creditd-python/{version('creditd')}"),
    # Servers end connections that ping more often than they allow.
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    # A server that is back is found within the time of a few retries, not after two minutes.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    # A connection per client: where one is the limit, several clients are more.
    ("grpc.use_local_subchannel_pool", 1),
]


class CallOptions(NamedTuple):
    """What every method takes besides its request."""

    timeout: Timeout | None
    metadata: Metadata
    x_request_id: str | None

    def wire_metadata(self) -> list[tuple[str, str | bytes]]:
        """The metadata to send."""
        pairs = list(self.metadata)
        if self.x_request_id is not None:
            pairs.append(("x-request-id", self.x_request_id))
        return pairs
