"""A person id or a contact that stands for nobody: declared by two officers, it links nothing after the dwell."""

import hashlib
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from schema.actor import Role
from tests.support.facts import NOW, fact
from tests.support.gateway import TestGateway, open_gateway

CONTACT = hashlib.sha256(b"nobody@example.com").hexdigest()
DECLARE = """mutation D($kind: LinkKind!, $value: String!, $reason: String) {
  declarePlaceholder(kind: $kind, value: $value, reason: $reason) { value declaredBy approvedBy inEffectFrom }
}"""
REVOKE = "mutation R($kind: LinkKind!, $value: String!) { revokePlaceholder(kind: $kind, value: $value) { value } }"
FILE = "mutation F($input: FileObjectionInput!) { fileObjection(input: $input) { reference } }"
LISTED = "{ placeholders { kind value reason declaredBy approvedBy inEffectFrom } }"
SHARED = "{ sharedLinks(first: 5) { kind value accounts } }"
WAYS = [("PERSON", "0"), ("CONTACT", CONTACT)]
LINKED: dict[str, Any] = {"person": "0", "contacts": [CONTACT]}
DAY = timedelta(days=1)


@pytest.fixture
async def linked(database_url: str, tmp_path: Path) -> AsyncIterator[TestGateway]:
    """Three accounts with the same person id and the same contact, and an item of each."""
    async with open_gateway(database_url, tmp_path) as gateway:
        gateway.set_clock(NOW - 60 * DAY)
        for name in ("one", "two", "three"):
            await gateway.ingest([fact("account", id=name, **LINKED), *belonging(name)])
        gateway.set_clock(NOW)
        yield gateway


def belonging(name: str) -> list[dict[str, Any]]:
    return [fact("notice", id=name, account=name), fact("content", id=name, account=name)]


async def officer(gateway: TestGateway, query: str, name: str = "first", **variables: Any) -> Any:
    data = await gateway.ask(Role.PRIVACY_OFFICER, query, variables, name=name)
    return next(iter(data.values()))


