"""Generated questions, asked by every role of a real `grounds serve`: no answer, and no log, sings of what is hidden.

hypothesis-graphql writes the documents from the SDL, three of four from those fields alone that the role may read, so
that most are answered. Arguments are variables, drawn from ids that are real: one's own, other clients', the staff's,
and the platform's ids of what is hidden.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from app.auth.dev_issuer import DevelopmentIssuer
from db.policy.compile import compiled_views
from db.policy.document import default_policy, parse_policy
from schema.actor import Role
from schema.relay.ids import IdKind, Ids, ids_of
from tests.schema.test_roles import SDL
from tests.support.canaries import (
    CANARY,
    HEX_CANARY,
    CanaryWorld,
    Reading,
    canary_database,
    canary_world,
    heard,
    readings,
)
from tests.support.command import serving
from tests.support.facts import NOW
from tests.support.gateway import SECRET
from tests.support.generated_questions import Pools, questions

pytestmark = pytest.mark.ci

QUESTIONS, LONG_QUESTIONS = 1_050, 50_400
CLIENTS = ("client", "other")
OF_NOBODY = ("viewer", "policy", "conditions")
OF_SUBJECTS = frozenset({"account", "lang", "objection", "tail", "text"})  # of the own account alone


@dataclass(frozen=True)
class Asker:
    """A client, the canaries that the SDL permits it, and the share of its queries that must be answered.

    `answered_parts` is the share of answers that must speak of people or their items, and not of policies alone.
    """

    name: str
    role: Role
    answered: float
    told: float = 0.0
    places: frozenset[str] = frozenset()
    subject: str | None = None  # the place among the world's subjects

    def __str__(self) -> str:
        return self.name


ASKERS = (
    Asker("a training client", Role.TRAINING_CLIENT, 0.4, 0.3),
    Asker("a dashboard", Role.DASHBOARD, 0.4),
    Asker("a privacy officer", Role.PRIVACY_OFFICER, 0.3, 0.2, frozenset({"content", "lang", "objection", "text"})),
    Asker("an auditor", Role.AUDITOR, 0.3, 0.2, frozenset({"content", "lang", "objection"})),
    Asker("an author", Role.DATA_SUBJECT, 0.3, 0.2, OF_SUBJECTS, "author"),
    Asker("an objector", Role.DATA_SUBJECT, 0.3, 0.2, OF_SUBJECTS, "objector"),
    Asker("the platform", Role.PLATFORM_INGEST, 0.4),
)


@dataclass(frozen=True)
class Served:
    """A gateway that serves the world as a process of its own, and the ids of what is in it."""

    address: str
    url: str  # the administrator's, of its database
    issuer: DevelopmentIssuer
    world: CanaryWorld
    contents: dict[str, int]
    accounts: dict[str, int]
    authors: set[int]  # of permitted items
    subjects: dict[str, str]
    owned: dict[str, set[Reading]]

    def audience(self, asker: Asker) -> str:
        """Name the audience whose ids an asker is given."""
        if asker.subject:
            return f"subject:{self.subjects[asker.subject]}"
        return f"client:{CLIENTS[0]}" if asker.role is Role.TRAINING_CLIENT else "staff"

    def audiences(self) -> set[str]:
        """Name all audiences."""
        named = {f"client:{name}" for name in CLIENTS} | {f"subject:{name}" for name in self.subjects.values()}
        return {"staff", *named}

    def granted(self, asker: Asker, reading: Reading) -> bool:
        """Return whether an asker may be given what an id of theirs numbers."""
        kind, number = reading
        if asker.subject and kind is IdKind.RECEIPT:
            return self.delivered(self.subjects[asker.subject], number)
        if asker.subject:
            return reading in self.owned[asker.subject]
        if asker.role is Role.TRAINING_CLIENT:
            permitted = {self.contents[item] for item in self.world.permitted}
            items = (IdKind.TRAINABLE_CONTENT, IdKind.TRAINABLE_CONTENT_CURSOR)
            known = kind is IdKind.AVAILABILITY_CURSOR or (kind is IdKind.AUTHOR and number in self.authors)
            return known or kind is IdKind.RECEIPT or (kind in items and number in permitted)
        return asker.role in (Role.PRIVACY_OFFICER, Role.AUDITOR)

    def delivered(self, subject: str, receipt: int) -> bool:
        """Return whether a page held an item of a person; pages are delivered all the time."""
        with psycopg.connect(self.url) as connection:
            found = connection.execute(
                "SELECT FROM grounds.delivery d CROSS JOIN grounds.items_of(d) item"
                " JOIN grounds.content c ON c.id = item AND c.account = %s"
                " WHERE d.id = %s LIMIT 1",
                [self.accounts[subject], receipt],
            )
            return found.fetchone() is not None

    def faults(self, asker: Asker, answer: str) -> list[str]:
        """Find what an answer tells that it may not: canaries, and ids of what its asker may not have."""
        number = self.world.numbers[self.subjects[asker.subject]] if asker.subject else None
        found = heard(answer, asker.places, number)
        for audience in self.audiences():
            own = audience == self.audience(asker)
            read = (each for each in readings(answer, audience) if not (own and self.granted(asker, each)))
            found += [f"{each} of {audience}" for each in read]
        return found


@pytest.fixture(scope="module")
def served(cluster: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("generated")
    world = canary_world()
    url = canary_database(cluster, world, folder / "data")
    settings = {"DATABASE_URL": url, "GROUNDS_SECRET": SECRET.decode()}
    with serving(folder / "data", folder / "log", env=settings) as server:
        issuer = DevelopmentIssuer.open(folder / "data")
        with psycopg.connect(url) as connection:
            yield Served(server.address, url, issuer, world, *_numbers(connection, world))
        assert server.stop() == 0
    assert not heard((folder / "log").read_text())


def _numbers(connection: psycopg.Connection, world: CanaryWorld) -> tuple[Any, ...]:
    contents, accounts = _by_platform_id(connection, "content"), _by_platform_id(connection, "account")
    written = connection.execute(
        "SELECT DISTINCT account FROM grounds.content WHERE platform_id = ANY (%s)", [list(world.permitted)]
    )
    objections = (json.loads(line) for line in world.batch.stages[0][1] if b'"objection"' in line)
    objector = next(each["account"] for each in objections if each.get("account") and heard(each["account"]))
    subjects = {"author": "plain-0", "objector": objector}
    owned = {name: set(_owned(connection, subject, accounts[subject])) for name, subject in subjects.items()}
    return contents, accounts, {number for (number,) in written}, subjects, owned


def _by_platform_id(connection: psycopg.Connection, table: str) -> dict[str, int]:
    return dict(connection.execute(f"SELECT platform_id, id FROM grounds.{table}".encode()).fetchall())


def _owned(connection: psycopg.Connection, subject: str, number: int) -> Iterator[Reading]:
    """Read what is about one account: nothing of a person's other accounts, for these subjects have none."""
    objections = "(SELECT objection FROM grounds.objection_target WHERE kind = 'ACCOUNT' AND value = %(subject)s)"
    for kinds, query in (
        ((IdKind.ACCOUNT, IdKind.ACCOUNT_CURSOR), "SELECT %(number)s::bigint"),
        ((IdKind.CONTENT, IdKind.CONTENT_CURSOR), "SELECT id FROM grounds.content WHERE account = %(number)s"),
        ((IdKind.NOTICE,), "SELECT id FROM grounds.notice WHERE account = %(number)s"),
        ((IdKind.OBJECTION,), f"SELECT o.objection FROM {objections} o"),
        (
            (IdKind.CONSENT_EVENT, IdKind.CONSENT_EVENT_CURSOR),
            f"SELECT id FROM grounds.consent_event WHERE account = %(number)s OR objection IN {objections}",
        ),
    ):
        for (found,) in connection.execute(query.encode(), {"subject": subject, "number": number}):
            yield from ((kind, found) for kind in kinds)


