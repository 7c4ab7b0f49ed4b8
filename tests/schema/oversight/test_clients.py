"""Officers watch training clients and suspend them: at once by one, and back by two."""

from typing import Any

import pytest

from schema.actor import Role
from tests.schema.oversight.test_holds_and_policies import officer, refusal
from tests.support.facts import DAY, NOW
from tests.support.gateway import PULL, TestGateway
from tests.support.retractions import deliver, register, retract, settled

SUSPEND = """mutation S($client: String!, $reason: String! = "An inquiry") {
  suspendClient(name: $client, reason: $reason) { name suspended suspensions { reason suspendedBy resumedBy } }
}"""
RESUME = """mutation R($client: String!) {
  resumeClient(name: $client) { suspended suspensions { resumeRequestedBy resumedBy resumedAt } }
}"""
CLIENTS = """{ clients {
  name pages items lastDeliveredAt retractions acknowledged unacknowledged overdue overdueSince
  webhook { host attemptedAt failures }
} }"""
PAGE = """query($after: String) { trainableContent(first: 1, after: $after) {
  nodes { id } pageInfo { endCursor hasNextPage }
} }"""


async def clients_by_name(gateway: TestGateway, role: Role = Role.AUDITOR) -> dict[str, dict[str, Any]]:
    return {each["name"]: each for each in (await gateway.ask(role, CLIENTS))["clients"]}


async def pull_refusal(gateway: TestGateway, **claims: str) -> str:
    answer = (await gateway.post(Role.TRAINING_CLIENT, PULL, {"first": 9}, **claims)).json()
    assert answer["data"] is None
    message: str = answer["errors"][0]["message"]
    return message


async def test_a_suspended_client_receives_nothing_from_its_next_page_on_and_is_told_why(gateway: TestGateway) -> None:
    await deliver(gateway, 2, "client", "other")
    first = (await gateway.ask(Role.TRAINING_CLIENT, PAGE))["trainableContent"]
    assert first["pageInfo"]["hasNextPage"]
    suspended = await officer(gateway, SUSPEND, client="client")
    assert suspended == {
        **{"name": "client", "suspended": True},
        "suspensions": [{"reason": "An inquiry", "suspendedBy": "first", "resumedBy": None}],
    }
    answer = await gateway.post(Role.TRAINING_CLIENT, PAGE, {"after": first["pageInfo"]["endCursor"]})
    said = "trainableContent: nothing is delivered to this client while it is suspended (ask the privacy officers"
    assert answer.json()["errors"][0]["message"].startswith(said)
    assert (await pull_refusal(gateway)).startswith(said)
    assert gateway.execute("SELECT count(*) FROM grounds.delivery WHERE client = 1") == [(2,)]
    node = "query($id: ID!) { node(id: $id) { id } checkEligibility(ids: [$id]) { items { state } } }"
    one = await gateway.ask(Role.TRAINING_CLIENT, node, {"id": first["nodes"][0]["id"]})
    assert one == {"node": None, "checkEligibility": {"items": [{"state": "PERMITTED"}]}}, "as the feed says"
    assert len(await gateway.pull(client="other")) == 2, "nobody else is concerned"


async def test_what_a_suspended_client_holds_is_retracted_all_the_same(gateway: TestGateway) -> None:
    names = await deliver(gateway, 2)
    await officer(gateway, SUSPEND, client="client")
    await retract(gateway, names[:1])
    await settled(gateway)
    feed = await gateway.ask(Role.TRAINING_CLIENT, "{ retractions(first: 9) { nodes { kind } } }")
    assert feed["retractions"]["nodes"] == [{"kind": "RETRACT"}]


async def test_a_client_is_resumed_by_a_second_officer(gateway: TestGateway) -> None:
    await deliver(gateway, 1)
    assert "name: must be a client that an officer suspended" in await refusal(gateway, RESUME, client="client")
    await officer(gateway, SUSPEND, client="client")
    asked = await officer(gateway, RESUME, client="client")
    assert asked == {"suspended": True, "suspensions": [resume_requested_by("first")]}
    assert "ask another officer" in await refusal(gateway, RESUME, client="client")
    assert "while it is suspended" in await pull_refusal(gateway)
    resumed = await officer(gateway, RESUME, "second", client="client")
    over = {"resumedBy": "second", "resumedAt": NOW.isoformat()}
    assert resumed == {"suspended": False, "suspensions": [resume_requested_by("first") | over]}
    assert len(await gateway.pull()) == 1
    await officer(gateway, SUSPEND, client="client", reason="Another inquiry")
    assert "while it is suspended" in await pull_refusal(gateway)
    again = await officer(gateway, RESUME, "second", client="client")
    assert [each["resumedBy"] for each in again["suspensions"]] == [None, "second"], "what was agreed once is used up"


def resume_requested_by(by: str) -> dict[str, Any]:
    return {"resumeRequestedBy": by, "resumedBy": None, "resumedAt": None}


