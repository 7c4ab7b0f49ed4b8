"""What officers do: holds that are in force for the next page, policies in time; to loosen takes two."""

import asyncio
import json
from datetime import timedelta
from typing import Any

import pytest

from db.policy.document import default_policy
from schema.actor import Role
from tests.support.database_pauses import job_stopped
from tests.support.facts import NOW, fact
from tests.support.gateway import TestGateway

pytestmark = pytest.mark.database

OPEN = """mutation Open($scope: HoldScope!, $value: String) {
  openHold(scope: $scope, value: $value, authority: "The authority", reason: "An order") { id openedBy endsAt }
}"""
LIFT = "mutation Lift($id: ID!) { liftHold(id: $id) { liftRequestedBy liftedBy endsAt } }"
PROPOSE = "mutation P($document: String!) { proposePolicy(document: $document) { policy { version } approvedBy } }"
ACTIVATE = "mutation A($version: String!) { activatePolicy(version: $version) { approvedBy activatedAt } }"
SIMULATE = """query S($document: String!) { simulatePolicy(document: $document) {
  items examined gained lost byKind { name gained lost } byCountry { name gained lost } byCondition { name gained lost }
} }"""


@pytest.fixture
async def permitting(gateway: TestGateway) -> TestGateway:
    gateway.set_clock(NOW - timedelta(days=60))
    await gateway.ingest([fact("account"), fact("notice"), fact("content"), fact("content", id="other")])
    gateway.set_clock(NOW)
    return gateway


async def officer(gateway: TestGateway, query: str, name: str = "first", **variables: Any) -> Any:
    data = await gateway.ask(Role.PRIVACY_OFFICER, query, variables, name=name)
    return next(iter(data.values()))


async def refusal(gateway: TestGateway, query: str, name: str = "first", **variables: Any) -> str:
    answer = (await gateway.post(Role.PRIVACY_OFFICER, query, variables, name=name)).json()
    assert answer["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT", answer
    return str(answer["errors"][0]["message"])


@pytest.mark.parametrize(
    ("scope", "value"), [("GLOBAL", None), ("COUNTRY", "IE"), ("PRODUCT", "FACEBOOK"), ("ACCOUNT", "author")]
)
async def test_a_hold_opened_between_two_pages_leaves_its_scope_out_of_the_second(
    permitting: TestGateway, scope: str, value: str | None
) -> None:
    page = "query($after: String) { trainableContent(first: 1, after: $after) { nodes { id } pageInfo { endCursor } } }"
    first = (await permitting.ask(Role.TRAINING_CLIENT, page))["trainableContent"]
    assert len(first["nodes"]) == 1
    held = await officer(permitting, OPEN, scope=scope, value=value)
    assert held["openedBy"] == "first"
    second = await permitting.ask(Role.TRAINING_CLIENT, page, {"after": first["pageInfo"]["endCursor"]})
    assert second["trainableContent"]["nodes"] == []


async def test_a_hold_on_somebody_else_covers_nothing(permitting: TestGateway) -> None:
    await permitting.ingest([fact("account", id="somebody")])
    await officer(permitting, OPEN, scope="ACCOUNT", value="somebody")
    await officer(permitting, OPEN, scope="COUNTRY", value="FR")
    assert len(await permitting.pull()) == 2


async def test_a_hold_on_an_account_names_it_by_our_id(permitting: TestGateway) -> None:
    opened = await officer(permitting, OPEN.replace("openedBy", "value"), scope="ACCOUNT", value="author")
    listed = (await officer(permitting, "{ holds(first: 9) { nodes { value } } }"))["nodes"]
    account = (await officer(permitting, '{ account(id: "author") { id } }'))["id"]
    assert [opened["value"]] == [each["value"] for each in listed] == [account]


async def test_a_hold_is_lifted_by_a_second_officer_and_ends_a_day_later(permitting: TestGateway) -> None:
    held = await officer(permitting, OPEN, scope="GLOBAL")
    assert (await officer(permitting, LIFT, id=held["id"]))["liftedBy"] is None
    assert "ask another officer" in await refusal(permitting, LIFT, id=held["id"])
    assert await permitting.pull() == []
    lifted = await officer(permitting, LIFT, "second", id=held["id"])
    assert (lifted["liftRequestedBy"], lifted["liftedBy"]) == ("first", "second")
    assert await permitting.pull() == []
    assert len((await officer(permitting, "{ holds(first: 9, open: true) { nodes { id } } }"))["nodes"]) == 1
    permitting.set_clock(NOW + timedelta(hours=24))
    assert len(await permitting.pull()) == 2
    assert (await officer(permitting, "{ holds(first: 9, open: true) { nodes { id } } }"))["nodes"] == []
    assert len((await officer(permitting, "{ holds(first: 9) { nodes { id } } }"))["nodes"]) == 1


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"scope": "COUNTRY"}, "value: is missing"),
        *(
            ({"scope": "COUNTRY", "value": code}, "value: must be a country")
            for code in ("Ireland", "EL", "UK", "XX", "ie")
        ),
        ({"scope": "PRODUCT", "value": "FACEBOK"}, "value: must be a product of the platform or of the policy"),
        ({"scope": "GLOBAL", "value": "IE"}, "value: must be null for a GLOBAL hold"),
        ({"scope": "ACCOUNT", "value": ""}, "value: must have 1 to "),
        ({"scope": "ACCOUNT", "value": "nobody"}, "value: must be a known account"),
        ({"scope": "ACCOUNT", "value": "named only"}, "value: must be a known account"),
    ],
)
async def test_a_hold_that_would_cover_nothing_is_refused(
    gateway: TestGateway, given: dict[str, Any], said: str
) -> None:
    await gateway.ingest([fact("notice", account="named only")])
    assert (await refusal(gateway, OPEN, **given)).startswith(said)
    assert gateway.execute("SELECT count(*) FROM grounds.hold") == [(0,)]


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.PRIVACY_OFFICER])
async def test_only_a_privacy_officer_acts(gateway: TestGateway, role: Role) -> None:
    claims = {"subject": "author"} if role is Role.DATA_SUBJECT else {}
    for query, variables in ((OPEN, {"scope": "GLOBAL"}), (LIFT, {"id": "x"}), (ACTIVATE, {"version": "next"})):
        answer = (await gateway.post(role, query, variables, **claims)).json()
        assert answer["errors"][0]["extensions"]["code"] == "FORBIDDEN"
    assert gateway.execute("SELECT count(*) FROM grounds.hold") == [(0,)]