def pools(served: Served, asker: Asker) -> Pools:
    """Return what the arguments are drawn from, by their names."""
    mine = ids_of(SECRET, served.audience(asker))
    theirs = [ids_of(SECRET, audience) for audience in sorted(served.audiences() - {served.audience(asker)})]
    own = _own(served, asker, mine)
    named = sorted(served.contents)
    foreign = [*named, *served.accounts, "", "nothing"]
    for ids in (mine, *theirs):
        foreign += _ids(ids, sorted(served.contents.values()), IdKind.CONTENT, IdKind.TRAINABLE_CONTENT, IdKind.RECEIPT)
        foreign += _ids(ids, sorted(served.accounts.values()), IdKind.ACCOUNT, IdKind.AUTHOR)
    cursors = [kind for kind in IdKind if kind.name.endswith("_CURSOR")]
    after = [*_ids(mine, range(1, 60), *cursors), *_ids(theirs[0], range(1, 20), *cursors)]
    chosen = st.sampled_from(own) | st.sampled_from(own) | st.sampled_from(foreign)
    permitted = _ids(mine, [served.contents[item] for item in sorted(served.world.permitted)], IdKind.TRAINABLE_CONTENT)
    instants = st.sampled_from(["2024-01-01T00:00:00Z", "2026-01-01T00:00:00Z", NOW.isoformat()])
    return {
        "first": st.sampled_from([1, 2, 5, 16, 53, 100]),
        "order": st.sampled_from(["ID", "ID", "ID", "AVAILABILITY"]),
        "firstNumber": st.sampled_from([0, 1, 2, 1000]),
        "after": st.sampled_from([None] * 4 * len(after) + after),
        **dict.fromkeys(("id", "contentId"), chosen),
        "contentIds": st.none() | st.lists(chosen, max_size=3),
        "platformIds": st.none() if asker.subject else st.none() | st.lists(st.sampled_from(named), max_size=3),
        "version": st.sampled_from([None, None, "with-consent", "2025-05-27"]),
        "filter": st.none() | _filters(served.world, "TrainableContentFilter"),
        "ids": st.lists(st.sampled_from([*permitted, "nothing"]), max_size=5),  # they are given back as they came
        "asOf": st.none() | st.fixed_dictionaries({"validAt": instants, "knownAt": st.none() | instants}),
        "document": st.sampled_from([default_policy().document()] * 9 + ["{}"]),
        "open": st.booleans(),
        "groupBy": st.lists(st.sampled_from(list(_enum("CoverageDimension"))), max_size=2),
        "CoverageFilter": st.none() | _filters(served.world, "CoverageFilter"),
        "day": st.sampled_from([None, None, NOW.date().isoformat(), "2026-01-01"]),
        "firstDay": st.sampled_from(["2026-01-01", "2026-05-01"]),
        "lastDay": st.sampled_from([NOW.date().isoformat(), "2025-12-31"]),
        "text": st.sampled_from([*foreign, "a@example.org", "+49 30 1234567"]),
        "unmatched": st.booleans(),
        "epoch": st.sampled_from([None, "2025-04", ""]),
        "purpose": st.sampled_from([None] * 6 + ["GENAI_TRAINING", "ADVERTISING"]),
    }


