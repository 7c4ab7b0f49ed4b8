"""The outbox of a campaign: who is in it, what is claimed once only, and what a report does."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from db.access.declaration import LOGIN_ROLES, WORKER
from db.connection import Database, connection, open_database
from db.notices import outbox
from db.notices.outbox import CampaignRunning, ClaimOutcome, DeliveryReport, TaskState
from db.vocabulary import MessageKind
from tests.db.access.test_declaration import login
from tests.support.campaigns import CAMPAIGN, EPOCH, person, register
from tests.support.facts import DAY, NOW, fact
from tests.support.gateway import SECRET, TestGateway
from tests.support.mutants import Killed
from tests.support.retractions import alter

pytestmark = pytest.mark.database

HASH = person("told")["contacts"][0]


@pytest.fixture
async def database(gateway: TestGateway) -> AsyncIterator[Database]:
    gateway.set_clock(NOW)
    async with open_database(gateway.database_url, SECRET) as opened:
        yield opened


async def queued(gateway: TestGateway, database: Database, *facts: dict[str, Any]) -> set[str]:
    """Load facts, open the campaign, and return the accounts that have a task."""
    answer = await gateway.ingest([CAMPAIGN, *facts])
    assert answer["total"]["rejected"] == 0, answer
    async with connection(database.worker) as borrowed:
        await outbox.open_campaign(borrowed, EPOCH, MessageKind.NOTICE, "EMAIL")
    rows = gateway.execute("SELECT platform_id FROM grounds.notice_task t JOIN grounds.account a ON a.id = t.account")
    return {name for (name,) in rows}


async def claimed(database: Database, account: str = "told", hash: str = HASH, again: bool = False) -> outbox.Claim:
    async with connection(database.worker) as borrowed:
        number = await outbox.open_campaign(borrowed, EPOCH, MessageKind.NOTICE, "EMAIL")
        return await outbox.claim_task(borrowed, number, account, hash, None, retry_unknown=again)


async def settled(database: Database, task: int, state: TaskState) -> None:
    async with connection(database.worker) as borrowed:
        await outbox.settle_task(borrowed, task, state)


def stored(gateway: TestGateway) -> list[tuple[Any, ...]]:
    return gateway.execute("SELECT sent_at, delivered_at, bounced_at FROM grounds.notice ORDER BY id")


async def test_those_whose_items_a_notice_can_make_qualify_are_told_and_nobody_else(
    gateway: TestGateway, database: Database
) -> None:
    objected = [fact("objection", id=name, account=name) for name in ("objector", "withdrew-lately", "withdrew")]
    objected[1]["withdrawn_at"] = (NOW - 13 * DAY).isoformat()
    objected[2]["withdrawn_at"] = (NOW - 15 * DAY).isoformat()
    found = await queued(
        gateway,
        database,
        person("told"),
        person("page", kind="PAGE"),
        person("elsewhere", country="US"),
        person("nowhere", country=None),
        person("whatsapp", product="WHATSAPP"),
        person("assistant", product="MESSENGER"),
        person("minor", born_on="2010-01-01"),
        person("ageless", born_on=None),
        person("same-person-young", person="one", born_on="2010-01-01"),
        person("same-person-old", person="one"),
        person("deleted", status="DELETED"),
        *(person(record["account"]) for record in objected),
        *objected,
        person("objects-in-part"),
        fact("objection", id="part", account="objects-in-part", scope="AI_INTERACTIONS"),
        person("knows"),
        fact("notice", id="knows", account="knows", epoch=EPOCH),
        person("knows-an-older-one"),
        fact("notice", id="older", account="knows-an-older-one", epoch="2025-04"),
        person("bounced"),
        fact("notice", id="bounced", account="bounced", epoch=EPOCH, bounced_at="2026-01-01T00:00:00Z"),
        person("sent-only"),
        fact("notice", id="sent", account="sent-only", epoch=EPOCH, delivered_at=None, sent_at="2026-01-01T00:00:00Z"),
        fact("content", id="of-a-stranger", account="stranger"),
    )
    assert found == {"told", "assistant", "withdrew", "objects-in-part", "knows-an-older-one", "bounced", "sent-only"}


async def test_a_task_is_claimed_once(gateway: TestGateway, database: Database) -> None:
    await queued(gateway, database, person("told"))
    first = await claimed(database)
    assert first.outcome is ClaimOutcome.CLAIMED
    assert (await claimed(database)).outcome is ClaimOutcome.DONE
    await settled(database, first.task, TaskState.SENT)
    assert (await claimed(database)).outcome is ClaimOutcome.DONE
    assert stored(gateway) == [(NOW, None, None)]


async def test_an_address_that_is_not_among_the_contacts_claims_nothing(
    gateway: TestGateway, database: Database
) -> None:
    await queued(gateway, database, person("told"), person("other"))
    for account, hash in (("told", person("other")["contacts"][0]), ("nobody", HASH)):
        assert (await claimed(database, account, hash)).outcome is ClaimOutcome.NOT_THEIRS
    assert (await claimed(database)).outcome is ClaimOutcome.CLAIMED


async def claimed_by_former_contacts(gateway: TestGateway, database: Database) -> list[ClaimOutcome]:
    """Claim a notice by a contact that is no longer the account's, and by one that is a placeholder."""
    await queued(gateway, database, person("told"), person("shares"))
    hashes = [person(name)["contacts"][0] for name in ("told", "shares")]
    await gateway.ingest([person("told") | {"contacts": ["c" * 64], "observed_at": "2026-05-01T00:00:00Z"}])
    gateway.execute(
        "INSERT INTO grounds.placeholder (kind, value, reason, declared_by, declared_at, in_effect_from)"
        " VALUES ('CONTACT', %s, 'An export', 'officer', now() - interval '1 year', now() - interval '1 year')",
        hashes[1],
    )
    pairs = zip(("told", "shares"), hashes, strict=True)
    return [(await claimed(database, account, hash)).outcome for account, hash in pairs]