def proposed(**changed: Any) -> str:
    document = json.loads(default_policy().document()) | {"version": "next"} | changed
    return json.dumps(document)


async def put_in_force(gateway: TestGateway) -> None:
    """Wait for the background's job."""
    for _ in range(100):
        if gateway.execute("SELECT 1 FROM grounds.policy WHERE active AND version = 'next'"):
            return
        await asyncio.sleep(0.1)
    raise AssertionError("no policy was put in force")


async def test_a_policy_takes_two_officers_and_its_time(permitting: TestGateway) -> None:
    document = proposed(regions=["FR"], effective_from=(NOW + timedelta(days=1)).isoformat())
    await officer(permitting, PROPOSE, document=document)
    assert "ask another officer" in await refusal(permitting, ACTIVATE, version="next")
    approved = await officer(permitting, ACTIVATE, "second", version="next")
    assert approved == {"approvedBy": "second", "activatedAt": None}
    assert len(await permitting.pull()) == 2
    permitting.set_clock(NOW + timedelta(days=1))
    await put_in_force(permitting)
    assert await permitting.pull() == []
    assert (await officer(permitting, "{ policy { version } }"))["version"] == "next"


async def test_every_version_of_the_policy_is_listed_with_where_it_stands(permitting: TestGateway) -> None:
    query = "{ policies { policy { version regions } state firstActivatedAt proposal { approvedBy } } }"

    async def listed() -> list[tuple[str, str]]:
        found = await officer(permitting, query)
        return [(each["policy"]["version"], each["state"]) for each in found]

    first = default_policy().version
    assert await listed() == [(first, "IN_FORCE")]
    await officer(permitting, PROPOSE, document=proposed(regions=["FR"], effective_from=NOW.isoformat()))
    assert await listed() == [("next", "PROPOSED"), (first, "IN_FORCE")]
    await officer(permitting, ACTIVATE, "second", version="next")
    await put_in_force(permitting)
    assert await listed() == [("next", "IN_FORCE"), (first, "PAST")]
    (newest, oldest) = await officer(permitting, query)
    assert (newest["policy"]["regions"], newest["proposal"]) == (["FR"], {"approvedBy": "second"})
    assert (newest["firstActivatedAt"], oldest["proposal"]) == (NOW.isoformat(), None)


async def test_between_two_policies_a_client_is_told_to_come_again(permitting: TestGateway) -> None:
    await officer(permitting, PROPOSE, document=proposed(effective_from=NOW.isoformat()))
    async with job_stopped(permitting, "policy"):
        await officer(permitting, ACTIVATE, "second", version="next")
        answer = await permitting.post(Role.TRAINING_CLIENT, "{ trainableContent(first: 1) { nodes { id } } }")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        permitted = {permitted for permitted, *_ in (await permitting.decisions()).values()}
        assert permitted == {False}
    await put_in_force(permitting)
    assert len(await permitting.pull()) == 2


async def test_a_version_is_proposed_once(permitting: TestGateway) -> None:
    await officer(permitting, PROPOSE, document=proposed())
    assert "already proposed or in force" in await refusal(permitting, PROPOSE, document=proposed(regions=["FR"]))
    known = json.dumps(json.loads(default_policy().document()) | {"regions": ["FR"]})
    assert "already proposed or in force" in await refusal(permitting, PROPOSE, document=known)
    assert "PRIVATE_MESSAGE" in await refusal(
        permitting,
        PROPOSE,
        document=proposed(grounds={"PUBLIC_CONTENT": {"kinds": ["PRIVATE_MESSAGE"], "products": ["FACEBOOK"]}}),
    )


async def test_a_simulation_counts_what_a_policy_would_change(permitting: TestGateway) -> None:
    await permitting.ingest([fact("account", id="paris", country="FR"), fact("content", id="seine", account="paris")])
    found = await officer(permitting, SIMULATE, document=proposed(regions=["FR"]))
    assert (found["items"], found["examined"], found["gained"], found["lost"]) == (3, 3, 0, 2)
    assert found["byCountry"] == [{"name": "IE", "gained": 0, "lost": 2}]
    assert found["byCondition"] == [{"name": "REGION_COVERED", "gained": 0, "lost": 2}]
    later = await officer(
        permitting, SIMULATE, document=proposed(notice={"epoch": "2026-05", "period_days": 30}, regions=["FR", "IE"])
    )
    assert (later["gained"], later["lost"]) == (0, 2)
    assert {change["name"] for change in later["byCondition"]} == {"NOTICE_DELIVERED", "NOTICE_PERIOD_ELAPSED"}
    permitting.execute("UPDATE grounds.account SET kind = 'PAGE' WHERE platform_id = 'author'")
    gained = await officer(permitting, SIMULATE, document=proposed(account_kinds=["PERSONAL", "PAGE"]))
    assert (gained["gained"], gained["lost"]) == (2, 0)
    assert gained["byCondition"] == [{"name": "ACCOUNT_KIND_COVERED", "gained": 2, "lost": 0}]
