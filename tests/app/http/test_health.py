"""/ready says what a load balancer and an operator need, whatever else is asked of the gateway."""

import asyncio
from datetime import UTC, datetime
from typing import Any

from tests.support.gateway import TestGateway


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