async def test_a_notice_goes_to_a_contact_that_the_account_has_now(
    gateway: TestGateway, database: Database, killed: Killed
) -> None:
    assert await claimed_by_former_contacts(gateway, database) == [ClaimOutcome.NOT_THEIRS] * 2
    alter(
        gateway,
        "claim_notice(bigint, text, text, text, boolean)",
        ("hash = ANY (a.contacts)", "hash IN (SELECT c.contact FROM grounds.account_contact c WHERE c.account = a.id)"),
    )
    assert (await claimed(database, "told", "c" * 64)).outcome is ClaimOutcome.CLAIMED
    outcome = (await claimed(database, "told", person("told")["contacts"][0])).outcome
    killed(
        "links for ever", "claim_notice()", None if outcome is ClaimOutcome.NOT_THEIRS else f"a former one: {outcome}"
    )


async def test_who_objects_while_the_campaign_runs_is_not_told(gateway: TestGateway, database: Database) -> None:
    await queued(gateway, database, person("told"))
    await gateway.ingest([fact("objection", account="told")])
    assert (await claimed(database)).outcome is ClaimOutcome.NOT_NEEDED


async def test_what_was_broken_off_is_unknown_and_sent_again_only_when_asked(
    gateway: TestGateway, database: Database
) -> None:
    await queued(gateway, database, person("told"))
    first = await claimed(database)
    async with connection(database.worker) as borrowed:
        number = await outbox.open_campaign(borrowed, EPOCH, MessageKind.NOTICE, "EMAIL")
        await outbox.settle_interrupted_tasks(borrowed, number)
        assert await outbox.count_tasks(borrowed, number) == {TaskState.UNKNOWN: 1}
    assert (await claimed(database)).outcome is ClaimOutcome.DONE
    again = await claimed(database, again=True)
    assert (again.outcome, again.notice) == (ClaimOutcome.CLAIMED, first.notice)


async def test_who_was_refused_is_claimed_again_and_who_bounced_by_another_address_only(
    gateway: TestGateway, database: Database
) -> None:
    other = person("other-address")["contacts"][0]
    await queued(gateway, database, person("told", contacts=[HASH, other]))
    first = await claimed(database)
    await settled(database, first.task, TaskState.FAILED)
    second = await claimed(database)
    assert second.notice == first.notice
    await settled(database, second.task, TaskState.SENT)
    assert await outbox.record_deliveries(database.worker, [DeliveryReport(first.notice, None, NOW)]) == [
        TaskState.BOUNCED
    ]
    assert (await claimed(database)).outcome is ClaimOutcome.DONE
    third = await claimed(database, hash=other)
    assert third.outcome is ClaimOutcome.CLAIMED
    assert third.notice != first.notice
    await settled(database, third.task, TaskState.SENT)
    assert stored(gateway) == [(NOW, None, NOW), (NOW, None, None)]


