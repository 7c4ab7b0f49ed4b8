"""Officers and auditors read which media files had other bytes than the platform had stated, and others do not."""

from typing import Any

import pytest

from schema.actor import Role
from tests.support.facts import NOW, fact
from tests.support.gateway import TestGateway
from tests.support.mutants import Killed

QUERY = """query Q($after: String) { alteredMedia(first: 1, after: $after) {
    nodes { contentId client purpose statedSha256 foundSha256 foundAt } pageInfo { hasNextPage endCursor } } }"""
CONTENT = "query C($id: ID!) { content(id: $id) { kind eligibility { conditions { code outcome } } } }"
STATED, FOUND = "ab" * 32, "cd" * 32


@pytest.fixture
async def altered(gateway: TestGateway) -> TestGateway:
    """A gateway with a client that fetched two altered files."""
    gateway.set_clock(NOW)
    await gateway.ingest([fact("account"), fact("notice"), fact("content"), fact("content", id="other")])
    await gateway.pull()
    gateway.execute(
        "SELECT grounds.quarantine_altered_medium(c.id, %s, %s, k.id, 'GENAI_TRAINING')"
        " FROM grounds.content c, grounds.client k ORDER BY c.id",
        STATED,
        FOUND,
    )
    return gateway


async def pages(gateway: TestGateway, role: Role) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    after = None
    while True:
        page = (await gateway.ask(role, QUERY, {"after": after}))["alteredMedia"]
        found += page["nodes"]
        if not page["pageInfo"]["hasNextPage"]:
            return found
        after = page["pageInfo"]["endCursor"]


async def test_an_incident_names_the_item_the_client_and_both_hashes(altered: TestGateway) -> None:
    for role in (Role.PRIVACY_OFFICER, Role.AUDITOR):
        found = await pages(altered, role)
        assert len({each.pop("contentId") for each in found}) == 2
        assert found == [
            {"client": "client", "purpose": "GENAI_TRAINING", "statedSha256": STATED, "foundSha256": FOUND}
            | {"foundAt": NOW.isoformat()}
        ] * 2  # fmt: skip


async def test_the_item_of_an_incident_is_quarantined(altered: TestGateway) -> None:
    for each in await pages(altered, Role.PRIVACY_OFFICER):
        item = (await altered.ask(Role.PRIVACY_OFFICER, CONTENT, {"id": each["contentId"]}))["content"]
        outcomes = {each["code"]: each["outcome"] for each in item["eligibility"]["conditions"]}
        assert outcomes["CONTENT_SETTLED"] == "UNKNOWN"


async def test_a_read_of_incidents_is_recorded(
    altered: TestGateway, monkeypatch: pytest.MonkeyPatch, killed: Killed
) -> None:
    reads = "SELECT fields FROM grounds.staff_read"
    await altered.ask(Role.AUDITOR, QUERY)
    assert altered.execute(reads) == [(["alteredMedia"],)]
    altered.execute("DELETE FROM grounds.staff_read_account; DELETE FROM grounds.staff_read")

    async def unrecorded(reader: Any, after: int, first: int) -> Any:
        return [], False

    monkeypatch.setattr("schema.oversight.altered_media.page_of_altered_media", unrecorded)
    await altered.ask(Role.AUDITOR, QUERY)
    is_recorded = bool(altered.execute(reads))
    killed("reads without people", "altered_media_page()", None if is_recorded else "no read is recorded")


@pytest.mark.parametrize("role", [Role.TRAINING_CLIENT, Role.DASHBOARD, Role.DATA_SUBJECT, Role.PLATFORM_INGEST])
async def test_no_other_role_reads_incidents(altered: TestGateway, role: Role) -> None:
    with pytest.raises(AssertionError, match="alteredMedia"):
        await altered.ask(role, QUERY, subject="author")
