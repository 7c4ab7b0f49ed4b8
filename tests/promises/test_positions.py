"""Every position, every verdict, every page and field that shows one: no two contradict each other."""

import html
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from app.texts.catalogue import open_catalogue
from db.policies.activation import activate_policy
from db.policy.document import parse_policy
from schema.actor import Role
from schema.records.consent import consent_of
from schema.relay.ids import IdKind, ids_of
from tests.promises.oracle import DEFAULT_POLICY
from tests.support.dashboard import dashboard_browser
from tests.support.facts import DAY, NOW, OPTED_IN_POLICY, fact
from tests.support.gateway import SECRET, TestGateway
from tests.support.mutants import Killed
from tests.support.ordinary_cases import ordinary_every

WITHDRAWN: dict[str, Any] = {"received_at": (NOW - 30 * DAY).isoformat()}
NOTICED: dict[str, Any] = {"delivered_at": (NOW - 90 * DAY).isoformat()}
# What is said of each account: its notice, its objections, its consents.
ACCOUNTS: dict[str, list[dict[str, Any]]] = {
    "silent": [],
    "told lately": [fact("notice", delivered_at=(NOW - 5 * DAY).isoformat())],
    "told": [fact("notice", **NOTICED)],
    "bounced": [fact("notice", **NOTICED, bounced_at=(NOW - DAY).isoformat())],
    "objects": [fact("notice", **NOTICED), fact("objection")],
    "objects untold": [fact("objection")],
    "objects in public": [fact("notice", **NOTICED), fact("objection", scope="PUBLIC_CONTENT")],
    "objects to prompts": [fact("notice", **NOTICED), fact("objection", scope="AI_INTERACTIONS")],
    "objects to prompts untold": [fact("objection", scope="AI_INTERACTIONS")],
    "withdrew lately": [fact("notice", **NOTICED), fact("objection", withdrawn_at=(NOW - DAY).isoformat())],
    "withdrew": [fact("notice", **NOTICED), fact("objection", withdrawn_at=(NOW - 15 * DAY).isoformat(), **WITHDRAWN)],
    "consents": [fact("notice", **NOTICED), fact("consent")],
    "consents untold": [fact("consent")],
    "consents no more": [fact("notice", **NOTICED), fact("consent", withdrawn_at=(NOW - DAY).isoformat())],
    "consents later": [fact("notice", **NOTICED), fact("consent", given_at=(NOW + DAY).isoformat())],
    "consents and objects": [fact("notice", **NOTICED), fact("consent"), fact("objection")],
    "consents and objects to prompts": [fact("consent"), fact("objection", scope="AI_INTERACTIONS")],
}
PROMPT: dict[str, Any] = {"kind": "AI_INTERACTION", "audience": None, "conversation": "ASSISTANT_ONLY"}
ITEMS: dict[str, dict[str, Any]] = {"post": {}, "private": {"audience": "FRIENDS"}, "prompt": PROMPT}
ALL = ["POST", "AI_INTERACTION"]
PUBLIC = {"kinds": ["POST"], "products": ["FACEBOOK"]}
POLICIES: dict[str, dict[str, Any]] = {
    "legitimate interest": {"PUBLIC_CONTENT": PUBLIC, "AI_INTERACTION": PUBLIC | {"kinds": ["AI_INTERACTION"]}},
    "consent": {"OPTED_IN": PUBLIC | {"kinds": ALL}},
    "both": {"OPTED_IN": PUBLIC, "AI_INTERACTION": PUBLIC | {"kinds": ["AI_INTERACTION"]}},
}
SEEN = """{ accounts(first: 1) { nodes {
  consent { position since scope legalBasis { iri } askedFor givenAt
    objections { scope activeUntil } notices { deliveredAt } }
  contents(first: 3) { nodes { id kind eligibility {
    permitted ground summary legalBasis { iri } conditions { code outcome required } } } } } } }"""
CHECK = "query C($ids: [ID!]!) { checkEligibility(ids: $ids) { items { contentId state } } }"
COUNTED = """query ($document: String!) {
  coverage(groupBy: []) { total { permitted } } simulatePolicy(document: $document) { gained lost } }"""
NODE = "query N($id: ID!) { node(id: $id) { id } }"
RESEARCH: dict[str, Any] = {"purposes": ["RESEARCH"], "kinds": ["POST"], "products": ["FACEBOOK"]}
TWO_PURPOSES = DEFAULT_POLICY | {"version": "two", "purposes": ["GENAI_TRAINING", "RESEARCH"]}
ONLY_POSTS = {"grounds": {"PUBLIC_CONTENT": PUBLIC}}
OF_PURPOSE = """query C($purpose: String) { coverage(groupBy: [KIND], purpose: $purpose) {
  purposes total { items permitted exclusions { condition total } } } }"""