async def test_a_suspension_that_would_do_nothing_is_refused(gateway: TestGateway) -> None:
    await deliver(gateway, 1)
    assert (await refusal(gateway, SUSPEND, client="nobody")).startswith("name: must be a registered client")
    assert (await refusal(gateway, SUSPEND, client="client", reason=" ")).startswith("reason: must have 1 to ")
    await officer(gateway, SUSPEND, client="client")
    assert (await refusal(gateway, SUSPEND, "second", client="client")).startswith("name: is already suspended")


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.PRIVACY_OFFICER])
async def test_nobody_else_suspends_or_resumes(gateway: TestGateway, role: Role) -> None:
    claims = {"subject": "author"} if role is Role.DATA_SUBJECT else {}
    for query in (SUSPEND, RESUME):
        answer = (await gateway.post(role, query, {"client": "client"}, **claims)).json()
        assert answer["errors"][0]["extensions"]["code"] == "FORBIDDEN"


async def test_a_database_that_does_not_hold_a_suspended_client_is_noticed(gateway: TestGateway) -> None:
    await deliver(gateway, 1)
    gateway.execute("CREATE FUNCTION grounds.forget() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'")
    gateway.execute("ALTER FUNCTION grounds.forget() OWNER TO grounds_owner")
    gateway.execute(
        "CREATE TRIGGER forgotten BEFORE UPDATE OF suspended ON grounds.client"
        " FOR EACH ROW EXECUTE FUNCTION grounds.forget()"
    )
    assert "name: must be a registered client" in await refusal(gateway, SUSPEND, client="client")
    assert len(await gateway.pull()) == 1, "the tests above would have passed over this"


async def test_clients_are_listed_with_what_they_received_and_owe(gateway: TestGateway) -> None:
    names = await deliver(gateway, 3, "client", "other")
    await retract(gateway, names[:2])
    await settled(gateway)
    ids = await gateway.ask(Role.TRAINING_CLIENT, "{ retractions(first: 9) { nodes { id } } }")
    (one, _) = ids["retractions"]["nodes"]
    acknowledge = "mutation($id: ID!) { acknowledgeRetractions(upTo: $id) { remaining } }"
    await gateway.ask(Role.TRAINING_CLIENT, acknowledge, one)
    gateway.set_clock(NOW + 7 * DAY)
    seen = await clients_by_name(gateway)
    assert seen["client"] == {
        **{"name": "client", "pages": 1, "items": 3, "lastDeliveredAt": NOW.isoformat(), "webhook": None},
        **{"retractions": 2, "acknowledged": 1, "unacknowledged": 1, "overdue": 1},
        "overdueSince": (NOW + DAY).isoformat(),
    }
    assert (seen["other"]["acknowledged"], seen["other"]["overdue"]) == (0, 2)
    assert "until it acknowledges its overdue retractions" in await pull_refusal(gateway)


async def test_officers_see_a_webhooks_failures_and_of_its_address_the_host_alone(gateway: TestGateway) -> None:
    await deliver(gateway, 1)
    secret = "https://hooks.example.org:8443/a-secret?token=another"
    await register(gateway, secret)
    seen = await gateway.post(Role.PRIVACY_OFFICER, CLIENTS)
    assert "secret" not in seen.text
    assert seen.json()["data"]["clients"][0]["webhook"] == _webhook(None, 0)
    record = "SELECT grounds.record_webhook(1, %s, NULL)"
    for _ in range(2):
        gateway.execute(record, secret)
    assert (await clients_by_name(gateway))["client"]["webhook"] == _webhook(NOW.isoformat(), 2)
    await register(gateway, secret)
    assert (await clients_by_name(gateway))["client"]["webhook"] == _webhook(NOW.isoformat(), 0)
    for host in ("other.example.org", "127.0.0.1", "[::1]"):
        await register(gateway, f"http{'s' * (host[0] == 'o')}://{host}:99/x")
        assert (await clients_by_name(gateway))["client"]["webhook"] == _webhook(None, 0) | {"host": host}


def _webhook(attempted_at: str | None, failures: int) -> dict[str, Any]:
    return {"host": "hooks.example.org", "attemptedAt": attempted_at, "failures": failures}


async def test_the_items_of_receipts_of_any_size_are_counted(gateway: TestGateway) -> None:
    sizes = [*range(1, 20), 100, 248, 249, 250, 251, 252, 1000]
    await deliver(gateway, 1)
    (before,) = [client["items"] for client in (await clients_by_name(gateway)).values()]
    for size in sizes:
        gateway.execute(
            "INSERT INTO grounds.delivery (client, purpose, policy, decided_at, items, lowest, highest, item_count)"
            " SELECT client, purpose, policy, decided_at, ARRAY(SELECT generate_series(1, %s)::bigint), 1, 2, %s"
            " FROM grounds.delivery ORDER BY id LIMIT 1",
            *(size, size),
        )
    assert [client["items"] for client in (await clients_by_name(gateway)).values()] == [before + sum(sizes)]
