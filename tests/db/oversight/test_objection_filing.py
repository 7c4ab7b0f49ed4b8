"""A filed objection is in effect before the response is sent, for every account that it matches, now and later."""

from collections.abc import AsyncIterator
from datetime import timedelta

import asyncpg
import pytest

from db.connection import Database, open_database, write_transaction
from db.ingest.contacts import contact_hash
from db.oversight.objection_filing import (
    ObjectionSubmitter,
    Target,
    file_objection,
    unmatched_objections,
    withdraw_objection,
)
from db.records.own_deliveries import MAX_ITEMS, load_own_deliveries, number_own_items
from db.vocabulary import ObjectionChannel, ObjectionScope, TargetKind
from tests.support.facts import DAY, NOW, fact
from tests.support.gateway import SECRET, TestGateway

pytestmark = pytest.mark.database

ANNA = contact_hash("anna@example.org") or ""
ACCOUNT, PERSON, CONTACT = TargetKind
AUTHOR = Target(ACCOUNT, "author")
AUTHOR_NAME = Target(CONTACT, contact_hash("author") or "")
ALL, FORM = ObjectionScope.ALL, ObjectionChannel.FORM


@pytest.fixture
async def subject_gateway(gateway: TestGateway) -> TestGateway:
    """Somebody with a public post and a message to an assistant, both permitted, and somebody else with a post."""
    gateway.set_clock(NOW)
    items = [fact("content"), fact("content", id="asked", kind="AI_INTERACTION", audience=None, audience_since=None)]
    others = [fact("account", id="b"), fact("content", id="theirs", account="b"), fact("notice", id="n2", account="b")]
    answer = await gateway.ingest([fact("account", contacts=[ANNA]), *items, fact("notice"), *others])
    assert answer["total"]["rejected"] == 0
    return gateway


@pytest.fixture
async def database(subject_gateway: TestGateway) -> AsyncIterator[Database]:
    async with open_database(subject_gateway.database_url, SECRET) as opened:
        yield opened


async def pulled(gateway: TestGateway) -> set[str]:
    return set(await gateway.platform_ids(item["id"] for item in await gateway.pull()))


@pytest.mark.parametrize(
    ("scope", "left"),
    [
        (ObjectionScope.ALL, {"theirs"}),
        (ObjectionScope.PUBLIC_CONTENT, {"asked", "theirs"}),
        (ObjectionScope.AI_INTERACTIONS, {"item", "theirs"}),
    ],
)
@pytest.mark.parametrize("target", [Target(CONTACT, ANNA), AUTHOR_NAME], ids=str)
async def test_an_objection_is_in_force_when_it_is_answered(
    subject_gateway: TestGateway, database: Database, target: Target, scope: ObjectionScope, left: set[str]
) -> None:
    assert await pulled(subject_gateway) == {"item", "asked", "theirs"}
    filed = await file_objection(ObjectionSubmitter.form(database), target, scope, FORM)
    assert await pulled(subject_gateway) == left
    assert filed.received_at == NOW
    assert filed.reference.startswith("filed-")


async def test_a_gateway_that_files_without_putting_in_force_is_noticed(
    subject_gateway: TestGateway, database: Database
) -> None:
    subject_gateway.execute("ALTER TABLE grounds.objection_target DISABLE TRIGGER targeted")
    await file_objection(ObjectionSubmitter.form(database), Target(CONTACT, ANNA), ALL, FORM)
    assert await pulled(subject_gateway) == {"item", "asked", "theirs"}, "the check above would have passed over this"


async def test_an_objection_reaches_an_account_that_is_linked_later_and_unlinked_again(
    subject_gateway: TestGateway, database: Database
) -> None:
    await subject_gateway.ingest([fact("account", 3, contacts=[ANNA], person="p")])
    await file_objection(ObjectionSubmitter.subject(database, "author"), AUTHOR, ALL, FORM)
    assert await pulled(subject_gateway) == {"theirs"}
    await subject_gateway.ingest([fact("account", 4, id="b", person="p")])
    assert await pulled(subject_gateway) == set()
    await subject_gateway.ingest([fact("account", 5, id="b")])
    assert await pulled(subject_gateway) == set()


async def test_an_objection_by_a_contact_waits_for_the_account_and_its_persons_others(
    subject_gateway: TestGateway, database: Database
) -> None:
    contact = contact_hash("+353 1 234 5678") or ""
    await file_objection(ObjectionSubmitter.form(database), Target(CONTACT, contact), ALL, FORM)
    assert await pulled(subject_gateway) == {"item", "asked", "theirs"}
    await subject_gateway.ingest(
        [fact("account", 3, contacts=[ANNA], person="p"), fact("account", 3, id="b", person="p")]
    )
    assert await pulled(subject_gateway) == {"item", "asked", "theirs"}
    await subject_gateway.ingest([fact("account", 4, id="b", person="p", contacts=[contact])])
    assert await pulled(subject_gateway) == set()


