"""`/metrics` and the request log: what an operator sees of requests, jobs, deliveries and the ledger."""

import re
from collections.abc import AsyncIterator

import psycopg
import pytest

from app import metrics
from app.telemetry import observe
from db.metrics import DESCRIPTIONS
from schema.actor import Role
from tests.support.facts import fact
from tests.support.gateway import TestGateway
from tests.support.retractions import settled
from tests.support.shared_server import SharedServer

TOKEN = "a token of the monitoring system"
SAMPLE = re.compile(r"^(grounds_\w+)(\{[^}]*\})? ([0-9.e+-]+|NaN)$", re.MULTILINE)
MOVING = (
    "INSERT INTO grounds.hold (scope, authority, reason, opened_at, opened_by) VALUES ('GLOBAL', 'a', 'r', now(), 'o')",
    "INSERT INTO grounds.canary_incident (item, hold, found_at) VALUES (1, 1, now())",
    "INSERT INTO grounds.altered_medium VALUES (DEFAULT, 1, '', '', 1, 'P', now())",
    "INSERT INTO grounds.verification (checkpoints, receipts, unsealed, findings) VALUES (1, 1, 0, 0)",
)
SECRET_OF_A_LINK = "kanarienvogel"


@pytest.fixture
async def measured(shared_server: SharedServer) -> AsyncIterator[TestGateway]:
    async with shared_server.gateway(metrics_token=TOKEN) as gateway:
        yield gateway


async def samples(gateway: TestGateway) -> dict[str, float]:
    """Read every sample by its name with its labels."""
    answer = await gateway.client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    return {f"{name}{labels}": float(value) for name, labels, value in SAMPLE.findall(answer.text)}


async def test_there_are_no_metrics_without_a_token(gateway: TestGateway) -> None:
    assert (await gateway.client.get("/metrics")).status_code == 404


async def test_another_token_is_refused(measured: TestGateway) -> None:
    for authorization in (None, "Bearer x", TOKEN, f"Bearer {measured.token(Role.AUDITOR)}"):
        headers = {"Authorization": authorization} if authorization else {}
        answer = await measured.client.get("/metrics", headers=headers)
        assert answer.status_code == 401, authorization
        assert "GROUNDS_METRICS_TOKEN" in answer.json()["errors"][0]["message"]


async def test_what_happens_is_counted(measured: TestGateway) -> None:
    before = await samples(measured)
    await measured.ingest([fact("account"), fact("notice"), fact("content"), {"record": "content"}])
    assert len(await measured.pull()) == 1
    await measured.post(Role.TRAINING_CLIENT, "{ nothing }")
    await measured.client.post("/graphql", json={"query": "{ viewer { role } }"})
    await measured.client.post("/object", data={"who": "somebody@example.org"}, headers={"Origin": measured.address})
    after = await samples(measured)

    def moved(name: str) -> float:
        return after[name] - before.get(name, 0)

    assert moved('grounds_ingest_records_total{outcome="accepted",record="content"}') == 1
    assert moved('grounds_ingest_records_total{outcome="rejected",record="content"}') == 1
    assert moved('grounds_pages_total{client="client"}') == 1
    assert moved('grounds_items_delivered_total{client="client",ground="PUBLIC_CONTENT"}') == 1
    assert moved('grounds_graphql_errors_total{code="GRAPHQL_VALIDATION_FAILED"}') == 1
    assert moved('grounds_auth_refused_total{reason="missing"}') == 1
    assert moved('grounds_http_requests_total{role="none",route="/graphql",status="401"}') == 1
    assert moved('grounds_http_requests_total{role="TRAINING_CLIENT",route="/graphql",status="200"}') == 2
    assert moved('grounds_http_request_duration_seconds_count{route="/ingest"}') == 1
    assert moved('grounds_objections_total{channel="FORM"}') == 1
    assert any(name.startswith('grounds_build_info{policy="') and 'schema="0001"' in name for name in after)


