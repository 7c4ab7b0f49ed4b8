"""The complete list of the metrics of `/metrics`. Labels contain names of clients and routes, but no personal data.

Several worker processes share their counts by files (prometheus_client's multiprocess mode), so that any of them can
answer for all.
"""

import os
from collections.abc import Iterable
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from db.connection import METRICS
from db.metrics import DatabaseGauge

SHARED_FOLDER: Final = "PROMETHEUS_MULTIPROC_DIR"
"""The environment variable that names the folder of the shared files. prometheus_client reads the variable on
import."""

disable_created_metrics()  # type: ignore[no-untyped-call]  # the library states no types here
REGISTRY: Final = CollectorRegistry()

REQUESTS: Final = Counter(
    "grounds_http_requests_total",
    "Requests, by route, role of the token and status of the response.",
    ("route", "role", "status"),
    registry=REGISTRY,
)
REQUEST_SECONDS: Final = Histogram(
    "grounds_http_request_duration_seconds",
    "Time from the end of a request's headers to the end of its response.",
    ("route",),
    buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10),
    registry=REGISTRY,
)
GRAPHQL_ERRORS: Final = Counter(
    "grounds_graphql_errors_total", "Errors in GraphQL responses, by code.", ("code",), registry=REGISTRY
)
AUTH_REFUSED: Final = Counter(
    "grounds_auth_refused_total", "Bearer tokens that were refused, by reason.", ("reason",), registry=REGISTRY
)
RATE_LIMITED: Final = Counter(
    "grounds_rate_limited_total", "Requests answered with 429, by route.", ("route",), registry=REGISTRY
)
PAGES: Final = Counter(
    "grounds_pages_total", "Pages of trainable content that were delivered.", ("client",), registry=REGISTRY
)
ITEMS: Final = Counter(
    "grounds_items_delivered_total",
    "Items that were delivered, by client and ground.",
    ("client", "ground"),
    registry=REGISTRY,
)
RECORDS: Final = Counter(
    "grounds_ingest_records_total", "Records that were ingested, by type and outcome.", ("record", "outcome"),
    registry=REGISTRY,
)  # fmt: skip
OBJECTIONS: Final = Counter(
    "grounds_objections_total",
    "Objections that were filed with this gateway, by channel.",
    ("channel",),
    registry=REGISTRY,
)
WEBHOOK_FAILURES: Final = Counter(
    "grounds_webhook_failures_total", "Requests to a client's webhook that failed.", ("client",), registry=REGISTRY
)
MEDIA_FAILURES: Final = Counter(
    "grounds_media_failures_total",
    "Files whose download by a client ended before the end of the file.",
    ("client",),
    registry=REGISTRY,
)
FAILURES: Final = Counter(
    "grounds_failures_total",
    "Requests that failed with an internal error, whose reason is in the log.",
    registry=REGISTRY,
)
JOB_FAILURES: Final = Counter(
    "grounds_job_failures_total", "Runs of background jobs that failed, by job.", ("job",), registry=REGISTRY
)
JOB_SUCCESS: Final = Gauge(
    "grounds_job_last_success_timestamp_seconds", "Time of a background job's last success, in seconds since 1970.",
    ("job",), registry=REGISTRY, multiprocess_mode="mostrecent",
)  # fmt: skip


class _Found(Collector):
    """What was read for one response."""

    def __init__(self, gauges: Iterable[Metric]) -> None:
        self._gauges = list(gauges)

    def collect(self) -> Iterable[Metric]:
        """Return the app's metrics that were read from the database, for Prometheus."""
        return self._gauges


def exposition(found: Iterable[DatabaseGauge], version: str, schema: str, policy: str) -> bytes:
    """Write all metrics of the app in Prometheus' text format: those of the processes and of the database."""
    registry = CollectorRegistry()
    build = GaugeMetricFamily(
        "grounds_build_info",
        "Always 1; the labels state the versions of the gateway and of its tables, and the policy in force.",
        labels=("version", "schema", "policy"),
    )
    build.add_metric((version, schema, policy), 1)
    registry.register(_Found([build, *_families(found)]))
    if SHARED_FOLDER in os.environ:
        counted = CollectorRegistry()
        MultiProcessCollector(counted)  # type: ignore[no-untyped-call]  # the library states no types here
        return generate_latest(registry) + generate_latest(counted)
    return b"".join(map(generate_latest, (registry, REGISTRY, METRICS)))


def _families(found: Iterable[DatabaseGauge]) -> Iterable[Metric]:
    """Gather the database's gauges into the app's metric families for Prometheus."""
    families: dict[str, GaugeMetricFamily] = {}
    for gauge in found:
        labels = () if gauge.client is None else ("client",)
        family = families.setdefault(
            gauge.name, GaugeMetricFamily(f"grounds_{gauge.name}", gauge.description, labels=labels)
        )
        family.add_metric(() if gauge.client is None else (gauge.client,), gauge.value)
    return families.values()
