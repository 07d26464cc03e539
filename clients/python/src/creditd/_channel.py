"""How both clients connect, and what they send along with a call."""

import re
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import Any, NamedTuple, TypeAlias

import grpc

from creditd._attempts import Timeout
from creditd._target import authority, is_local
from creditd._tls import Tls
from creditd._trace_context import trace_headers
from creditd.v1.admin_pb2_grpc import AdminServiceStub
from creditd.v1.ledger_pb2_grpc import LedgerServiceStub
from creditd.v1.pricing_pb2_grpc import PricingServiceStub

VERSION = version("creditd")
DEFAULT_TARGET = "127.0.0.1:50051"
DEFAULT_TIMEOUT_S = 10.0

Metadata: TypeAlias = Sequence[tuple[str, str | bytes]]
"""Pairs as grpc takes them: keys in lower case, bytes only under keys that end in -bin."""

_OPTIONS: list[tuple[str, str | int]] = [
    ("grpc.primary_user_agent", f"creditd-python/{VERSION}"),
    # A server that is back is found within the time of a few retries, not after two minutes.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    # Clients share no connection, so that several of them use several.
    ("grpc.use_local_subchannel_pool", 1),
    # No pings of HTTP/2 (grpc.keepalive_time_ms): servers with gRPC's own policy end connections
    # that ping more often than every 5 minutes, and a dead connection has to be known long before.
    # Connections are probed by a call instead; see Liveness.
]

_METADATA_KEY = re.compile(r"[0-9a-z_.-]+")
_METADATA_VALUE = re.compile(r"[ -~]*")

_HEALTH_CHECK = "/grpc.health.v1.Health/Check"


class Liveness(NamedTuple):
    """When a connection counts as dead, although nobody has closed it.

    It is probed where a call ended by its deadline without an answer from the server, or nothing
    came for `idle_s` while a call or a watch waits. The probe asks for the server's health over the
    same connection; any answer will do, also UNIMPLEMENTED. Where none comes within
    `probe_timeout_s`, and nothing else either, the connection is replaced.
    """

    idle_s: float = 15.0
    probe_timeout_s: float = 5.0


class Security(NamedTuple):
    """What a channel is made with: no credentials are plaintext."""

    credentials: grpc.ChannelCredentials | None
    server_name: str | None = None


def channel_options(target: str, security: Security) -> list[tuple[str, str | int]]:
    """The options of a channel to `target`."""
    options = list(_OPTIONS)
    if security.server_name is not None:
        options.append(("grpc.ssl_target_name_override", security.server_name))
    name = authority(target)
    if name is not None:
        options.append(("grpc.default_authority", name))
    if is_local(target):
        # A proxy would be another machine, or at least another's loopback.
        options.append(("grpc.enable_http_proxy", 0))
    return options


def channel_security(
    target: str,
    credentials: grpc.ChannelCredentials | None,
    *,
    insecure: bool,
    tls: Tls | None = None,
) -> Security:
    """What to connect with: plaintext stays on this machine unless it is asked for."""
    if tls is not None:
        if insecure or credentials is not None:
            raise ValueError("tls excludes insecure and credentials; give one")
        return Security(tls.credentials(), tls.server_name)
    if insecure and credentials is not None:
        raise ValueError("insecure and credentials exclude each other; give one")
    if credentials is not None:
        return Security(credentials)
    if insecure or is_local(target):
        return Security(None)
    return Security(grpc.ssl_channel_credentials())


def rpcs_of(channel: Any) -> dict[str, Callable[..., Any]]:
    """The methods of the API over a channel, by name; no two services share one."""
    stubs = (PricingServiceStub(channel), LedgerServiceStub(channel), AdminServiceStub(channel))
    return {name: rpc for stub in stubs for name, rpc in vars(stub).items()}


def health_check_of(channel: Any) -> Any:
    """The method that asks a server for its health; its answer is not decoded."""
    return channel.unary_unary(_HEALTH_CHECK, request_serializer=bytes, response_deserializer=bytes)


class CallOptions(NamedTuple):
    """What every method takes besides its request."""

    timeout: Timeout | None
    metadata: Metadata
    x_request_id: str | None

    def wire_metadata(self) -> list[tuple[str, str | bytes]]:
        """The metadata to send, which has the trace of the current span."""
        pairs = list(self.metadata)
        for pair in pairs:
            _check_pair(pair)
        if self.x_request_id is not None:
            if not isinstance(self.x_request_id, str):
                raise TypeError(f"x_request_id must be a str, not {_kind(self.x_request_id)}")
            pair = ("x-request-id", self.x_request_id)
            _check_pair(pair)
            pairs.append(pair)
        headers = trace_headers()
        if headers:
            _add_trace(pairs, headers)
        return pairs


def _add_trace(pairs: list[tuple[str, str | bytes]], headers: dict[str, str]) -> None:
    """Adds what the caller has not given by hand."""
    given = {key for key, _ in pairs}
    if "traceparent" in given:
        # Of that trace, and not of the current one.
        given.add("tracestate")
    for name, value in headers.items():
        # As grpc takes it.
        pair = (name.lower(), value)
        if pair[0] in given:
            continue
        try:
            _check_pair(pair)
        except (TypeError, ValueError):
            # No call fails for its trace.
            continue
        pairs.append(pair)


def _check_pair(pair: object) -> None:
    if not (isinstance(pair, tuple) and len(pair) == 2):  # noqa: PLR2004 - a pair
        raise TypeError(f"metadata must be pairs of a key and a value, not {_kind(pair)}")
    key, value = pair
    if not isinstance(key, str):
        raise TypeError(f"a key of metadata must be a str, not {_kind(key)}")
    if key != key.lower():
        raise ValueError(f"the key {key!r} of metadata must be in lower case")
    # The value is not shown: it may be a secret.
    wanted = bytes if key.endswith("-bin") else str
    if not isinstance(value, wanted):
        raise TypeError(f"metadata {key!r} must be {wanted.__name__}, not {_kind(value)}")
    # grpc would refuse it in a message with all of the metadata, the client's key too.
    if not _METADATA_KEY.fullmatch(key):
        raise ValueError(f"the key {key!r} of metadata must have only a-z, 0-9, '-', '_' and '.'")
    if isinstance(value, str) and not _METADATA_VALUE.fullmatch(value):
        raise ValueError(f"metadata {key!r} has a character that is not printable ASCII")


def _kind(value: object) -> str:
    return type(value).__name__