BY_PURPOSE = """query B($document: String!) {
  simulatePolicy(document: $document) { byPurpose { name gained lost } } }"""
CONSENT_IRI = "https://w3id.org/dpv/legal/eu/gdpr#A6-1-a"
TEXTS = open_catalogue(None)["en"]


def facts() -> Iterator[dict[str, Any]]:
    for name, said in ACCOUNTS.items():
        yield fact("account", id=name)
        for record in said:
            yield record | {"id": f"{record['record']} {name}", "account": name}
        for item, fields in ITEMS.items():
            yield fact("content", id=f"{item} {name}", account=name, **fields)


async def contradictions(gateway: TestGateway) -> list[str]:
    """Ask every reader about every account, and list where two answers do not fit."""
    delivered = set(await gateway.platform_ids(item["id"] for item in await gateway.pull()))
    officers = await gateway.decisions()
    clients = await _answers_to_a_client(gateway)
    found = []
    async with dashboard_browser(gateway, Role.PRIVACY_OFFICER) as browser:
        for number, name in enumerate(ACCOUNTS):
            (own,) = (await gateway.ask(Role.DATA_SUBJECT, SEEN, subject=name))["accounts"]["nodes"]
            headers = {"Authorization": f"Bearer {gateway.token(Role.DATA_SUBJECT, subject=name)}"}
            page = (await gateway.client.get("/me", headers=headers)).text
            verdicts = [mark == "may" for mark in re.findall(r'<p class="(may|may-not)">', page)]
            looked_up = f"{list(ITEMS)[number % len(ITEMS)]} {name}"
            explained = (await browser.get("/dashboard/explain", params={"id": looked_up})).text
            found += [f"{name}: {fault}" for fault in _of_account(own, page, explained)]
            if f"{looked_up} is {'permitted' if officers[looked_up][0] else 'not permitted'}." not in explained:
                found.append(f"{looked_up}: Explain's heading says otherwise than the decision")
            for item, node, shown in zip(ITEMS, own["contents"]["nodes"], verdicts, strict=True):
                told = f"{item} {name}"
                for fault in _of_item(own["consent"], node, shown, told in delivered):
                    found.append(f"{told}: {fault}")
                found += [
                    f"{told}: {fault}" for fault in _of_readers(node["eligibility"], officers[told], clients[told])
                ]
    return found


async def _answers_to_a_client(gateway: TestGateway) -> dict[str, tuple[bool, bool]]:
    """Return whether a training client is told that it can use an item, and whether it is given it by its id."""
    ids = ids_of(SECRET, "client:client")
    items = gateway.execute("SELECT platform_id, id FROM grounds.content ORDER BY id")
    names = {ids.encode(IdKind.TRAINABLE_CONTENT, number): name for name, number in items}
    checked = (await gateway.ask(Role.TRAINING_CLIENT, CHECK, {"ids": list(names)}))["checkEligibility"]["items"]
    found = {}
    for each in checked:
        node = (await gateway.ask(Role.TRAINING_CLIENT, NODE, {"id": each["contentId"]}))["node"]
        found[names[each["contentId"]]] = each["state"] == "PERMITTED", node is not None
    return found


def _of_readers(
    own: dict[str, Any], officers: tuple[bool, str, dict[str, str]], client: tuple[bool, bool]
) -> Iterator[str]:
    """List where others are told otherwise than the person."""
    outcomes = {result["code"]: result["outcome"] for result in own["conditions"]}
    if (own["permitted"], own["ground"], outcomes) != officers:
        yield "an officer is told otherwise than the person"
    if client != (own["permitted"], own["permitted"]):
        yield f"permitted {own['permitted']}, and a client is told {client[0]} and given {client[1]}"


