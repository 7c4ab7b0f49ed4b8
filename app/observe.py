"""What the gateway says of itself: one closed set of observations, with no text, query or personal datum in any."""

import logging
import secrets
import sys

import structlog


def configure_logging() -> None:
    """Write one JSON object a line to standard error."""
    structlog.configure(
        processors=[
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
    """Note where a library logs and the kind of an error; our own modules' messages hold no data and are kept."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one observation."""
        error = record.exc_info[0] if record.exc_info else None
        said = record.getMessage() if record.name.startswith("app.") else None
        place, kind = f"{record.name}:{record.lineno}", error.__name__ if error else None
        structlog.get_logger().log(record.levelno, "library", place=place, kind=kind, said=said)


class _Observations:
    """Name each thing that can be observed; nothing else is ever logged."""

    def __init__(self) -> None:
        self._log = structlog.get_logger()

    def started(self, address: str, issuer: str) -> None:
        """Note that the server listens."""
        self._log.info("started", address=address, issuer=issuer)

    def worker_ended(self, code: int | None) -> None:
        """Note that a worker ended by itself."""
        self._log.error("worker ended", code=code)

    def stopped(self) -> None:
        """Note that the server ended."""
        self._log.info("stopped")

    def ingested(self, accepted: int, unchanged: int, stale: int, rejected: int) -> None:
        """Note what became of a stream of facts."""
        self._log.info("ingested", accepted=accepted, unchanged=unchanged, stale=stale, rejected=rejected)

    def objected(self, channel: str) -> None:
        """Note that an objection was filed here; whose it is, nobody is told."""
        self._log.info("objected", channel=channel)

    def notified(self, channel: str, **states: int) -> None:
        """Note how many notices of a campaign are in which state."""
        self._log.info("notified", channel=channel, **states)

    def webhook_failed(self, client: str, why: str) -> None:
        """Note that a client's webhook did not answer with a 2xx; where it is, nobody is told."""
        self._log.warning("webhook failed", client=client, why=why)

    def texts_removed(self, items: int) -> None:
        """Note of how many items the text was removed: deleted, or retracted for good, six days ago."""
        self._log.info("texts removed", items=items)

    def duty_failed(self, duty: str, error: BaseException) -> None:
        """Note that background work failed; it is tried again."""
        self._log.error("duty failed", duty=duty, kind=type(error).__name__)

    def failure(self, error: BaseException) -> str:
        """Note a failure by its kind and place, never by its message; give the reference that the client is told."""
        reference = secrets.token_hex(4)
        trace = error.__traceback__
        while trace is not None and trace.tb_next is not None:
            trace = trace.tb_next
        place = f"{trace.tb_frame.f_globals.get('__name__')}:{trace.tb_lineno}" if trace else None
        self._log.error("failure", reference=reference, kind=type(error).__name__, place=place)
        return reference


observe = _Observations()
