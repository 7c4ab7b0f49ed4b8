"""Planted items: a page that would hold one is not served, everything is held, and only officers learn of it."""

import asyncio
import signal
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.auth.dev_issuer import DevelopmentIssuer
from db.policy.compile import bind_predicate, compiled_views, conditions_of
from db.policy.document import default_policy
from schema.actor import Role
from schema.relay.ids import IdKind, ids_of
from tests.support.command import serving
from tests.support.dashboard import dashboard_browser
from tests.support.facts import DAY, NOW, fact
from tests.support.gateway import PULL, SECRET, TestGateway, put_page_view
from tests.support.leak_probe import CLIENT
from tests.support.mutants import Killed

PLANTED = "{ canaries { contentId platformId reason plantedBy incidents { client purpose policyVersion holdId } } }"
STOPPED = (
    "SELECT c.platform_id, i.purpose, i.policy FROM grounds.canary_incident i JOIN grounds.content c ON c.id = i.item"
)
HOLDS = "SELECT scope, value, authority, opened_by, lifted_at FROM grounds.hold WHERE authority = 'Grounds'"
LIFT = "mutation Lift($id: ID!) { liftHold(id: $id) { liftedBy } }"
RECEIPTS = "SELECT count(*) FROM grounds.delivery d, grounds.items_of(d) i JOIN grounds.canary k ON k.item = i"
# A server that is killed when the statement has stopped a page, before it answers.
KILLED = """
import os, signal, schema.training.trainable_content
from app.cli.main import main
from db.connection import PoolExhausted
from db.delivery.pages import deliver

async def killed(*asked, **how):
    try:
        return await deliver(*asked, **how)
    except PoolExhausted:
        os.kill(os.getpid(), signal.SIGKILL)

schema.training.trainable_content.deliver = killed
main()
"""


@pytest.fixture
async def planted(gateway: TestGateway) -> TestGateway:
    """A permitted item, and the three that the operator plants: a minor's, a message, an objector's."""
    gateway.set_clock(NOW - 60 * DAY)
    await gateway.ingest([fact("account"), fact("notice"), fact("content")])
    await gateway.ingest(
        [
            *(record for name in ("child", "objector") for record in canary_facts(name)),
            fact("account", id="child", born_on="2012-01-01"),
            fact("objection", account="objector"),
            fact("content", id="message", account="objector", kind="PRIVATE_MESSAGE", audience="ONLY_ME"),
        ]
    )
    gateway.set_clock(NOW)
    for item in ("of child", "of objector", "message"):
        gateway.execute(*as_officer("plant_canary(%s, 'It can never qualify.')", item))
    assert gateway.execute("SELECT count(*) FROM grounds.canary") == [(3,)]
    return gateway


def canary_facts(name: str) -> list[dict[str, Any]]:
    born = "2012-01-01" if name == "child" else "1990-01-01"
    about: dict[str, Any] = {"account": name}
    return [
        fact("account", id=name, born_on=born),
        fact("notice", id=f"to {name}", **about),
        fact("content", id=f"of {name}", **about),
    ]


def as_officer(call: str, *values: str) -> tuple[str, ...]:
    """Write a statement that calls a function as an officer."""
    claims = "set_config('grounds.examiner', 'PRIVACY_OFFICER', TRUE), set_config('grounds.officer', 'operator', TRUE)"
    return (f"SELECT grounds.{call} FROM (SELECT {claims} OFFSET 0) claims", *values)


def break_rule(gateway: TestGateway, code: str = "NO_ACTIVE_OBJECTION") -> None:
    """Take a condition out of the view of pages."""
    (condition,) = [each for each in conditions_of(default_policy()) if each.code == code]
    view = compiled_views(default_policy())["trainable_content"]
    rule = bind_predicate(condition, default_policy(), unclaimed="TRUE")
    assert rule in view
    put(gateway, view.replace(rule, "TRUE"))


def put(gateway: TestGateway, view: str) -> None:
    put_page_view(gateway.database_url, view)