def _of_account(own: dict[str, Any], page: str, explained: str) -> Iterator[str]:
    consent = own["consent"]
    position = consent["position"]
    words = html.escape(TEXTS["positions"][position], quote=False)
    items = own["contents"]["nodes"]
    if words not in html.unescape(page) and words not in page:
        yield f"/me does not say {position}"
    if f"<dd>{position.replace('_', ' ').lower()}" not in explained.lower():
        yield f"Explain does not say {position}"
    if (position == "OBJECTED") != (consent["scope"] is not None):
        yield "a scope without an objection, or the other way round"
    if (consent["since"] is None) != (position == "NOT_NOTICED"):
        yield "a position without its time, or no position with one"
    bases = {item["eligibility"]["legalBasis"]["iri"] for item in items}
    if consent["legalBasis"]["iri"] not in bases:
        yield f"the basis {consent['legalBasis']['iri']} is that of none of its items"
    if "Nothing of yours is used" in words and any(item["eligibility"]["permitted"] for item in items):
        yield f"{position} says that nothing is used, and something is permitted"
    if (TEXTS["me"]["consent_asked"] in page) != consent["askedFor"]:
        yield "/me says otherwise whether consent is needed"
    if (TEXTS["me"]["consent_withdraw"] in page) != (consent["givenAt"] is not None):
        yield "/me says otherwise whether consent was given"
    if ("Is not used" in page) != (not all(item["eligibility"]["permitted"] for item in items)):
        yield "/me says otherwise what is used"


def _of_item(consent: dict[str, Any], item: dict[str, Any], shown: bool, delivered: bool) -> Iterator[str]:
    eligibility = item["eligibility"]
    outcomes = {result["code"]: result["outcome"] for result in eligibility["conditions"]}
    required = {result["code"] for result in eligibility["conditions"] if result["required"]}
    permitted = eligibility["permitted"]
    if {permitted, shown, delivered} != {permitted}:
        yield f"permitted {permitted}, on /me {shown}, delivered {delivered}"
    if permitted != all(outcomes[code] == "PASS" for code in required):
        yield "the verdict is not that of its conditions"
    if permitted == eligibility["summary"].startswith("Not permitted"):
        yield "the summary says otherwise"
    position = consent["position"]
    uncovered = "PUBLIC_CONTENT" if item["kind"] == "AI_INTERACTION" else "AI_INTERACTIONS"
    objected = position == "OBJECTED" and consent["scope"] != uncovered
    if objected != (outcomes["NO_ACTIVE_OBJECTION"] == "FAIL"):
        yield f"{position} {consent['scope']}, and NO_ACTIVE_OBJECTION is {outcomes['NO_ACTIVE_OBJECTION']}"
    expected = {
        "NOT_NOTICED": {"NOTICE_DELIVERED": {"FAIL"}},
        "NOTICE_PERIOD": {"NOTICE_DELIVERED": {"PASS"}, "NOTICE_PERIOD_ELAPSED": {"FAIL"}},
        "NOT_OBJECTED": {"NOTICE_DELIVERED": {"PASS"}, "NOTICE_PERIOD_ELAPSED": {"PASS"}},
        "OPTED_IN": {"OPTED_IN": {"PASS"}},
        "OBJECTED": {},
    }[position]
    for code, fitting in expected.items():
        if outcomes.get(code) not in fitting:
            yield f"{position}, and {code} is {outcomes.get(code)}"
    if consent["askedFor"] and (consent["givenAt"] is not None) != (outcomes["OPTED_IN"] == "PASS"):
        yield f"given at {consent['givenAt']}, and OPTED_IN is {outcomes['OPTED_IN']}"
    if position not in ("OPTED_IN", "OBJECTED") and outcomes.get("OPTED_IN") == "PASS":
        yield f"{position}, and consent was given"
    if (eligibility["ground"] == "OPTED_IN") != (eligibility["legalBasis"]["iri"] == CONSENT_IRI):
        yield "the ground has another's basis"


@pytest.mark.parametrize("policy", ordinary_every(3, POLICIES))
async def test_no_two_answers_about_a_position_contradict_each_other(
    gateway: TestGateway, policy: str, monkeypatch: pytest.MonkeyPatch, killed: Killed
) -> None:
    gateway.set_clock(NOW)
    document = OPTED_IN_POLICY | {"version": policy.replace(" ", "-"), "grounds": POLICIES[policy]}
    activate_policy(gateway.database_url, parse_policy(json.dumps(document)))
    answer = await gateway.ingest(facts())
    assert answer["total"]["rejected"] == 0
    assert await contradictions(gateway) == []
    await gateway.take_coverage()
    counted = await gateway.ask(Role.AUDITOR, COUNTED, {"document": json.dumps(document | {"version": "next"})})
    assert counted["coverage"]["total"]["permitted"] == len(await gateway.pull())
    assert (counted["simulatePolicy"]["gained"], counted["simulatePolicy"]["lost"]) == (0, 0)

    def consents_first(row: Any, *given: Any, **named: Any) -> Any:
        return consent_of(row._replace(objects_to_public=False, objects_to_ai=False), *given, **named)

    monkeypatch.setattr("schema.records.account.consent_of", consents_first)
    found = await contradictions(gateway)
    killed(f"a position without its objection, {policy}", "schema/records/consent.py", found[0] if found else None)


