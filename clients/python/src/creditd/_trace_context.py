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

_NOTHING: dict[str, str] = {}


def _no_headers() -> dict[str, str]:
    return _NOTHING


trace_headers: Callable[[], dict[str, str]] = _no_headers
"""What the propagators send now, by the names that they give it; empty without a span."""

try:
    from opentelemetry import context, propagate
except ImportError:
    pass
except Exception as error:  # noqa: BLE001 - of a propagator that OTEL_PROPAGATORS names
    logger.warning("calls carry no trace context: %s", error)
else:

    def _headers() -> dict[str, str]:
        # Propagators send values of the context. One that is empty is so common, and they take
        # so long, that they are not asked then.
        if not context.get_current():
            return _NOTHING
        headers: dict[str, str] = {}
        propagate.inject(headers)
        return headers

    trace_headers = _headers
