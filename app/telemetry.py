"""The complete list of the events that are logged and counted. No event contains texts, queries or personal data."""

import logging
import secrets
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextvars import ContextVar
from typing import Any, Final, Protocol

import structlog
from structlog.contextvars import bind_contextvars, clear_contextvars, get_contextvars

from app import metrics

PROBES: Final = frozenset({"/health", "/ready", "/metrics"})
"""The routes whose requests are counted but not logged, because monitoring requests these routes continuously."""

_SPAN: Final[ContextVar[Any]] = ContextVar("span")
"""The span of the request that this task answers."""


class Tracer(Protocol):
    """What begins and ends the span of a request. The app's tracer needs packages that are not always installed."""

    def begin(self, traceparent: str | None) -> Any:
        """Begin the span of a request, below the span that the header `traceparent` names."""

    def end(self, span: Any, route: str, status: int, facts: dict[str, Any]) -> None:
        """End the span of a request with what the request log says of it."""


def configure_logging() -> None:
    """Log each event of the app as one JSON object per line to standard error."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,  # the request, its role and its client
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    # What libraries log would else go to standard error as it is, traces included.
    logging.basicConfig(level=logging.WARNING, handlers=[_Libraries()], force=True)
    logging.captureWarnings(True)  # Python's own, such as that of a resolver that a timeout cut off
    # Whole URLs, query included, would be logged there.
    logging.getLogger("httpx").setLevel(logging.WARNING)


class _Libraries(logging.Handler):
    """A log processor that reduces a library's message to its place and error kind; our own messages contain no
    data."""

    def emit(self, record: logging.LogRecord) -> None:
        """Log one message of a library as an event of the app."""
        error = record.exc_info[0] if record.exc_info else None
        said = record.getMessage() if record.name.startswith("app.") else None
        place, kind = f"{record.name}:{record.lineno}", error.__name__ if error else None
        structlog.get_logger().log(record.levelno, "library", place=place, kind=kind, said=said)


class _Observations:
    """The events that can be logged; nothing else ever is."""

    def __init__(self) -> None:
        self._log = structlog.get_logger()
        self._tracer: Tracer | None = None

    def trace_requests(self, tracer: "Tracer | None") -> None:
        """Trace the app's requests by this tracer from here on, or no longer."""
        self._tracer = tracer

    def started(self, address: str, issuer: str, warnings: Sequence[str] = ()) -> None:
        """Log the app's event that the server listens, and what its settings leave unprotected."""
        self._log.info("started", address=address, issuer=issuer, **({"warnings": warnings} if warnings else {}))

    def reloaded(self) -> None:
        """Log the app's event that the files of the settings were read again."""
        self._log.info("reloaded")

    def not_reloaded(self, why: str) -> None:
        """Log the app's event that the files of the settings have a fault, and that their earlier content is used."""
        self._log.error("not reloaded", why=why)

    def request_began(self, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Name the request in every event that the app logs from here on, and begin its span if requests are traced."""
        clear_contextvars()
        bind_contextvars(request=secrets.token_hex(8))
        if self._tracer is not None:
            sent = next((value.decode("latin-1") for name, value in headers if name == b"traceparent"), None)
            _SPAN.set(self._tracer.begin(sent))

    def bearer(self, role: str, client: str | None) -> None:
        """Note for the app's log the role that the request acts in, and the training client that sends it."""
        bind_contextvars(role=str(role), **({"client": client} if client else {}))

    def responded(self, route: str, status: int, seconds: float) -> None:
        """Log the app's event of a response by the template of its route, never by its path or query."""
        role = get_contextvars().get("role", "none")
        if self._tracer is not None and (span := _SPAN.get(None)) is not None:
            self._tracer.end(span, route, status, get_contextvars())
        metrics.REQUESTS.labels(route, role, status).inc()
        metrics.REQUEST_SECONDS.labels(route).observe(seconds)
        if status == 429:
            metrics.RATE_LIMITED.labels(route).inc()
        if route not in PROBES:
            self._log.info("request", route=route, status=status, milliseconds=round(seconds * 1000, 1))

    def token_refused(self, code: str) -> None:
        """Count a refused bearer token in the app's metrics."""
        metrics.AUTH_REFUSED.labels(code).inc()

    def graphql_error(self, code: str) -> None:
        """Count an error in a GraphQL response in the app's metrics."""
        metrics.GRAPHQL_ERRORS.labels(code).inc()

    def delivered(self, client: str, grounds: Mapping[str, int]) -> None:
        """Count a page and its items by ground in the app's metrics."""
        metrics.PAGES.labels(client).inc()
        for ground, items in grounds.items():
            metrics.ITEMS.labels(client, ground).inc(items)

    def worker_ended(self, code: int | None) -> None:
        """Log the app's event that a worker ended by itself."""
        self._log.error("worker ended", code=code)

    def stopped(self) -> None:
        """Log the app's event that the server ended."""
        self._log.info("stopped")

    def ingested(self, records: Mapping[str, Mapping[str, int]], total: Mapping[str, int]) -> None:
        """Log the app's event of an ingest with the outcomes of its records and lines."""
        for record, outcomes in records.items():
            for outcome, lines in outcomes.items():
                metrics.RECORDS.labels(record, outcome).inc(lines)
        self._log.info("ingested", **total)

    def objected(self, channel: str) -> None:
        """Log the app's event that an objection was filed, without its account."""
        metrics.OBJECTIONS.labels(channel).inc()
        self._log.info("objected", channel=channel)

    def notified(self, channel: str, **states: int) -> None:
        """Log the app's event of how many notices of a campaign are in which state."""
        self._log.info("notified", channel=channel, **states)

    def webhook_failed(self, client: str, why: str) -> None:
        """Log the app's event that a client's webhook did not answer with a 2xx, without its address."""
        metrics.WEBHOOK_FAILURES.labels(client).inc()
        self._log.warning("webhook failed", client=client, why=why)

    def media_failed(self, client: str, why: str) -> None:
        """Log the app's event that a file could not be delivered to a client, without its address."""
        metrics.MEDIA_FAILURES.labels(client).inc()
        self._log.warning("media failed", client=client, why=why)

    def texts_removed(self, items: int) -> None:
        """Log the app's event of how many items lost their text: deleted or retracted for good, six days ago."""
        self._log.info("texts removed", items=items)

    def job_failed(self, job: str, error: BaseException) -> None:
        """Log the app's event that background work failed; it is tried again."""
        metrics.JOB_FAILURES.labels(job).inc()
        self._log.error("job failed", job=job, kind=type(error).__name__)

    def failure(self, error: BaseException) -> str:
        """Log the app's event of a failure by its kind and place; return the reference that the client gets."""
        metrics.FAILURES.inc()
        reference = secrets.token_hex(4)
        trace = error.__traceback__
        while trace is not None and trace.tb_next is not None:
            trace = trace.tb_next
        place = f"{trace.tb_frame.f_globals.get('__name__')}:{trace.tb_lineno}" if trace else None
        self._log.error("failure", reference=reference, kind=type(error).__name__, place=place)
        return reference


observe = _Observations()