async def refusal(gateway: TestGateway, query: str, name: str = "first", **variables: Any) -> str:
    answer = (await gateway.post(Role.PRIVACY_OFFICER, query, variables, name=name)).json()
    assert answer["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT", answer
    return str(answer["errors"][0]["message"])


async def served(gateway: TestGateway) -> list[str]:
    return sorted(await gateway.platform_ids([item["id"] for item in await gateway.pull()]))


async def declared(gateway: TestGateway, kind: str, value: str) -> None:
    await officer(gateway, DECLARE, kind=kind, value=value, reason="An export writes it")
    await officer(gateway, DECLARE, "second", kind=kind, value=value)


def unlink(gateway: TestGateway, at_once: int = 1000) -> None:
    while gateway.execute("SELECT grounds.apply_placeholders(%s)", at_once) != [(0,)]:
        pass


@pytest.mark.parametrize(("kind", "value"), WAYS)
async def test_a_placeholder_links_until_its_dwell_is_over_and_nothing_from_then_on(
    linked: TestGateway, kind: str, value: str
) -> None:
    await officer(linked, FILE, input={"account": "one"} if kind == "PERSON" else {"contact": CONTACT})
    assert await served(linked) == []
    await declared(linked, kind, value)
    linked.set_clock(NOW + 14 * DAY - timedelta(seconds=1))
    unlink(linked)
    assert await served(linked) == []
    linked.set_clock(NOW + 14 * DAY)
    assert await served(linked) == []  # until the job has unlinked them
    unlink(linked, 1)
    assert await served(linked) == ["three", "two"] if kind == "PERSON" else ["one", "three", "two"]
    (listed,) = await officer(linked, LISTED)
    assert (listed["approvedBy"], listed["inEffectFrom"]) == ("second", "2026-06-15T12:00:00+00:00")


async def test_a_contact_that_stands_for_nobody_names_no_account_in_an_objection(linked: TestGateway) -> None:
    await declared(linked, "PERSON", "0")
    await declared(linked, "CONTACT", CONTACT)
    linked.set_clock(NOW + 14 * DAY)
    unlink(linked)
    for target in ({"contact": CONTACT}, {"person": "0"}):
        await officer(linked, FILE, input=target)
    assert await served(linked) == ["one", "three", "two"]
    unmatched = "{ objections(first: 9, unmatched: true) { nodes { targets { kind } } } }"
    assert len((await officer(linked, unmatched))["nodes"]) == 2
    await linked.ingest([fact("account", id="four", **LINKED), *belonging("four")])
    assert await served(linked) == ["four", "one", "three", "two"]


async def test_accounts_that_other_links_connect_stay_one_person(linked: TestGateway) -> None:
    await linked.ingest([fact("account", 3, id=name, person="real", contacts=[CONTACT]) for name in ("one", "two")])
    await officer(linked, FILE, input={"account": "one"})
    await declared(linked, "PERSON", "0")
    linked.set_clock(NOW + 14 * DAY)
    unlink(linked, 1)
    assert await served(linked) == ["three"]


async def test_the_past_is_decided_by_the_links_of_then(linked: TestGateway) -> None:
    await officer(linked, FILE, input={"account": "one"})
    await declared(linked, "PERSON", "0")
    linked.set_clock(NOW + 14 * DAY)
    unlink(linked)
    asked = """query A($at: DateTime!) { eligibility(contentId: "two", asOf: {validAt: $at, knownAt: $at}) {
      conditions { code outcome } } }"""
    found = {}
    for days in (13, 14):
        eligibility = await officer(linked, asked, at=(NOW + days * DAY).isoformat())
        found[days] = {each["code"]: each["outcome"] for each in eligibility["conditions"]}["NO_ACTIVE_OBJECTION"]
    assert found == {13: "FAIL", 14: "PASS"}


async def test_it_takes_two_officers_and_a_reason(linked: TestGateway) -> None:
    asked = {"kind": "PERSON", "value": "0"}
    assert (await refusal(linked, DECLARE, **asked)).startswith("reason: is missing")
    assert (await refusal(linked, DECLARE, **asked, reason=" ")).startswith("reason: must have 1 to ")
    assert (await officer(linked, DECLARE, **asked, reason="An export"))["approvedBy"] is None
    assert (await refusal(linked, DECLARE, **asked)).startswith("value: you already declared this")
    assert (await officer(linked, DECLARE, "second", **asked))["approvedBy"] == "second"
    assert (await officer(linked, DECLARE, "third", **asked))["approvedBy"] == "second"
    assert (await refusal(linked, DECLARE, kind="CONTACT", value="0")).startswith(
        "value: must be a phone number with its country code"
    )
    assert (await refusal(linked, DECLARE, kind="PERSON", value="")).startswith("value: must have 1 to ")


async def test_any_officer_revokes_a_placeholder_before_it_is_in_effect(linked: TestGateway) -> None:
    asked = {"kind": "PERSON", "value": "0"}
    assert (await refusal(linked, REVOKE, **asked)).startswith("value: must be a declared placeholder")
    await declared(linked, "PERSON", "0")
    assert await officer(linked, REVOKE, "third", **asked) == {"value": "0"}
    assert await officer(linked, LISTED) == []
    await declared(linked, "PERSON", "0")
    linked.set_clock(NOW + 14 * DAY)
    unlink(linked)
    assert (await refusal(linked, REVOKE, **asked)).startswith("value: is in effect and can no longer be revoked")


async def test_officers_are_shown_what_many_accounts_share(linked: TestGateway) -> None:
    linked.execute("SELECT grounds.count_shared_links(3, 10)")
    shared = await officer(linked, SHARED)
    assert [(each["kind"], each["value"], each["accounts"]) for each in shared] == [
        ("CONTACT", CONTACT, 3),
        ("PERSON", "0", 3),
    ]
    linked.execute("SELECT grounds.count_shared_links(4, 10)")
    assert await officer(linked, SHARED) == []


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.PRIVACY_OFFICER])
async def test_only_a_privacy_officer_declares_and_reads_placeholders(gateway: TestGateway, role: Role) -> None:
    claims = {"subject": "one"} if role is Role.DATA_SUBJECT else {}
    for query, variables in (
        (DECLARE, {"kind": "PERSON", "value": "0", "reason": "x"}),
        (REVOKE, {"kind": "PERSON", "value": "0"}),
        (LISTED, {}),
        (SHARED, {}),
    ):
        (error,) = (await gateway.post(role, query, variables, **claims)).json()["errors"]
        assert error["extensions"]["code"] == "FORBIDDEN"
