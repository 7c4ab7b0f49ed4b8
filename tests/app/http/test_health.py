"""/ready says what a load balancer and an operator need, whatever else is asked of the gateway."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from app.server.scheduler import hold_job_lock
from db.connection import open_database
from schema.actor import Role
from tests.support.dashboard import dashboard_browser
from tests.support.gateway import SECRET, TestGateway
from tests.support.mutants import Killed
from tests.support.retractions import alter


async def ready(gateway: TestGateway) -> dict[str, Any]:
    response = await gateway.client.get("/ready")
    assert response.status_code == 200
    body: dict[str, Any] = response.json()
    return body


async def failing(gateway: TestGateway, expected: set[str]) -> dict[str, Any]:
    """Wait until exactly these jobs fail, and return what is said of them."""
    for _ in range(300):
        jobs: dict[str, Any] = (await ready(gateway)).get("failing_jobs", {})
        if jobs.keys() == expected:
            return jobs
        await asyncio.sleep(0.1)
    raise AssertionError(f"{jobs} fail and not {expected}")


async def test_a_job_that_fails_is_named_until_it_succeeds(gateway: TestGateway) -> None:
    assert await ready(gateway) == {"status": "ready", "policy": "2025-05-27"}
    gateway.execute("ALTER FUNCTION grounds.retract_due() RENAME TO canary_of_a_failure")
    first = (await failing(gateway, {"retract"}))["retract"]
    await asyncio.sleep(2)
    then = (await failing(gateway, {"retract"}))["retract"]
    assert (then["kind"], then["since"]) == ("UndefinedFunctionError", first["since"])
    assert then["failures"] > first["failures"]
    assert datetime.fromisoformat(then["since"]) <= datetime.now(UTC)
    gateway.execute("ALTER FUNCTION grounds.canary_of_a_failure() RENAME TO retract_due")
    assert await failing(gateway, set()) == {}


HANGING = (
    "UPDATE grounds.job SET started_at = now() - interval '1 day', last_success_at = now() - interval '1 day'"
    " WHERE name = 'retract'"
)
RECORDED = "SELECT name FROM grounds.job WHERE name = 'retract' AND seconds > 0 AND last_success_at IS NOT NULL"
JOBS = "{ backgroundJobs { name lastSuccessAt failingSince errorKind isOverdue } }"


async def seen_of_a_hanging_job(gateway: TestGateway) -> tuple[set[str], set[str], bool]:
    """Let another process hang in the job `retract`; return what /ready, the API and the dashboard name."""
    for _ in range(600):
        if gateway.execute(RECORDED):  # the start of the job, and its first success
            break
        await asyncio.sleep(0.1)
    else:
        raise AssertionError("the job never succeeds")
    async with open_database(gateway.database_url, SECRET) as other, hold_job_lock(other, "retract"):
        gateway.execute(HANGING)
        await asyncio.sleep(3)
        named = (await ready(gateway)).get("failing_jobs", {})
        jobs = (await gateway.ask(Role.AUDITOR, JOBS))["backgroundJobs"]
        async with dashboard_browser(gateway, Role.AUDITOR) as browser:
            page = (await browser.get("/dashboard/clients")).text
    assert all(each["kind"] == "Overdue" for each in named.values())
    return named.keys(), {each["name"] for each in jobs if each["isOverdue"]}, "retract</strong>: has not" in page


@pytest.mark.ci
async def test_a_job_in_which_another_process_hangs_is_named(gateway: TestGateway) -> None:
    assert await seen_of_a_hanging_job(gateway) == ({"retract"}, {"retract"}, True)
    assert await failing(gateway, set()) == {}
    async with dashboard_browser(gateway, Role.AUDITOR) as browser:
        assert "No background job fails" in (await browser.get("/dashboard/clients")).text


async def test_a_job_that_fails_in_another_process_is_named(gateway: TestGateway, killed: Killed) -> None:
    gateway.execute("SELECT grounds.record_job('elsewhere', 'ValueError')")
    assert (await failing(gateway, {"elsewhere"}))["elsewhere"]["kind"] == "ValueError"
    alter(gateway, "job_states()", ("FROM grounds.job j", "FROM grounds.job j WHERE FALSE"))
    await asyncio.sleep(1.1)
    named = (await ready(gateway)).get("failing_jobs", {})
    killed("jobs of this process only", "/ready", None if named else "a job that fails elsewhere is not named")


async def test_it_is_right_beside_any_number_of_anonymous_requests(gateway: TestGateway) -> None:
    crowd = [asyncio.create_task(gateway.client.get("/object?t=x")) for _ in range(150)]
    probes = [asyncio.create_task(gateway.client.get("/ready")) for _ in range(150)]
    statuses = {response.status_code for response in await asyncio.gather(*probes)}
    assert statuses == {200}
    assert {response.status_code for response in await asyncio.gather(*crowd)} <= {200, 503}


async def test_a_policy_that_is_not_in_force_makes_it_say_so(gateway: TestGateway) -> None:
    gateway.execute("UPDATE grounds.policy SET active = FALSE")
    await asyncio.sleep(1.1)  # what was found is remembered for a second
    response = await gateway.client.get("/ready")
    assert response.status_code == 503
    assert response.json().items() >= {"status": "not ready", "reason": "no policy is in force"}.items()