def _own(served: Served, asker: Asker, mine: Ids) -> list[str]:
    contents, accounts = sorted(served.contents.values()), sorted(served.accounts.values())
    if asker.subject:
        contents = sorted(number for kind, number in served.owned[asker.subject] if kind is IdKind.CONTENT)
        accounts = [served.accounts[served.subjects[asker.subject]]]
    if asker.role is Role.TRAINING_CLIENT:
        return _ids(mine, contents, IdKind.TRAINABLE_CONTENT)
    return [*_ids(mine, contents, IdKind.CONTENT), *_ids(mine, accounts, IdKind.ACCOUNT)]


def _ids(ids: Ids, numbers: Any, *kinds: IdKind) -> list[str]:
    return [each for kind in kinds for each in ids.encode_all(kind, list(numbers))]


def _filters(world: CanaryWorld, kind: str) -> st.SearchStrategy[dict[str, Any]]:
    hidden = [json.loads(line) for _, lines in world.batch.stages for line in lines if b"-lang-" in line]
    languages = [item.language for item in world.permitted.values() if item.language]
    months = {item.month for item in world.permitted.values()}
    values: dict[str, list[str]] = {
        "kinds": list(_enum("ContentKind")),
        "grounds": list(_enum("Ground")),
        "products": ["FACEBOOK", "INSTAGRAM", "MESSENGER"],
        "languages": [*languages[:20], *(record["language"] for record in hidden[:20])],
        "createdMonths": sorted(months),
        "months": sorted(month[:7] for month in months),
        "countries": ["IE", "DE", "AT", "PT", "unknown"],
        "regions": ["IE", "DE", "AT", "PT"],
        "mediaTypes": ["image/png", "image/jpeg"],
    }
    single: dict[str, st.SearchStrategy[Any]] = {
        **dict.fromkeys(("createdFromMonth", "createdUntilMonth"), st.sampled_from(values["createdMonths"])),
        "sample": st.fixed_dictionaries({"share": st.sampled_from([0.1, 0.5, 1]), "seed": st.sampled_from(["a", "b"])}),
    }
    declared: Any = SDL.type_map[kind]
    named = {
        name: single[name] if name in single else st.lists(st.sampled_from(values[name]), min_size=1, max_size=4)
        for name in declared.fields
    }
    return st.fixed_dictionaries({}, optional=named)


