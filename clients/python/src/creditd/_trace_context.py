"""The trace that a call is part of: the context of the current span, by OpenTelemetry's API.

The application's propagators decide what that is in headers: by default `traceparent`,
`tracestate` and `baggage`, as W3C has them. Where `opentelemetry-api` is not installed, it is
nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from creditd._log import logger

if TYPE_CHECKING:
    from collections.abc import Callable

_inject: Callable[[dict[str, str]], None] | None = None
try:
    from opentelemetry import propagate
except ImportError:
    pass
except Exception as error:  # noqa: BLE001 - of a propagator that OTEL_PROPAGATORS names
    logger.warning("calls carry no trace context: %s", error)
else:
    _inject = propagate.inject

_NOTHING: dict[str, str] = {}


def trace_headers() -> dict[str, str]:
    """What the propagators send now, by the names that they give it; empty without a span."""
    if _inject is None:
        return _NOTHING
    headers: dict[str, str] = {}
    _inject(headers)
    return headers