async def test_pages_at_the_same_time_open_one_hold_and_none_is_served(planted: TestGateway) -> None:
    break_rule(planted)
    asked = [planted.post(Role.TRAINING_CLIENT, PULL, {"first": 9}, client=f"client-{n}") for n in range(8)]
    answers = await asyncio.gather(*asked)
    assert all(
        "nodes" not in answer.text or not answer.json()["data"]["trainableContent"]["nodes"] for answer in answers
    )
    assert {answer.status_code for answer in answers} <= {200, 503}
    assert len(planted.execute(HOLDS)) == 1
    found = planted.execute(STOPPED)
    assert 1 <= len(found) <= 8
    assert set(found) == {("of objector", "GENAI_TRAINING", default_policy().version)}
    assert planted.execute("SELECT count(*) FROM grounds.delivery") == [(0,)]


async def test_a_server_that_is_killed_before_it_answers_leaves_the_hold_and_the_incident(
    planted: TestGateway, tmp_path: Path
) -> None:
    break_rule(planted)
    given = {"DATABASE_URL": planted.database_url, "GROUNDS_SECRET": SECRET.decode()}
    token = DevelopmentIssuer.open(tmp_path).token(Role.TRAINING_CLIENT, client="client", purpose="GENAI_TRAINING")
    with serving(tmp_path, tmp_path / "log", env=given, build=KILLED) as server:
        headers = {"Authorization": f"Bearer {token}"}
        async with httpx.AsyncClient(headers=headers, timeout=60) as client:
            with pytest.raises(httpx.RemoteProtocolError):
                await client.post(f"{server.address}/graphql", json={"query": PULL, "variables": {"first": 9}})
        assert server.process.wait(30) == -signal.SIGKILL
    assert planted.execute(HOLDS) == [("GLOBAL", None, "Grounds", None, None)]
    assert [item for item, _, _ in planted.execute(STOPPED)] == ["of objector"]
    assert await planted.pull() == []


async def test_two_officers_lift_the_hold_as_any_other(planted: TestGateway) -> None:
    break_rule(planted)
    assert (await planted.post(Role.TRAINING_CLIENT, PULL, {"first": 9})).status_code == 503
    put(planted, compiled_views(default_policy())["trainable_content"])
    found = (await planted.ask(Role.PRIVACY_OFFICER, PLANTED))["canaries"]
    (incident,) = next(each["incidents"] for each in found if each["platformId"] == "of objector")
    assert (incident["client"], incident["purpose"]) == ("client", "GENAI_TRAINING")
    for officer in ("first", "second"):
        assert await planted.pull() == []
        await planted.ask(Role.PRIVACY_OFFICER, LIFT, {"id": incident["holdId"]}, name=officer)
    planted.set_clock(NOW + DAY)
    assert [item["id"] for item in await planted.pull()] != []
    break_rule(planted)
    assert (await planted.post(Role.TRAINING_CLIENT, PULL, {"first": 9})).status_code == 503
    assert len(planted.execute(HOLDS)) == 2


async def test_only_officers_are_shown_which_items_are_planted(planted: TestGateway) -> None:
    found = (await planted.ask(Role.PRIVACY_OFFICER, PLANTED))["canaries"]
    assert [(each["platformId"], each["plantedBy"], each["incidents"]) for each in found] == [
        (item, "operator", []) for item in ("of child", "of objector", "message")
    ]
    own = '{ contents(first: 9, platformIds: ["of child", "item"]) { nodes { platformId canary { reason } } } }'
    nodes = (await planted.ask(Role.PRIVACY_OFFICER, own))["contents"]["nodes"]
    assert [each["canary"] for each in nodes] == [None, {"reason": "It can never qualify."}]
    for role in set(Role) - {Role.PRIVACY_OFFICER}:
        claims: dict[str, Any] = {"subject": "child"} if role is Role.DATA_SUBJECT else {}
        for query in (PLANTED, "{ contents(first: 9) { nodes { canary { reason } } } }"):
            answer = (await planted.post(role, query, **claims)).json()
            assert answer["errors"][0]["extensions"]["code"] == "FORBIDDEN", role
    for role, said in ((Role.PRIVACY_OFFICER, True), (Role.AUDITOR, False)):
        async with dashboard_browser(planted, role) as browser:
            page = (await browser.get("/dashboard/explain", params={"id": "of child"})).text
            assert "of child is not permitted." in page
            assert ("It can never qualify" in page, '<h2 id="planted">' in page) == (said, said)


