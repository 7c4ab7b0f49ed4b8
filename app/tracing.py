"""Traces of requests for OpenTelemetry. A span contains what the request log contains, and nothing else."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Final

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from app.telemetry import observe

EXPORT_SECONDS: Final = 3
"""The time after which the gateway stops an export, if the collector does not answer."""


class RequestTracer:
    """Begins and ends the span of each request, and sends the spans to a collector in the background."""

    def __init__(self, endpoint: str) -> None:
        self._provider = TracerProvider(
            resource=Resource.create({"service.name": "grounds", "service.version": version("grounds")})
        )
        exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces", timeout=EXPORT_SECONDS)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("grounds")
        self._propagator = TraceContextTextMapPropagator()

    def begin(self, traceparent: str | None) -> Span:
        """Begin the span of a request, below the span of the client that sent the header `traceparent`."""
        parent = self._propagator.extract({"traceparent": traceparent}) if traceparent else None
        return self._tracer.start_span("request", parent, SpanKind.SERVER)

    def end(self, span: Span, route: str, status: int, facts: dict[str, str]) -> None:
        """End the span of a request with its route's template, its status, and what the request log says besides."""
        span.update_name(route)
        span.set_attributes({"http.route": route, "http.response.status_code": status})
        span.set_attributes({f"grounds.{name}": fact for name, fact in facts.items()})
        if status >= 500:
            span.set_status(StatusCode.ERROR)
        span.end()

    def close(self) -> None:
        """Send the spans that are left."""
        self._provider.shutdown()


@asynccontextmanager
async def traced_requests(endpoint: str) -> AsyncIterator[None]:
    """Trace every request of this process until the block ends."""
    tracer = RequestTracer(endpoint)
    observe.trace_requests(tracer)
    try:
        yield
    finally:
        observe.trace_requests(None)
        await asyncio.to_thread(tracer.close)
