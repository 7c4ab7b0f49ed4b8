"""Refusals teach nothing: hidden things are answered as things that never existed, for every role and every way to ask.

Many hidden things a way, and as many that never existed: all answers, heads and bodies, must be one and the same.
"""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass, replace
from string import ascii_letters, ascii_lowercase, digits
from typing import Any
from urllib.parse import urlsplit

import pytest

import schema.query
import schema.records.content
from db.records.content import ContentRow
from schema.actor import Role
from schema.context import Context
from schema.errors import BadInput
from schema.governed import EXAMINERS, EXAMINERS_AND_OWNER, TRAINING
from schema.records.content import find_any_content
from schema.relay.ids import IdKind, Ids, ids_of
from tests.support.canaries import copy_of
from tests.support.facts import NOW, fact
from tests.support.gateway import SECRET, TestGateway, open_gateway
from tests.support.ordinary_cases import ordinary_every
from tests.support.shared_database import database_of

PAIRS = 500
ASKED = pytest.mark.parametrize("pairs", [60, pytest.param(PAIRS, marks=pytest.mark.ci)])
SINGLY = 20  # pairs that are asked for one by one as well
LINES = 4
GAP = 1000
CURSORS = (1, 1000, 4_000_000_000)
ME, CLIENT = "me", "client"
# Two roles that ask alike share the pairs.
ASKERS = ((Role.DATA_SUBJECT,), TRAINING, EXAMINERS, (Role.DASHBOARD, Role.PLATFORM_INGEST))
CLAIMS: dict[Role, dict[str, Any]] = {Role.DATA_SUBJECT: {"subject": ME}}
SUBJECT, STAFF, OWN = ids_of(SECRET, f"subject:{ME}"), ids_of(SECRET, "staff"), ids_of(SECRET, f"client:{CLIENT}")
UNREACHED: tuple[dict[str, Any], ...] = (
    {"audience": "FRIENDS"},
    {"audience": None},
    {"kind": "PRIVATE_MESSAGE", "text": None},
    {"deleted_at": "2026-01-01T00:00:00Z"},
    {"scans": {"special_category": "FLAGGED", "safety": "CLEAR"}},
    {"rights": [{"source": "C2PA", "train_ai": "n"}]},
    {"created_at": "2026-05-31T18:00:00Z"},
    {"references": [{"account": "nobody-knows", "relation": "TAG"}]},
)
Answer = tuple[bytes, bytes]