def _enum(name: str) -> Iterator[str]:
    kind: Any = SDL.type_map[name]
    yield from kind.values


@pytest.mark.parametrize("asker", ASKERS, ids=str)
def test_no_generated_question_is_answered_with_what_is_hidden(served: Served, asker: Asker) -> None:
    ask(served, asker, QUESTIONS // len(ASKERS), derandomize=True)


@pytest.mark.exhaustive
@pytest.mark.parametrize("asker", ASKERS, ids=str)
def test_no_question_never_asked_before_is_answered_with_what_is_hidden(served: Served, asker: Asker) -> None:
    ask(served, asker, LONG_QUESTIONS // len(ASKERS), derandomize=False)


def test_a_page_that_forgets_a_condition_is_heard(served: Served) -> None:
    policy = parse_policy(json.dumps(served.world.batch.policy))
    view = compiled_views(policy)["trainable_content"]
    put = "CREATE OR REPLACE VIEW grounds.trainable_content WITH (security_barrier) AS "
    with psycopg.connect(served.url, autocommit=True) as connection:
        connection.execute((put + view.replace("NOT c.reserved", "TRUE")).encode())
        with pytest.raises(AssertionError, match=f"{CANARY}|{HEX_CANARY}|of client:"):
            ask(served, ASKERS[0], 300, derandomize=True, phases=[Phase.generate])
        connection.execute((put + view).encode())


def ask(served: Served, asker: Asker, count: int, *, derandomize: bool, phases: Sequence[Phase] = tuple(Phase)) -> None:
    """Ask so many questions; and show that a good share of them was answered, for errors prove nothing."""
    tally: Counter[str] = Counter()
    with asking(served, asker) as post:

        @settings(
            max_examples=count,
            deadline=None,
            database=None,
            derandomize=derandomize,
            phases=phases,
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        )
        @given(questions(asker.role, pools(served, asker)))
        def one(question: dict[str, Any]) -> None:
            answer, head = post(question)
            assert served.faults(asker, answer + head) == []
            tally.update(answered_parts(json.loads(answer)))

        one()
    assert tally["asked"] >= count
    shares = {name: tally[name] / tally["asked"] for name in ("answered", "told")}
    print(asker, tally)
    assert shares["answered"] >= asker.answered, shares
    assert shares["told"] >= asker.told, shares


@contextmanager
def asking(served: Served, asker: Asker) -> Iterator[Callable[[dict[str, Any]], tuple[str, str]]]:
    """Keep a connection over which an asker's questions go; each gives the body and the head of its answer."""
    claims = {"subject": served.subjects[asker.subject]} if asker.subject else {"subject": None}
    token = served.issuer.token(asker.role, client=CLIENTS[0], purpose="GENAI_TRAINING", **claims)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    with closing(HTTPConnection(urlsplit(served.address).netloc, timeout=60)) as connection:

        def post(question: dict[str, Any]) -> tuple[str, str]:
            body = json.dumps(question)
            try:
                return exchange(body)
            except ConnectionError:  # the server closes what was idle for some seconds
                connection.close()
                return exchange(body)

        def exchange(body: str) -> tuple[str, str]:
            connection.request("POST", "/graphql", body, headers)
            response = connection.getresponse()
            return response.read().decode(), str(response.getheaders())

        yield post


def answered_parts(answer: dict[str, Any]) -> Iterator[str]:
    """Return whether something was answered, and whether it speaks of people and their items."""
    yield "asked"
    data = answer.get("data") or {}
    if any(value is not None for value in data.values()):
        yield "answered"
    if any(value is not None for name, value in data.items() if name not in OF_NOBODY):
        yield "told"