async def test_every_page_and_field_shows_each_purpose_and_delivers_for_its_own(gateway: TestGateway) -> None:
    """Both accounts were told of GENAI_TRAINING, and one of them of RESEARCH, which the policy has too."""
    gateway.set_clock(NOW)
    of_research = fact("notice", id="of research", account="told of both", epoch="2025-12", **NOTICED)
    records = [fact("campaign", id="2025-12", told=[RESEARCH], texts={}), of_research]
    for name in ("told of one", "told of both"):
        about: dict[str, Any] = {"id": name, "account": name}
        records += [fact("account", id=name), fact("notice", **about, **NOTICED), fact("content", **about)]
    assert (await gateway.ingest(records))["total"]["accepted"] == len(records)
    activate_policy(gateway.database_url, parse_policy(json.dumps(TWO_PURPOSES | ONLY_POSTS)))
    for purpose, items in (("GENAI_TRAINING", 2), ("RESEARCH", 1)):
        assert len(await gateway.pull(client=purpose.lower(), purpose=purpose)) == items
    for name, told in (("told of one", False), ("told of both", True)):
        assert await _purposes_at_me(gateway, name) == [("GENAI_TRAINING", True), ("RESEARCH", told)]
        assert await _purposes_explained(gateway, name) == [("genai training", True), ("research", told)]

    await gateway.take_coverage()
    assert await _purposes_counted(gateway) == [("GENAI_TRAINING", 2, 2, 0), ("RESEARCH", 2, 1, 1)]
    nothing = TWO_PURPOSES | ONLY_POSTS | {"version": "next", "regions": ["FR"]}
    found = (await gateway.ask(Role.AUDITOR, BY_PURPOSE, {"document": json.dumps(nothing)}))["simulatePolicy"]
    assert found["byPurpose"] == [
        {"name": "GENAI_TRAINING", "gained": 0, "lost": 2},
        {"name": "RESEARCH", "gained": 0, "lost": 1},
    ]


async def _purposes_at_me(gateway: TestGateway, name: str) -> list[tuple[str, bool]]:
    """Read for which purposes the page /me says that an account's item can be used; its data say the same."""
    headers = {"Authorization": f"Bearer {gateway.token(Role.DATA_SUBJECT, subject=name)}"}
    page = (await gateway.client.get("/me", headers=headers)).text
    own = (await gateway.client.get("/me", params={"format": "json"}, headers=headers)).json()
    (item,) = own["contents"]["nodes"]
    decided = [(each["purpose"], each["permitted"]) for each in item["eligibilityByPurpose"]]
    words = {"GENAI_TRAINING": "training of generative AI", "RESEARCH": "RESEARCH"}
    assert re.findall(r'<p class="(may|may-not)">[^(]+\((.+)\)</p>', page) == [
        ("may" if permitted else "may-not", words[purpose]) for purpose, permitted in decided
    ]
    assert re.findall(r"<strong>(.+?)</strong>: (.+)", page) == [
        (words[purpose], TEXTS["positions"]["NOT_OBJECTED" if permitted else "NOT_NOTICED"])
        for purpose, permitted in decided
    ]
    return decided


async def _purposes_explained(gateway: TestGateway, item: str) -> list[tuple[str, bool]]:
    """Read for which purposes the dashboard explains that an item is permitted."""
    async with dashboard_browser(gateway, Role.AUDITOR) as browser:
        page = (await browser.get("/dashboard/explain", params={"id": item})).text
    summaries = re.findall(r"<dt>(genai training|research)</dt><dd>(.+?)</dd>", page, re.IGNORECASE)
    return [(purpose.lower(), not text.startswith("Not permitted")) for purpose, text in summaries]


async def _purposes_counted(gateway: TestGateway) -> list[tuple[str, int, int, int]]:
    """Read how many items each purpose has, how many are permitted, and how many lack a notice."""
    counts = []
    async with dashboard_browser(gateway, Role.AUDITOR) as browser:
        for purpose in TWO_PURPOSES["purposes"]:
            coverage = (await gateway.ask(Role.AUDITOR, OF_PURPOSE, {"purpose": purpose}))["coverage"]
            total = coverage["total"]
            assert coverage["purposes"] == TWO_PURPOSES["purposes"]
            page = (await browser.get("/dashboard", params={"purpose": purpose})).text
            assert f"{total['permitted']} of {total['items']} items qualify" in page
            (untold,) = [each["total"] for each in total["exclusions"] if each["condition"] == "NOTICE_DELIVERED"]
            counts.append((purpose, total["items"], total["permitted"], untold))
    return counts
