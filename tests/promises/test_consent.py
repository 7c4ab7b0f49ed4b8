"""Consent under a policy that rests on it: given and withdrawn by the person alone, and beaten by an objection."""

import asyncio
import json
import re
from datetime import timedelta
from typing import Any

import pytest

from db.policies.activation import activate_policy
from db.policy.document import parse_policy
from schema.actor import Role
from tests.support.facts import NOW, OPTED_IN_POLICY, fact
from tests.support.gateway import TestGateway
from tests.support.mutants import Killed
from tests.support.retractions import alter, settled

GIVE = "mutation { giveConsent { reference givenAt } }"
WITHDRAW = "mutation { withdrawConsent { reference withdrawnAt } }"
POSITION = """{ accounts(first: 1) { nodes { consent {
    position since askedFor givenAt legalBasis { iri } events(first: 20) { nodes { kind } } } } } }"""
CONSENT_IRI = "https://w3id.org/dpv/legal/eu/gdpr#A6-1-a"


@pytest.fixture
async def consenting_gateway(gateway: TestGateway) -> TestGateway:
    """A gateway whose policy rests on consent, and one item, which is not permitted yet."""
    gateway.set_clock(NOW)
    grounds = {"OPTED_IN": {"kinds": ["POST", "AI_INTERACTION"], "products": ["FACEBOOK"]}}
    policy = OPTED_IN_POLICY | {"version": "consent", "grounds": grounds}
    activate_policy(gateway.database_url, parse_policy(json.dumps(policy)))
    await gateway.ingest([fact("account"), fact("content"), fact("notice")])
    assert await gateway.pull() == []
    return gateway


async def say(gateway: TestGateway, mutation: str, subject: str = "author") -> dict[str, Any]:
    (answer,) = (await gateway.ask(Role.DATA_SUBJECT, mutation, subject=subject)).values()
    return dict(answer)


async def position(gateway: TestGateway) -> dict[str, Any]:
    found = await gateway.ask(Role.DATA_SUBJECT, POSITION, subject="author")
    consent: dict[str, Any] = found["accounts"]["nodes"][0]["consent"]
    return consent | {"events": [event["kind"] for event in consent["events"]["nodes"]]}


async def test_consent_permits_and_its_withdrawal_counts_at_once_and_retracts(consenting_gateway: TestGateway) -> None:
    given = await say(consenting_gateway, GIVE)
    assert given["reference"].startswith("given-")
    assert given["givenAt"] == NOW.isoformat()
    assert (await say(consenting_gateway, GIVE)) == given, "to say it twice changes nothing"
    consent = await position(consenting_gateway)
    assert (consent["position"], consent["legalBasis"]["iri"]) == ("OPTED_IN", CONSENT_IRI)
    assert (consent["askedFor"], consent["givenAt"]) == (True, given["givenAt"])
    assert len(await consenting_gateway.pull()) == 1

    consenting_gateway.set_clock(NOW + timedelta(minutes=1))
    withdrawn = await say(consenting_gateway, WITHDRAW)
    assert withdrawn["reference"].startswith("withdrawn-")
    assert await consenting_gateway.pull() == []
    await settled(consenting_gateway)
    feed = await consenting_gateway.ask(Role.TRAINING_CLIENT, "{ retractions(first: 9) { nodes { kind } } }")
    assert feed["retractions"]["nodes"] == [{"kind": "RETRACT"}]
    assert await say(consenting_gateway, WITHDRAW) == withdrawn
    consent = await position(consenting_gateway)
    assert consent["events"] == ["NOTICE_DELIVERED", "CONSENT_GIVEN", "CONSENT_WITHDRAWN"]
    assert consent["position"] != "OPTED_IN"
    assert (consent["askedFor"], consent["givenAt"]) == (True, None)

    consenting_gateway.set_clock(NOW + timedelta(minutes=2))
    assert (await say(consenting_gateway, GIVE))["reference"] != given["reference"]
    assert len(await consenting_gateway.pull()) == 1


async def test_what_the_platform_states_again_undoes_no_withdrawal(consenting_gateway: TestGateway) -> None:
    await consenting_gateway.ingest([fact("consent")])
    assert len(await consenting_gateway.pull()) == 1
    await say(consenting_gateway, WITHDRAW)
    await consenting_gateway.ingest(
        [fact("consent", 9), fact("consent", 9, id="again", given_at="2026-05-31T00:00:00Z")]
    )
    assert await consenting_gateway.pull() == []


async def test_an_objection_beats_consent_whichever_comes_last(consenting_gateway: TestGateway) -> None:
    await say(consenting_gateway, GIVE)
    await consenting_gateway.ask(
        Role.DATA_SUBJECT, "mutation { fileObjection(input: {}) { reference } }", subject="author"
    )
    assert await consenting_gateway.pull() == []
    consenting_gateway.set_clock(NOW + timedelta(minutes=1))
    await say(consenting_gateway, WITHDRAW)
    consenting_gateway.set_clock(NOW + timedelta(minutes=2))
    await say(consenting_gateway, GIVE)
    assert await consenting_gateway.pull() == []
    assert (await position(consenting_gateway))["position"] == "OBJECTED"