async def test_an_objection_by_a_person_reaches_every_account_of_the_person(
    subject_gateway: TestGateway, database: Database
) -> None:
    await subject_gateway.ingest(
        [fact("account", 3, contacts=[ANNA], person="p"), fact("account", 3, id="b", person="p")]
    )
    officer = ObjectionSubmitter.officer(database, "officer")
    await file_objection(officer, Target(PERSON, "p"), ALL, ObjectionChannel.LETTER)
    assert await pulled(subject_gateway) == set()


async def test_a_withdrawn_objection_stays_in_force_for_14_days(
    subject_gateway: TestGateway, database: Database
) -> None:
    me = ObjectionSubmitter.subject(database, "author")
    filed = await file_objection(me, AUTHOR, ALL, FORM)
    subject_gateway.set_clock(NOW + DAY)
    assert await withdraw_objection(me, filed.reference) == NOW + DAY
    subject_gateway.set_clock(NOW + 15 * DAY - timedelta(microseconds=1))
    assert await pulled(subject_gateway) == {"theirs"}
    subject_gateway.set_clock(NOW + 15 * DAY)
    assert await pulled(subject_gateway) == {"item", "asked", "theirs"}
    assert await withdraw_objection(me, filed.reference) == NOW + DAY


async def test_an_older_record_of_the_platform_neither_undoes_a_withdrawal_nor_makes_one(
    subject_gateway: TestGateway, database: Database
) -> None:
    me = ObjectionSubmitter.subject(database, "author")
    filed = await file_objection(me, AUTHOR, ALL, FORM)
    withdrawn = fact("objection", id=filed.reference, account="author", withdrawn_at="2024-06-11T00:00:00Z")
    answer = await subject_gateway.ingest([withdrawn])
    assert answer["total"]["stale"] == 1
    assert await pulled(subject_gateway) == {"theirs"}
    await withdraw_objection(me, filed.reference)
    assert (await subject_gateway.ingest([withdrawn]))["total"]["stale"] == 1
    subject_gateway.set_clock(NOW + 14 * DAY)
    assert await pulled(subject_gateway) == {"item", "asked", "theirs"}


async def test_what_a_bad_line_of_the_platform_spoke_of_is_not_withdrawn_here(
    subject_gateway: TestGateway, database: Database
) -> None:
    me = ObjectionSubmitter.subject(database, "author")
    await subject_gateway.ingest([fact("objection", account="author")])
    await subject_gateway.ingest([fact("objection", 3, account="author", scope="SOME")])
    assert await withdraw_objection(me, "objection") is None
    subject_gateway.set_clock(NOW + 30 * DAY)
    assert await pulled(subject_gateway) == {"theirs"}


async def test_an_objection_of_tomorrow_that_is_withdrawn_today_counts_until_14_days_after_tomorrow(
    subject_gateway: TestGateway, database: Database
) -> None:
    received = NOW + DAY
    await subject_gateway.ingest([fact("objection", account="author", received_at=received.isoformat())])
    assert await withdraw_objection(ObjectionSubmitter.subject(database, "author"), "objection") == received
    subject_gateway.set_clock(NOW + 14 * DAY)
    assert await pulled(subject_gateway) == {"theirs"}


async def test_nobody_withdraws_somebody_elses_objection(subject_gateway: TestGateway, database: Database) -> None:
    filed = await file_objection(ObjectionSubmitter.form(database), AUTHOR_NAME, ALL, FORM)
    assert await withdraw_objection(ObjectionSubmitter.subject(database, "b"), filed.reference) is None
    assert await withdraw_objection(ObjectionSubmitter.form(database), filed.reference) is None
    assert await withdraw_objection(ObjectionSubmitter.subject(database, "b"), "filed-0000-0000-0000") is None
    assert await withdraw_objection(ObjectionSubmitter.officer(database, "officer"), filed.reference) == NOW


@pytest.mark.parametrize(
    "target",
    [Target(ACCOUNT, "b"), Target(PERSON, "p"), Target(CONTACT, ANNA)],
    ids=str,
)
async def test_a_data_subject_objects_for_the_own_account_alone(
    subject_gateway: TestGateway, database: Database, target: Target
) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await file_objection(ObjectionSubmitter.subject(database, "author"), target, ALL, FORM)
    assert subject_gateway.execute("SELECT count(*) FROM grounds.objection") == [(0,)]


async def test_nobody_objects_without_saying_who_they_are(subject_gateway: TestGateway, database: Database) -> None:
    target = AUTHOR
    auditor = ObjectionSubmitter(database.staff, {"examiner": "AUDITOR", "officer": "auditor"})
    nameless = ObjectionSubmitter(database.staff, {"examiner": "PRIVACY_OFFICER"})
    for filer in (ObjectionSubmitter(database.subject, {}), ObjectionSubmitter(database.staff, {}), auditor, nameless):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await file_objection(filer, target, ALL, FORM)
    for unhashed in (AUTHOR, Target(PERSON, "p")):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await file_objection(ObjectionSubmitter.form(database), unhashed, ALL, FORM)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await withdraw_objection(auditor, "objection")