async def test_every_gauge_of_the_database_is_shown(measured: TestGateway) -> None:
    await measured.ingest([fact("account"), fact("notice"), fact("content")])
    await measured.pull()
    measured.execute("INSERT INTO grounds.verification (checkpoints, receipts, unsealed, findings) VALUES (1, 1, 0, 1)")
    shown = await samples(measured)
    assert shown['grounds_job_last_success_timestamp_seconds{job="retract"}'] > 1e9
    assert {re.sub(r"\{.*", "", name).removeprefix("grounds_") for name in shown} >= set(DESCRIPTIONS)
    assert shown["grounds_ledger_verify_ok"] == 0
    assert shown['grounds_retractions_unacknowledged{client="client"}'] == 0


async def test_every_gauge_of_the_database_moves(measured: TestGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.http.metrics.REMEMBERED_SECONDS", 0.0)
    await measured.ingest([fact("account"), fact("notice"), fact("content")])
    await measured.pull()
    before = await samples(measured)
    locked = "SELECT pg_advisory_lock(hashtextextended('job:' || name, 0)) FROM unnest(ARRAY['retract', 'seal']) name"
    with psycopg.connect(measured.database_url, autocommit=True) as jobs:  # which are kept from their work meanwhile
        jobs.execute(locked)
        await measured.pull()
        await measured.ingest([fact("content", 3, audience="FRIENDS"), fact("objection", contact="b" * 64)])
        await measured.ask(Role.AUDITOR, "{ contents(first: 1) { nodes { platformId } } }")
        for statement in MOVING:
            measured.execute(statement)
        during = await samples(measured)
    for name, moved in (
        *(("objections_unmatched", 1), ("holds_open", 1), ("canary_incidents", 1)),
        *(("altered_media", 1), ("ledger_verify_ok", 1), ('staff_reads_total{role="AUDITOR"}', 1)),
    ):
        assert during[f"grounds_{name}"] == before.get(f"grounds_{name}", 0) + moved, name
    for name in (
        "retraction_queue_length",
        "retraction_oldest_seconds",
        "ledger_unsealed_receipts",
        "ledger_verified_timestamp_seconds",
    ):
        assert during[f"grounds_{name}"] > before.get(f"grounds_{name}", 0), name
    await settled(measured)
    assert (await samples(measured))['grounds_retractions_unacknowledged{client="client"}'] == 1


def test_a_failure_of_a_job_and_of_a_webhook_are_counted() -> None:
    def value(metric: str, **labels: str) -> float:
        return metrics.REGISTRY.get_sample_value(metric, labels) or 0

    failures = value("grounds_job_failures_total", job="seal")
    webhooks = value("grounds_webhook_failures_total", client="c")
    any_failure = value("grounds_failures_total")
    observe.job_failed("seal", ValueError())
    observe.webhook_failed("c", "500")
    observe.failure(ValueError())
    assert value("grounds_job_failures_total", job="seal") == failures + 1
    assert value("grounds_webhook_failures_total", client="c") == webhooks + 1
    assert value("grounds_failures_total") == any_failure + 1


async def test_a_request_is_logged_by_its_route_and_role_and_never_by_path_query_or_address(
    measured: TestGateway, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    await measured.client.get(f"/object?t={SECRET_OF_A_LINK}", headers={"User-Agent": SECRET_OF_A_LINK})
    await measured.client.get(f"/{SECRET_OF_A_LINK}")
    await measured.post(Role.TRAINING_CLIENT, "{ viewer { role } }")
    await measured.client.get("/health")
    logged = capsys.readouterr().out
    assert SECRET_OF_A_LINK not in logged
    assert "127.0.0.1" not in logged
    lines = [line for line in logged.splitlines() if "route=" in line]
    assert [named for line in lines for named in re.findall(r"route=(\S+)", line)] == ["/object", "none", "/graphql"]
    assert "client=client" in lines[-1]
    assert "role=TRAINING_CLIENT" in lines[-1]
    assert len({named for line in lines for named in re.findall(r"request=(\w+)", line)}) == 3