async def test_consent_where_none_is_asked_for_is_refused_with_words(
    consenting_gateway: TestGateway, killed: Killed
) -> None:
    await consenting_gateway.ingest([fact("account", id="other", product="WHATSAPP")])
    refused = []
    for subject in ("other", "nobody"):
        answer = (await consenting_gateway.post(Role.DATA_SUBJECT, GIVE, subject=subject)).json()
        refused.append(answer["errors"][0]["message"])
        answer = (await consenting_gateway.post(Role.DATA_SUBJECT, WITHDRAW, subject=subject)).json()
        refused.append(answer["errors"][0]["message"])
    none = "giveConsent: the policy in force does not ask your account for consent (you need not do anything)"
    assert refused == [none, "withdrawConsent: your account has not given consent (you need not do anything)"] * 2
    for role in (Role.PRIVACY_OFFICER, Role.TRAINING_CLIENT, Role.AUDITOR):
        assert "errors" in (await consenting_gateway.post(role, GIVE)).json(), "nobody consents for another"
    assert consenting_gateway.execute("SELECT count(*) FROM grounds.consent") == [(0,)]
    alter(consenting_gateway, "asks_for_consent(bigint)", (" ? a.product", " IS NOT NULL"))
    given = (await consenting_gateway.post(Role.DATA_SUBJECT, GIVE, subject="other")).json().get("data")
    killed("consent for any product", "db/sql/consent.sql", "the refusals above" if given else None)


async def test_a_consent_that_the_policy_does_not_ask_for_is_counted_in_the_summary(gateway: TestGateway) -> None:
    answer = await gateway.ingest([fact("consent"), fact("account")])
    assert (answer["consentsNotAskedFor"], answer["total"]["accepted"]) == (1, 2)
    activate_policy(gateway.database_url, parse_policy(json.dumps(OPTED_IN_POLICY | {"version": "consent"})))
    asked = [fact("consent", 3), fact("consent", id="unknown", account="later")]
    not_asked = [fact("account", id="other", product="WHATSAPP"), fact("consent", id="other", account="other")]
    answer = await gateway.ingest([*asked, *not_asked])
    assert (answer["consentsNotAskedFor"], answer["total"]["accepted"]) == (1, 4)


async def test_two_who_give_and_withdraw_at_once_end_as_the_last_one_said(consenting_gateway: TestGateway) -> None:
    for _ in range(5):
        await asyncio.gather(*(say(consenting_gateway, GIVE) for _ in range(4)), return_exceptions=True)
    assert consenting_gateway.execute("SELECT count(*) FROM grounds.consent") == [(1,)]
    # One that waits too long for the others is told to try again.
    await asyncio.gather(*(say(consenting_gateway, WITHDRAW) for _ in range(4)), return_exceptions=True)
    await say(consenting_gateway, WITHDRAW)
    assert consenting_gateway.execute("SELECT count(*) FROM grounds.consent") == [(2,)]
    assert await consenting_gateway.pull() == []


async def test_a_prompt_needs_what_a_prompt_needs(consenting_gateway: TestGateway) -> None:
    prompt: dict[str, Any] = {
        "kind": "AI_INTERACTION",
        "conversation": "ASSISTANT_ONLY",
        "audience": None,
        "audience_since": None,
    }
    await consenting_gateway.ingest([fact("content", id="prompt", **prompt)])
    await say(consenting_gateway, GIVE)
    await consenting_gateway.settle()
    query = """{ trainableContent(first: 9) { nodes { kind reason { ground conditions { code } } } } }"""
    nodes = (await consenting_gateway.ask(Role.TRAINING_CLIENT, query))["trainableContent"]["nodes"]
    needed = {node["kind"]: {each["code"] for each in node["reason"]["conditions"]} for node in nodes}
    assert needed["POST"] - needed["AI_INTERACTION"] == {"AUDIENCE_PUBLIC", "AUDIENCE_STABLE"}
    assert "OPTED_IN" in needed["AI_INTERACTION"] & needed["POST"]
    assert {item: permitted for item, (permitted, _, _) in (await consenting_gateway.decisions()).items()} == {
        "item": True,
        "prompt": True,
    }


async def test_a_person_gives_and_withdraws_it_at_me_one_as_easily_as_the_other(
    consenting_gateway: TestGateway,
) -> None:
    token = consenting_gateway.token(Role.DATA_SUBJECT, subject="author")
    headers = {
        "Authorization": f"Bearer {token}",
        "Origin": consenting_gateway.address,
        "Sec-Fetch-Site": "same-origin",
    }

    async def send(word: str, **other: str) -> tuple[int, str | None]:
        answer = await consenting_gateway.client.post("/me", data={"consent": word}, headers=headers | other)
        return answer.status_code, answer.headers.get("location")

    async def buttons() -> list[str]:
        page = (await consenting_gateway.client.get("/me", headers=headers)).text
        return re.findall(r'<button type="submit" name="consent" value="(\w+)">', page)

    assert await buttons() == ["give"]
    assert await send("give") == (303, "/me?lang=en#consent")
    assert (await buttons(), len(await consenting_gateway.pull())) == (["withdraw"], 1)
    consenting_gateway.set_clock(NOW + timedelta(minutes=1))
    assert (await send("withdraw"))[0] == 303
    assert (await buttons(), await consenting_gateway.pull()) == (["give"], [])
    assert (await send("give", Origin="https://elsewhere.example"))[0] == 403
    assert (await send("perhaps"))[0] == 422
    assert (await consenting_gateway.client.post("/me", data={"consent": "give"})).status_code == 401
    assert await buttons() == ["give"]