async def test_what_reaches_nobody_is_listed_until_somebody_appears(
    subject_gateway: TestGateway, database: Database
) -> None:
    officer = database.examiner("PRIVACY_OFFICER")
    form = ObjectionSubmitter.form(database)
    nobody, later = (str(contact_hash(name)) for name in ("nobody", "later"))
    unknown = [Target(CONTACT, nobody), Target(CONTACT, "b" * 64, ("c" * 64,)), Target(CONTACT, later)]
    filed = [await file_objection(form, target, ALL, FORM) for target in [*unknown, Target(CONTACT, ANNA)]]
    rows, more = await unmatched_objections(officer, 0, 2)
    assert [row.reference for row in rows] == [filed[0].reference, filed[1].reference]
    assert [row.targets for row in rows] == [[f"CONTACT {nobody}"], [f"CONTACT {'b' * 64}", f"CONTACT {'c' * 64}"]]
    assert more
    rest, more = await unmatched_objections(officer, rows[-1].id, 2)
    assert [row.reference for row in rest] == [filed[2].reference]
    assert not more
    await subject_gateway.ingest([fact("content", id="of-later", account="later")])
    assert len((await unmatched_objections(officer, 0, 9))[0]) == 3, "an account that is only named is not known"
    await subject_gateway.ingest([fact("account", id="later")])
    assert [row.reference for row in (await unmatched_objections(officer, 0, 9))[0]] == [
        each.reference for each in filed[:2]
    ]


async def test_only_a_hash_is_stored_as_a_contact(subject_gateway: TestGateway, database: Database) -> None:
    for target in (Target(CONTACT, "anna@example.org"), Target(CONTACT, ANNA, ("anna",)), Target(ACCOUNT, "a", ("b",))):
        with pytest.raises(asyncpg.InvalidParameterValueError):
            await file_objection(ObjectionSubmitter.officer(database, "officer"), target, ALL, FORM)


async def test_an_objection_by_a_user_name_reaches_the_account_with_that_id_and_later_is_not_undone(
    subject_gateway: TestGateway, database: Database
) -> None:
    """By the id's hash alone: the account states no contact."""
    later = Target(CONTACT, contact_hash("@Later.Name") or "")
    await file_objection(ObjectionSubmitter.form(database), later, ALL, FORM)
    await subject_gateway.ingest([fact("account", id="later.name", person="p")])
    assert await pulled(subject_gateway) == {"item", "asked", "theirs"}
    await subject_gateway.ingest([fact("account", 3, id="b", person="p")])
    assert await pulled(subject_gateway) == {"item", "asked"}, "its person's other account"


async def test_a_referenced_user_name_stands_for_the_account_with_that_id(
    subject_gateway: TestGateway, database: Database
) -> None:
    depicted = {"contact": contact_hash("b"), "relation": "DEPICTED"}
    await subject_gateway.ingest([fact("content", 3, references=[depicted])])
    assert await pulled(subject_gateway) == {"item", "asked", "theirs"}
    await file_objection(ObjectionSubmitter.officer(database, "officer"), Target(ACCOUNT, "b"), ALL, FORM)
    assert await pulled(subject_gateway) == {"asked"}


async def test_a_data_subject_sees_who_received_which_of_the_own_items(
    subject_gateway: TestGateway, database: Database
) -> None:
    await subject_gateway.pull(first=1)
    await subject_gateway.pull(first=100, client="another")
    reader = database.data_subject("author")
    numbered, held = await number_own_items(reader)
    assert sorted(numbered.values()) == [1, 2]
    assert held == 2
    found = await load_own_deliveries(reader, list(numbered))
    own = sorted(numbered)
    assert [(row.client, row.purpose, row.items) for row in found] == [
        ("another", "GENAI_TRAINING", own),
        ("client", "GENAI_TRAINING", own[1:]),
        ("client", "GENAI_TRAINING", own[:1]),
    ]
    assert await load_own_deliveries(database.data_subject("b"), own) == []
    assert await load_own_deliveries(database.data_subject("nobody"), own) == []
    with pytest.raises(ValueError, match="the maximum is 1000"):
        await load_own_deliveries(reader, range(MAX_ITEMS + 1))


async def test_the_look_at_deliveries_leaves_no_claim_behind(subject_gateway: TestGateway, database: Database) -> None:
    async with write_transaction(database.subject, subject="author") as borrowed:
        await borrowed.fetch("SELECT * FROM grounds.deliveries_of_subject(ARRAY[1, 2]::bigint[])")
        assert await borrowed.fetchval("SELECT grounds.claim('job')") is None