class Line:
    """A lasting connection for any identity; a request costs a third of httpx's."""

    def __init__(self, address: str) -> None:
        place = urlsplit(address)
        self._place = (place.hostname, place.port)
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, token: str, body: bytes) -> Answer:
        """Send a request, and return its answer: the head and the body."""
        reader, writer = await self._opened()
        writer.write(_request(token, body))
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"\r\ncontent-length: ")[2].partition(b"\r\n")[0])
        return head, await reader.readexactly(length)

    async def drop(self, token: str, body: bytes, chance: random.Random) -> None:
        """Send a request, or a part of it, and break off before its answer is read."""
        _, writer = await self._opened()
        request = _request(token, body)
        writer.write(request[: chance.choice((len(request), len(request) - len(body) // 2))])
        await asyncio.sleep(chance.uniform(0, 0.004))
        self.close()

    def close(self) -> None:
        """Break the connection off, whatever is under way."""
        if self._streams is not None:
            self._streams[1].transport.abort()
            self._streams = None

    async def _opened(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._streams is None:
            self._streams = await asyncio.open_connection(*self._place)
        return self._streams


def _request(token: str, body: bytes) -> bytes:
    head = f"POST /graphql HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n"
    return f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


@dataclass(frozen=True)
class World:
    """A gateway, and ids: of things that are hidden from a client, and of as many that never existed."""

    gateway: TestGateway
    items: list[int]  # of others: were permitted until their authors objected
    unreached: list[int]  # of others: never permitted
    accounts: list[int]
    unknown_accounts: list[int]  # named by items, and nothing is known of them
    events: list[int]

    @property
    def never(self) -> range:
        """Return numbers that nothing has; a gap before all that is hidden, and behind what was there at first."""
        return range(GAP, GAP + PAIRS)


@pytest.fixture(scope="module")
async def world(cluster: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """A gateway for tests that change none of it: a world in a database of its own."""
    with copy_of(database_of(cluster, "template_of_tests")) as url:
        async with open_gateway(url, tmp_path_factory.mktemp("refusals")) as gateway:
            yield await loaded_world(gateway)


async def loaded_world(gateway: TestGateway) -> World:
    """Load hundreds of each thing that is hidden from somebody, between two items of one person who is served."""
    gateway.set_clock(NOW)
    await load(gateway, [fact("account", id=ME), fact("notice", id="mine", account=ME)])
    await load(gateway, [fact("content", id="first", account=ME)])
    for table in ("account", "content", "consent_event"):
        gateway.execute(f"SELECT setval(pg_get_serial_sequence('grounds.{table}', 'id'), {GAP + PAIRS})")
    people: list[dict[str, Any]] = []
    for at in range(PAIRS):
        author, facts_of_author = f"author-{at}", UNREACHED[at % len(UNREACHED)]
        people += [fact("account", id=author), fact("notice", id=f"notice-{at}", account=author)]
        people += [fact("content", id=f"item-{at}", account=author)]
        people += [fact("content", id=f"un-{at}", account=author, **facts_of_author)]
        people += [fact("content", id=f"orphan-{at}", account=f"unknown-{at}")]
    await load(gateway, people)
    await load(gateway, [fact("content", id="last", account=ME)])
    assert len(await gateway.pull(first=1000)) == PAIRS + 2
    await load(gateway, [fact("objection", id=f"objection-{at}", account=f"author-{at}") for at in range(PAIRS)])
    assert len(await gateway.pull()) == 2

    def numbers(table: str, having: str = "TRUE") -> list[int]:
        rows = gateway.execute(f"SELECT id FROM grounds.{table} WHERE id >= {GAP} AND {having} ORDER BY id")
        assert len(rows) >= PAIRS
        return [row[0] for row in rows[:PAIRS]]

    return World(
        gateway,
        numbers("content", "platform_id LIKE 'item-%%'"),
        numbers("content", "platform_id LIKE 'un-%%'"),
        numbers("account", "platform_id LIKE 'author-%%'"),
        numbers("account", "platform_id LIKE 'unknown-%%'"),
        numbers("consent_event"),
    )


async def load(gateway: TestGateway, records: Iterable[dict[str, Any]]) -> None:
    assert (await gateway.ingest(records))["total"]["rejected"] == 0


@dataclass(frozen=True)
class Way:
    """A way to ask: a field, whose argument is $id, with ids of hidden things and of things that never existed."""

    field: str
    hidden: list[str]
    never: list[str]
    within: str = "$asked"

    @property
    def most(self) -> int:
        """Return how many may be asked for at once: five at the root, fifteen below it."""
        return 5 if self.within == "$asked" else 10

    def document(self, size: int) -> str:
        """Write the document that asks for so many things at once."""
        argument = "String" if "after: $id" in self.field else "ID!"
        names = ascii_lowercase[:size]
        ask_in_each_form = " ".join(f"{name}: {self.field.replace('$id', f'${name}')}" for name in names)
        given = ", ".join(f"${name}: {argument}" for name in names)
        return f"query Ask({given}) {{ {self.within.replace('$asked', ask_in_each_form)} }}"

    def bodies(self, size: int, pairs: int) -> list[bytes]:
        """Write the requests for so many of the hidden and of what never was, in one order that tells neither."""
        document = self.document(size)
        ask_in_each_form = [
            dict(zip(ascii_lowercase, ids[at : at + size], strict=False))
            for ids in (self.hidden, self.never)
            for at in range(0, min(pairs, len(ids)), size)
        ]
        random.Random(size).shuffle(ask_in_each_form)
        return [json.dumps({"query": document, "variables": variables}).encode() for variables in ask_in_each_form]


Form = tuple[list[str], list[str]]


def by_ids(world: World, ids: Ids, kind: IdKind, hidden: Iterable[int]) -> Form:
    """Name what is hidden and what never was by numbers, in the words of an audience."""
    return ids.encode_all(kind, list(hidden)), ids.encode_all(kind, world.never)


def by_platform_ids(prefix: str) -> Form:
    """Name them by the platform's own ids."""
    return [f"{prefix}-{at}" for at in range(PAIRS)], [f"never-{at}" for at in range(PAIRS)]


def ask_in_each_form(field: str, *forms: Form, within: str = "$asked") -> Way:
    """Ask in each form in turn."""
    hidden, never = ([forms[at % len(forms)][which][at] for at in range(PAIRS)] for which in (0, 1))
    return Way(field, hidden, never, within)


CONTENT, WHY = "content(id: $id) { id }", "eligibility(contentId: $id) { permitted conditions { code } }"
ACCOUNT, NODE = "account(id: $id) { id }", "node(id: $id) { __typename id ... on TrainableContent { text } }"
BENEATH = "account(id: $id) { contents(first: 1) { nodes { id } } consent { events(first: 1) { nodes { id } } } }"


REST = "(first: 2, after: $id) { nodes { id } pageInfo { hasNextPage hasPreviousPage endCursor } }"
MINE = f'account(id: "{ME}") {{ $asked }}'
MY_CONSENT = f'account(id: "{ME}") {{ consent {{ $asked }} }}'


def ways(role: Role, world: World) -> list[Way]:
    """Return every way by which a role can ask for one thing."""
    theirs = [by_ids(world, STAFF, IdKind.CONTENT, world.items), by_platform_ids("item")]
    theirs += [by_ids(world, OWN, IdKind.TRAINABLE_CONTENT, world.items)]
    people = [
        by_ids(world, STAFF, IdKind.ACCOUNT, world.accounts),
        by_platform_ids("author"),
        by_platform_ids("unknown"),
    ]
    people += [by_ids(world, OWN, IdKind.AUTHOR, world.accounts)]
    if role is Role.DATA_SUBJECT:
        items = [by_ids(world, SUBJECT, IdKind.CONTENT, numbers) for numbers in (world.items, world.unreached)]
        accounts = [by_ids(world, SUBJECT, IdKind.ACCOUNT, world.accounts)]
        found = [ask_in_each_form(field, *items, *theirs) for field in (CONTENT, WHY)]
        found += [ask_in_each_form(field, *accounts, *people) for field in (ACCOUNT, BENEATH)]
        return [*found, ask_in_each_form(NODE, *items, *accounts, *theirs, *people)]
    if role is Role.TRAINING_CLIENT:
        sorts = [world.items, world.unreached]
        items = [by_ids(world, OWN, IdKind.TRAINABLE_CONTENT, numbers) for numbers in sorts]
        other = by_ids(world, ids_of(SECRET, "client:other"), IdKind.TRAINABLE_CONTENT, world.items)
        return [
            ask_in_each_form(NODE, *items),
            *(ask_in_each_form(field, *items, other, *theirs) for field in (NODE, CONTENT, WHY)),
            ask_in_each_form(ACCOUNT, *people),
        ]
    if role in EXAMINERS:
        unknown = [by_ids(world, STAFF, IdKind.ACCOUNT, world.unknown_accounts), by_platform_ids("unknown"), people[-1]]
        stranger = by_ids(world, ids_of(SECRET, "client:never-registered"), IdKind.TRAINABLE_CONTENT, world.items)
        found = [ask_in_each_form(field, *unknown) for field in (ACCOUNT, BENEATH, NODE)]
        return [*found, ask_in_each_form(CONTENT, stranger), ask_in_each_form(WHY, stranger)]
    return [*(ask_in_each_form(field, *theirs) for field in (CONTENT, WHY, NODE)), ask_in_each_form(ACCOUNT, *people)]


def places(role: Role, world: World) -> list[Way]:
    """Return every list that a role can ask for the rest of, after a thing that is hidden from it."""
    sorts = [world.items, world.unreached]
    if role is Role.TRAINING_CLIENT:
        after = [by_ids(world, OWN, IdKind.TRAINABLE_CONTENT_CURSOR, numbers) for numbers in sorts]
        return [ask_in_each_form(f"trainableContent{REST}", *after)]
    if role is not Role.DATA_SUBJECT:
        return []
    items = [by_ids(world, SUBJECT, IdKind.CONTENT_CURSOR, numbers) for numbers in sorts]
    accounts = by_ids(world, SUBJECT, IdKind.ACCOUNT_CURSOR, world.accounts)
    events = by_ids(world, SUBJECT, IdKind.CONSENT_EVENT_CURSOR, world.events)
    found = [ask_in_each_form(f"contents{REST}", *items), ask_in_each_form(f"contents{REST}", *items, within=MINE)]
    found += [
        ask_in_each_form(f"consentEvents{REST}", events),
        ask_in_each_form(f"events{REST}", events, within=MY_CONSENT),
    ]
    return [*found, ask_in_each_form(f"accounts{REST}", accounts)]


async def answers(gateway: TestGateway, role: Role, bodies: Iterable[bytes]) -> set[Answer]:
    """Ask, over several connections, and return the answers that differ, in head or body, by more than the date."""
    token = gateway.token(role, **CLAIMS.get(role, {}))
    found: set[Answer] = set()
    left = iter(bodies)

    async def ask(line: Line) -> None:
        for body in left:
            head, answer = await line.ask(token, body)
            found.add((b"\r\n".join(each for each in head.splitlines() if not each.startswith(b"date: ")), answer))
        line.close()

    await asyncio.gather(*(ask(Line(gateway.address)) for _ in range(LINES)))
    return found


@ASKED
@pytest.mark.parametrize("roles", ASKERS, ids=", ".join)
async def test_what_is_hidden_is_answered_as_what_never_was(world: World, roles: tuple[Role, ...], pairs: int) -> None:
    for at, role in enumerate(roles):
        for way in ways(role, world):
            part = replace(way, hidden=way.hidden[at :: len(roles)], never=way.never[at :: len(roles)])
            served = role in EXAMINERS_AND_OWNER or (role in TRAINING and way.field.startswith("node("))
            for size, asked in ((1, SINGLY), (way.most, pairs)):
                ((head, body),) = await answers(world.gateway, role, part.bodies(size, asked))
                assert head.startswith(b"HTTP/1.1 200 ")
                told = json.loads(body)
                assert list(told["data"].values()) == [None] * size, way.field
                codes = [error["extensions"]["code"] for error in told.get("errors", [])]
                assert codes == ([] if served else ["FORBIDDEN"] * size), way.field
        for way in places(role, world):
            for size, asked in ((1, SINGLY), (way.most, pairs)):
                ((_, body),) = await answers(world.gateway, role, way.bodies(size, asked))
                assert "errors" not in json.loads(body), way.field


OF_PEOPLE = [
    (f"contents{REST}", IdKind.CONTENT_CURSOR, "$asked"),
    (f"accounts{REST}", IdKind.ACCOUNT_CURSOR, "$asked"),
    (f"consentEvents{REST}", IdKind.CONSENT_EVENT_CURSOR, "$asked"),
    (f"contents{REST}", IdKind.CONTENT_CURSOR, MINE),
    (f"events{REST}", IdKind.CONSENT_EVENT_CURSOR, MY_CONSENT),
]
LISTS = {
    Role.TRAINING_CLIENT: [(f"trainableContent{REST}", IdKind.TRAINABLE_CONTENT_CURSOR, "$asked")],
    Role.DATA_SUBJECT: OF_PEOPLE,
    Role.PRIVACY_OFFICER: OF_PEOPLE,
}
AUDIENCES = {Role.TRAINING_CLIENT: f"client:{CLIENT}", Role.DATA_SUBJECT: f"subject:{ME}"}
ELSEWHERE = ("client:client", "client:other", "subject:me", "subject:other", "staff")
URL_SAFE = ascii_letters[26:] + ascii_letters[:26] + digits + "-_"


def never_given_out(audience: str, kind: IdKind, number: int) -> Iterator[str]:
    """Change every bit of a cursor, and take what other audiences, other lists and other things are called."""
    ids = ids_of(SECRET, audience)
    cursor = ids.encode(kind, number)
    for at, letter in enumerate(cursor):  # 6 bits a letter: the last 4 of 132 are beyond the block, and must be zeros
        for bit in range(6):
            yield cursor[:at] + URL_SAFE[URL_SAFE.index(letter) ^ 1 << bit] + cursor[at + 1 :]
    yield from (ids_of(SECRET, other).encode(kind, number) for other in ELSEWHERE if other != audience)
    others = {other for other in IdKind if other is not kind}
    if kind is IdKind.TRAINABLE_CONTENT_CURSOR:
        others.remove(IdKind.AVAILABILITY_CURSOR)  # refused in words of its own: this client was given it in that order
    yield from (ids.encode(other, number) for other in others)
    yield from ("", "A" * 22, cursor[:-1], cursor + "A", cursor + "==", " " + cursor, str(number), "\0")


@pytest.mark.parametrize("role", ordinary_every(2, LISTS))
async def test_a_cursor_that_was_not_given_out_is_refused_in_the_same_words(gateway: TestGateway, role: Role) -> None:
    gateway.set_clock(NOW)
    await load(gateway, [fact("account", id=ME), fact("notice", account=ME), fact("content", account=ME)])
    words = set()
    for field, kind, within in LISTS[role]:
        audience = AUDIENCES.get(role, "staff")
        right = [ids_of(SECRET, audience).encode(kind, number) for number in CURSORS]
        changed = CURSORS if (field, kind, within) == LISTS[role][0] else CURSORS[-1:]
        wrong = [cursor for number in changed for cursor in never_given_out(audience, kind, number)]
        assert len(set(wrong)) > len(changed) * 128
        taken = await answers(gateway, role, Way(field, right, [], within).bodies(1, len(right)))
        assert not [body for _, body in taken if b"errors" in body]
        ((head, body),) = await answers(gateway, role, Way(field, wrong, [], within).bodies(1, len(wrong)))
        told = json.loads(body)
        (error,) = told["errors"]
        words.add((head.partition(b"\r\n")[0], error["message"], error["extensions"]["code"]))
    message = "after: must be a cursor of this list (pass pageInfo.endCursor of the previous page, unchanged)"
    assert words == {(b"HTTP/1.1 200 OK", message, "BAD_USER_INPUT")}


async def test_a_refusal_that_tells_is_noticed(gateway: TestGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    async def tell(context: Context, text: str) -> ContentRow | None:
        found = await find_any_content(context, text)
        if found is None and text.startswith("item-"):
            raise BadInput("id: is somebody else's (name one of yours)")
        return found

    way = ask_in_each_form(CONTENT, by_platform_ids("item"))
    assert len(await answers(gateway, Role.DATA_SUBJECT, way.bodies(way.most, PAIRS))) == 1
    monkeypatch.setattr(schema.query, "find_any_content", tell)
    assert len(await answers(gateway, Role.DATA_SUBJECT, way.bodies(way.most, PAIRS))) == 2


async def test_a_cursor_that_is_taken_though_it_is_another_lists_is_noticed(
    gateway: TestGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    def any_of_the_audience(ids: Ids, _: IdKind, after: str | None) -> int:
        found = ids.decode(after) if after else None
        if found is None:
            raise BadInput(
                "after: must be a cursor of this list (pass pageInfo.endCursor of the previous page, unchanged)"
            )
        return found[1]

    wrong = list(never_given_out("staff", IdKind.CONTENT_CURSOR, 7))
    bodies = Way(f"contents{REST}", wrong, []).bodies(1, len(wrong))
    assert len(await answers(gateway, Role.AUDITOR, bodies)) == 1
    monkeypatch.setattr(schema.records.content, "read_cursor", any_of_the_audience)
    assert len(await answers(gateway, Role.AUDITOR, bodies)) == 2