async def test_a_client_is_answered_about_a_planted_item_as_about_one_that_is_not_there(planted: TestGateway) -> None:
    ids = ids_of(SECRET, f"client:{CLIENT}")
    items = dict(planted.execute("SELECT platform_id, id FROM grounds.content"))
    asked = [ids.encode(IdKind.TRAINABLE_CONTENT, number) for number in (items["of objector"], 999)]
    look = "query Look($id: ID!) { node(id: $id) { id } }"
    answers = {(await planted.post(Role.TRAINING_CLIENT, look, {"id": each})).text for each in asked}
    assert len(answers) == 1
    check = "query C($ids: [ID!]!) { checkEligibility(ids: $ids) { items { state } } }"
    states = (await planted.ask(Role.TRAINING_CLIENT, check, {"ids": asked}))["checkEligibility"]["items"]
    assert [each["state"] for each in states] == ["RETRACTED", "RETRACTED"]
    assert len(await planted.pull()) == 1
    assert planted.execute("SELECT count(*) FROM grounds.canary_incident") == [(0,)]
    break_rule(planted)
    assert (await planted.post(Role.TRAINING_CLIENT, look, {"id": asked[0]})).status_code == 503
    assert len(planted.execute(HOLDS)) == 1


async def test_planted_items_count_nowhere(planted: TestGateway) -> None:
    await planted.take_coverage()
    planted.execute("SELECT grounds.count_notices()")
    document = default_policy().model_copy(update={"version": "next", "regions": ("FR",)}).document()
    found = await planted.ask(
        Role.AUDITOR,
        """query Q($document: String!) {
          coverage(groupBy: [KIND]) { rows { items permitted } }
          objectionSummary { received active }
          noticeSummary { counts { accounts delivered } }
          simulatePolicy(document: $document) { items lost } }""",
        {"document": document},
    )
    assert found["coverage"]["rows"] == [{"items": 1, "permitted": 1}]
    assert (found["objectionSummary"]["received"], found["objectionSummary"]["active"]) == (0, 0)
    counts = [each for summary in found["noticeSummary"] for each in summary["counts"]]
    assert max(each["accounts"] for each in counts) == max(each["delivered"] for each in counts) == 1
    assert (found["simulatePolicy"]["items"], found["simulatePolicy"]["lost"]) == (1, 1)
    assert planted.execute("SELECT * FROM grounds.planted_objections()") != []


async def test_what_qualifies_or_was_delivered_cannot_be_planted(planted: TestGateway) -> None:
    def planting(item: str) -> Any:
        ((outcome,),) = planted.execute(*as_officer("plant_canary(%s, 'A reason')", item))
        return outcome

    assert (planting("nothing"), planting("item"), planting("message")) == (None, "QUALIFIES", "PLANTED_BEFORE")
    ((hold,),) = planted.execute(
        "INSERT INTO grounds.hold (scope, authority, reason, opened_at) VALUES ('GLOBAL', 'A', 'R', now()) RETURNING id"
    )
    assert planting("item") == "QUALIFIES", "a hold can be lifted"
    planted.execute(f"DELETE FROM grounds.hold WHERE id = {hold}")
    await planted.pull()
    await planted.ingest([fact("content", day=3, audience="FRIENDS")])
    assert planting("item") == "DELIVERED_BEFORE"
    removing = as_officer("remove_canary(%s)", "message")
    assert (planted.execute(*removing), planted.execute(*removing)) == ([(True,)], [(False,)])
    assert planting("message") == "PLANTED"


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("planted items are not looked for", "IF found_canaries = '{}'", "IF TRUE"),
        ("an error takes the hold back", "RETURN TRUE", "RAISE EXCEPTION 'a planted item'"),
    ],
)
async def test_a_check_that_is_broken_is_noticed(
    planted: TestGateway, name: str, old: str, new: str, killed: Killed
) -> None:
    break_rule(planted)
    ((source,),) = planted.execute("SELECT pg_get_functiondef('grounds.stopped_by_canary'::regproc)")
    assert old in source
    planted.execute(source.replace(old, new))
    status = (await planted.post(Role.TRAINING_CLIENT, PULL, {"first": 9})).status_code
    killed(name, "stopped_by_canary()", None if planted.execute(HOLDS) else f"status {status} and no hold")
