"""Spans of a tracer that no other test sees, and where their traces arrive."""

import json
import time
from pathlib import Path
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import Span, format_span_id, format_trace_id

from tests.support.scripted import Scripted

_LINE_S_MAX = 10.0

TRACER = TracerProvider().get_tracer("tests")
UNSAMPLED_TRACER = TracerProvider(sampler=ALWAYS_OFF).get_tracer("tests")

# What the propagators of OpenTelemetry send by default.
W3C_HEADERS = {"traceparent", "tracestate", "baggage"}


def trace_id(span: Span) -> str:
    return format_trace_id(span.get_span_context().trace_id)


def traceparent(span: Span | ReadableSpan) -> str:
    context = span.get_span_context()
    assert context is not None
    trace, span_id = format_trace_id(context.trace_id), format_span_id(context.span_id)
    return f"00-{trace}-{span_id}-{context.trace_flags:02x}"


def headers(server: Scripted, *names: str) -> list[list[tuple[str, Any]]]:
    """Of each call the pairs with these names, or with those of W3C."""
    wanted = set(names) or W3C_HEADERS
    return [[pair for pair in pairs if pair[0] in wanted] for pairs in server.metadata_pairs]


def lines_of(log: Path, count: int, **fields: str) -> list[dict[str, Any]]:
    """The lines of a server's log that have these fields, as soon as there are so many."""
    end_s = time.monotonic() + _LINE_S_MAX
    while True:
        # Its first lines may be for people.
        texts = [text for text in log.read_text().splitlines(keepends=True) if text[:1] == "{"]
        lines = [json.loads(text) for text in texts if text.endswith("\n")]
        found = [line for line in lines if fields.items() <= line.items()]
        if len(found) >= count:
            return found
        assert time.monotonic() < end_s, f"{len(found)} lines have {fields}, of {len(lines)}"
        time.sleep(0.01)