async def test_a_bounce_stands_whatever_is_said_and_however_late(gateway: TestGateway, database: Database) -> None:
    await queued(gateway, database, person("told"))
    claim = await claimed(database)
    await settled(database, claim.task, TaskState.SENT)
    delivered = DeliveryReport(claim.notice, NOW + timedelta(minutes=1), None)
    bounced = DeliveryReport(claim.notice, None, NOW + 400 * DAY)
    gateway.set_clock(NOW + DAY)
    reports = [delivered, bounced, delivered, DeliveryReport("nothing", NOW, None)]
    states = await outbox.record_deliveries(database.worker, reports)
    assert states == [TaskState.DELIVERED, TaskState.BOUNCED, TaskState.BOUNCED, None]
    assert stored(gateway) == [(NOW, NOW + timedelta(minutes=1), NOW + DAY)]


async def test_a_delivery_is_never_before_the_notice_was_made(gateway: TestGateway, database: Database) -> None:
    await queued(gateway, database, person("told"))
    claim = await claimed(database)
    await outbox.record_deliveries(database.worker, [DeliveryReport(claim.notice, NOW - 400 * DAY, None)])
    await settled(database, claim.task, TaskState.SENT)
    assert stored(gateway) == [(NOW, NOW, None)]
    assert (await claimed(database)).outcome is not ClaimOutcome.CLAIMED


async def test_a_later_record_of_the_platforms_corrects_a_notice_and_an_older_one_does_not_take_a_bounce_back(
    gateway: TestGateway, database: Database
) -> None:
    await queued(gateway, database, person("told"))
    claim = await claimed(database)
    await settled(database, claim.task, TaskState.SENT)
    said = fact("notice", id=claim.notice, account="told", channel="EMAIL", epoch=EPOCH)
    said |= {"sent_at": NOW.isoformat(), "delivered_at": (NOW + DAY).isoformat()}
    gateway.set_clock(NOW + 2 * DAY)
    told = await gateway.ingest([said | {"observed_at": (NOW + DAY).isoformat()}])
    assert told["total"]["accepted"] == 1
    assert stored(gateway) == [(NOW, NOW + DAY, None)]
    gateway.set_clock(NOW + 3 * DAY)
    await outbox.record_deliveries(database.worker, [DeliveryReport(claim.notice, None, NOW + 2 * DAY)])
    told = await gateway.ingest([said | {"observed_at": (NOW + 2 * DAY).isoformat()}])
    assert told["total"]["stale"] == 1
    assert stored(gateway) == [(NOW, NOW + DAY, NOW + 2 * DAY)]
    told = await gateway.ingest([said | {"observed_at": (NOW + 3 * DAY + timedelta(minutes=1)).isoformat()}])
    assert told["total"]["accepted"] == 1
    ((reverted_at,),) = gateway.execute("SELECT reverted_at FROM grounds.account WHERE platform_id = 'told'")
    assert reverted_at == NOW + 3 * DAY


async def test_the_language_is_the_one_of_most_items_and_of_no_private_message(
    gateway: TestGateway, database: Database
) -> None:
    written = [
        fact("content", id=f"{place}", account="told", language=name) for place, name in enumerate(["de", "it", "de"])
    ]
    private = [
        fact("content", id=f"private-{place}", account="told", language="fr", kind="PRIVATE_MESSAGE", audience=None)
        for place in range(5)
    ]
    await queued(gateway, database, person("told"), *written, *private)
    await register(gateway)
    assert (await claimed(database)).language == "de"


async def test_only_one_run_of_an_epoch_is_under_way(gateway: TestGateway, database: Database) -> None:
    async with outbox.hold_campaign_lock(database.worker, EPOCH):
        async with outbox.hold_campaign_lock(database.worker, "2027-01"):
            pass
        with pytest.raises(CampaignRunning):
            async with outbox.hold_campaign_lock(database.worker, EPOCH):
                pass
    async with outbox.hold_campaign_lock(database.worker, EPOCH):
        pass


async def test_no_login_reads_the_outbox_and_only_the_worker_calls_its_functions(
    gateway: TestGateway, database: Database
) -> None:
    await queued(gateway, database, person("told"))
    for role in LOGIN_ROLES:
        with login(gateway.database_url, role) as reader:
            for table in ("campaign_channel", "notice_task"):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    reader.execute(f"SELECT * FROM grounds.{table}".encode())
            called = b"SELECT count(*) FROM grounds.pending_notices(0, 10)"
            if role == WORKER:
                assert reader.execute(called).fetchone() == (0,)
            else:
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    reader.execute(called)


async def test_no_address_lies_in_the_database(gateway: TestGateway, database: Database) -> None:
    await queued(gateway, database, person("told"))
    await claimed(database)
    for (table,) in gateway.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'grounds'"):
        ((found,),) = gateway.execute(
            f"SELECT count(*) FROM grounds.{table} t WHERE t::text LIKE '%%told@example.org%%'"
        )
        assert found == 0, table
