"""Who sees what: every field for every role as the SDL says, and what is hidden is as if it were not."""

import json
from collections import deque
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from graphql import (
    DirectiveNode,
    EnumValueNode,
    FieldDefinitionNode,
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    ListValueNode,
    build_schema,
    get_named_type,
    is_leaf_type,
    is_required_argument,
    is_required_input_field,
)

from db.coverage import noise
from db.policy.document import default_policy
from db.secrets import role_password
from schema.actor import Role
from schema.relay.ids import IdKind, ids_of
from tests.support.campaigns import CAMPAIGN, put_into_outbox, register
from tests.support.facts import NOW, fact
from tests.support.gateway import SECRET, TestGateway
from tests.support.repository import SCHEMA_FILE
from tests.support.staff_data import add_staff_data

pytestmark = pytest.mark.database

SDL = build_schema(SCHEMA_FILE.read_text(encoding="utf-8"))
SUBJECT = "objector"
ASSESSMENT = {"kind": "DPIA", "reference": "DPIA-7", "sha256": "a" * 64, "approved_by": "the board"} | {
    "valid_until": "2027-01-01",
    "on_overdue": "WARN",
}
ELSEWHERE = default_policy().model_copy(update={"regions": ("FR",)}).document()
Way = tuple[tuple[str, GraphQLField], ...]


@pytest.fixture
async def peopled(gateway: TestGateway) -> TestGateway:
    """A gateway with an author whose items are permitted but one, and another who objected and wrote one item."""
    gateway.set_clock(NOW)
    gateway.execute(
        "UPDATE grounds.policy SET document = jsonb_set(document::jsonb, '{controller,recipients}', %s::jsonb)"
        " || jsonb_build_object('assessments', %s::jsonb)",
        json.dumps({"en": "Companies that train models."}),
        json.dumps([ASSESSMENT]),
    )
    gateway.execute(
        "INSERT INTO grounds.policy_proposal (version, document, effective_from, proposed_by, proposed_at)"
        " SELECT 'next', document, now(), 'officer', now() FROM grounds.policy"
    )
    gateway.execute(
        "INSERT INTO grounds.hold (scope, value, authority, reason, opened_at)"
        " VALUES ('COUNTRY', 'FR', 'an authority', 'an order', now())"
    )
    media = [{"type": "image/jpeg", "url": "https://media.example/1", "sha256": None, "deidentified": True}]
    signals = [
        {"standard": "http-header Content-Usage", "value": "train-ai=y", "location": "https://x.example", "path": "/1"}
        | {"seen_at": "2026-01-01T00:00:00Z"}
    ]
    accounts = [fact("account"), fact("account", id=SUBJECT, signals=signals)]
    notices = [fact("notice"), fact("notice", id="theirs", account=SUBJECT)]
    items = [fact("content", media=media), fact("content", id="own", account=SUBJECT, signals=signals)]
    hidden = fact("content", id="hidden", audience="FRIENDS")
    answer = await gateway.ingest([*accounts, *notices, *items, hidden, fact("objection", account=SUBJECT)])
    assert answer["total"]["rejected"] == 0
    disputed = [
        CAMPAIGN | {"id": "2025-03"},
        CAMPAIGN | {"id": "2025-03", "told": [], "observed_at": "2026-01-03T00:00:00Z"},
    ]
    assert len((await gateway.ingest(disputed))["changedCampaigns"]) == 1
    return gateway


@pytest.fixture
async def retracted(peopled: TestGateway, monkeypatch: pytest.MonkeyPatch) -> TestGateway:
    """One whose client was told to delete what it received, with counts for dashboards of few persons too."""
    monkeypatch.setattr(noise, "PRIVACY_LOSS", 10.0**6)
    peopled.execute("INSERT INTO grounds.client (name) VALUES ('client')")
    peopled.execute(
        "INSERT INTO grounds.delivery (client, purpose, policy, decided_at, items, lowest, highest, item_count)"
        " VALUES (1, 'GENAI_TRAINING', '2025-05-27', now(), '{99}', 99, 99, 1)"
    )
    peopled.execute(
        "INSERT INTO grounds.retraction_batch (client, first_id, last_id, kind, is_incident, retracted_at, due_by,"
        " delivery, items) SELECT 1, n, n, 'RETRACT', TRUE, now(), 'infinity', 1, '{99}'"
        " FROM nextval('grounds.retraction_id') n"
    )
    peopled.execute(
        "INSERT INTO grounds.delivery (client, purpose, policy, decided_at, items, lowest, highest, item_count)"
        " SELECT 1, 'GENAI_TRAINING', '2025-05-27', now(), ARRAY[id], id, id, 1 FROM grounds.content"
        " WHERE platform_id = 'own'"
    )
    await peopled.ingest([fact("objection", id="unmatched", account="nobody")])
    await put_into_outbox(peopled)
    await register(peopled, CAMPAIGN | {"id": "2025-04"})
    peopled.execute("UPDATE grounds.notice SET language = 'en'")
    await peopled.take_coverage()
    await add_staff_data(peopled)
    return peopled


def object_types(schema: GraphQLSchema) -> dict[str, GraphQLObjectType]:
    types = schema.type_map.items()
    return {name: kind for name, kind in types if isinstance(kind, GraphQLObjectType) and not name.startswith("__")}


def readers(field: GraphQLField) -> set[Role]:
    """Read the directive of a field in the committed SDL."""
    assert isinstance(field.ast_node, FieldDefinitionNode)
    (directive,) = [node for node in field.ast_node.directives or () if node.name.value == "governed"]
    assert isinstance(directive, DirectiveNode)
    (argument,) = directive.arguments or ()
    assert isinstance(argument.value, ListValueNode)
    return {Role(value.value) for value in argument.value.values if isinstance(value, EnumValueNode)}


def ways(role: Role) -> dict[str, Way]:
    """Find the shortest way to every object type over fields that a role may read."""
    found: dict[str, Way] = {"Query": ()}
    queue = deque(["Query"])
    while queue:
        kind = queue.popleft()
        for name, field in object_types(SDL)[kind].fields.items():
            beneath = get_named_type(field.type).name
            if beneath in object_types(SDL) and beneath not in found and role in readers(field):
                found[beneath] = (*found[kind], (name, field))
                queue.append(beneath)
    return found


def selection(way: Way, ids: dict[str, str]) -> str:
    """Write a query along a way, with an id where one is asked for, by the field that asks."""
    text = ""
    for name, field in reversed(way):
        known = {
            "first": "5",
            "firstNumber": "1",
            "document": json.dumps(ELSEWHERE),
            "ids": f'[{ids["item"]}, "another"]',
            "id": ids.get(name, ids["item"]),
            "contentId": ids["item"],
            "text": '"client"',
            "firstDay": '"2026-01-01"',
            "lastDay": '"2027-01-01"',
            "groupBy": ids.get("groupBy", "[CONDITION]") if "dialects" in text else "[CONDITION]",
        }
        asked = (key for key, arg in field.args.items() if is_required_argument(arg) or key == "groupBy")
        given = ", ".join(f"{key}: {known[key]}" for key in asked)
        beneath = text or ("" if is_leaf_type(get_named_type(field.type)) else "{ __typename }")
        text = f"{{ {name}{f'({given})' if given else ''} {beneath} }}"
    return text


def answers(data: Any, names: list[str]) -> Iterator[Any]:
    """Walk an answer along field names, through lists."""
    if isinstance(data, list):
        for each in data:
            yield from answers(each, names)
    elif not names:
        yield data
    elif data is not None and names[0] in data:
        yield from answers(data[names[0]], names[1:])


async def ids_for(gateway: TestGateway, role: Role, claims: dict[str, Any]) -> dict[str, str]:
    """Find an item's id, and what else can be asked for by id, as a role may hold them."""
    if role is Role.TRAINING_CLIENT:
        (item, *_) = await gateway.pull()
        return {"item": json.dumps(item["id"])} | await release_of(gateway, role)
    if role in (Role.PRIVACY_OFFICER, Role.AUDITOR, Role.DATA_SUBJECT):
        chosen = "" if role is Role.DATA_SUBJECT else ', platformIds: ["own"]'
        found = await gateway.ask(
            role, f"{{ contents(first: 1{chosen}) {{ nodes {{ id account {{ id }} }} }} }}", **claims
        )
        (node,) = found["contents"]["nodes"]
        ids = {"item": json.dumps(node["id"]), "account": json.dumps(node["account"]["id"]), "groupBy": "[LANGUAGE]"}
        return ids if role is Role.DATA_SUBJECT else ids | await release_of(gateway, role)
    return {"item": '"unknown"'}


async def release_of(gateway: TestGateway, role: Role) -> dict[str, str]:
    """Find the id of the release, as a role may hold it."""
    found = await gateway.ask(role, "{ releases(first: 1) { nodes { id } } }")
    return {"release": json.dumps(found["releases"]["nodes"][0]["id"])}


async def test_a_role_reads_exactly_the_fields_that_the_sdl_grants_it(retracted: TestGateway) -> None:
    for role in Role:
        await reads_exactly_what_is_granted(retracted, role)


async def reads_exactly_what_is_granted(retracted: TestGateway, role: Role) -> None:
    claims: dict[str, Any] = {"subject": SUBJECT} if role is Role.DATA_SUBJECT else {}
    ids = await ids_for(retracted, role, claims)
    await retracted.ask(Role.AUDITOR, "{ accounts(first: 100) { nodes { id } } }")  # a read, for its people to see
    for kind, way in ways(role).items():
        for name, field in object_types(SDL)[kind].fields.items():
            query = selection((*way, (name, field)), ids)
            answer = (await retracted.post(role, query, **claims)).json()
            found = list(answers(answer.get("data"), [*(step for step, _ in way), name]))
            if role in readers(field):
                assert "errors" not in answer, (query, answer["errors"])
                assert found, f"nothing to see: {query}"
            else:
                assert {error["extensions"]["code"] for error in answer["errors"]} == {"FORBIDDEN"}, query
                assert answer["errors"][0]["message"].startswith(f"{kind}.{name} is for "), answer["errors"]
                assert not any(found), "forbidden, and answered"


@pytest.mark.parametrize("role", Role)
async def test_a_role_does_nothing_that_the_sdl_does_not_let_it_do(gateway: TestGateway, role: Role) -> None:
    claims: dict[str, Any] = {"subject": SUBJECT} if role is Role.DATA_SUBJECT else {}
    for name, field in object_types(SDL)["Mutation"].fields.items():
        given = ", ".join(f"{key}: {literal(arg.type)}" for key, arg in field.args.items() if is_required_argument(arg))
        beneath = "" if is_leaf_type(get_named_type(field.type)) else "{ __typename }"
        if role not in readers(field):
            query = f"mutation {{ {name}{f'({given})' if given else ''} {beneath} }}"
            answer = (await gateway.post(role, query, **claims)).json()
            assert [error["extensions"]["code"] for error in answer["errors"]] == ["FORBIDDEN"], answer
            assert answer["errors"][0]["message"].startswith(f"Mutation.{name} is for ")
            assert not answer["data"], answer


def literal(kind: GraphQLInputType) -> str:
    """Write some value of a type."""
    if isinstance(kind, GraphQLNonNull):
        return literal(kind.of_type)
    if isinstance(kind, GraphQLList):
        return "[]"
    if isinstance(kind, GraphQLEnumType):
        return str(next(iter(kind.values)))
    if isinstance(kind, GraphQLInputObjectType):
        required = (
            f"{name}: {literal(field.type)}" for name, field in kind.fields.items() if is_required_input_field(field)
        )
        return f"{{ {', '.join(required)} }}"
    return {"Boolean": "true", "Int": "1", "DateTime": '"2026-01-01T00:00:00Z"'}.get(get_named_type(kind).name, '"x"')


def test_every_type_is_reached_by_somebody() -> None:
    done = {get_named_type(field.type).name for field in object_types(SDL)["Mutation"].fields.values()}
    assert set().union(*(ways(role) for role in Role)) | {"Mutation"} | done == set(object_types(SDL))


async def test_what_is_hidden_from_a_person_is_as_if_it_were_not(peopled: TestGateway) -> None:
    others = {row[0]: row[1] for row in peopled.execute("SELECT platform_id, id FROM grounds.content")}
    accounts = {row[0]: row[1] for row in peopled.execute("SELECT platform_id, id FROM grounds.account")}
    own, staff, client = (ids_of(SECRET, name) for name in (f"subject:{SUBJECT}", "staff", "client:client"))
    hidden = ["item", own.encode(IdKind.CONTENT, others["item"]), staff.encode(IdKind.CONTENT, others["item"])]
    hidden += [
        "author",
        own.encode(IdKind.ACCOUNT, accounts["author"]),
        staff.encode(IdKind.ACCOUNT, accounts["author"]),
    ]
    hidden += [client.encode(IdKind.TRAINABLE_CONTENT, others["item"]), staff.encode(IdKind.CONTENT, others["own"])]
    never = ["nothing", own.encode(IdKind.CONTENT, 10**6), own.encode(IdKind.ACCOUNT, 10**6), "A" * 22, "", "x" * 999]
    query = "query Look($id: ID!) { content(id: $id) { id } account(id: $id) { id } node(id: $id) { id }"
    query += " eligibility(contentId: $id) { permitted } }"
    seen = {id: await peopled.post(Role.DATA_SUBJECT, query, {"id": id}, subject=SUBJECT) for id in hidden + never}
    assert {answer.text for answer in seen.values()} == {seen["nothing"].text}
    assert set(seen["nothing"].json()["data"].values()) == {None}
    mine = {"id": own.encode(IdKind.CONTENT, others["own"])}
    assert (await peopled.ask(Role.DATA_SUBJECT, query, mine, subject=SUBJECT))["content"] == mine


async def test_a_person_reads_their_own_lists_only(peopled: TestGateway) -> None:
    query = "{ accounts(first: 9) { nodes { id } } contents(first: 9) { nodes { id } }"
    query += " consentEvents(first: 9) { nodes { kind } } viewer { account { id } } }"
    theirs = await peopled.ask(Role.DATA_SUBJECT, query, subject=SUBJECT)
    assert [len(theirs[name]["nodes"]) for name in ("accounts", "contents", "consentEvents")] == [1, 1, 2]
    assert theirs["viewer"]["account"] == theirs["accounts"]["nodes"][0]
    nobody = await peopled.ask(Role.DATA_SUBJECT, query, subject="nobody")
    assert [nobody[name]["nodes"] for name in ("accounts", "contents", "consentEvents")] == [[], [], []]
    assert nobody["viewer"]["account"] is None
    everything = await peopled.ask(Role.AUDITOR, query)
    assert [len(everything[name]["nodes"]) for name in ("accounts", "contents", "consentEvents")] == [2, 3, 3]


async def test_what_a_training_client_may_not_have_is_as_if_it_were_not(peopled: TestGateway) -> None:
    numbers = {row[0]: row[1] for row in peopled.execute("SELECT platform_id, id FROM grounds.content")}
    own, other = ids_of(SECRET, "client:client"), ids_of(SECRET, "client:other")
    hidden = [own.encode(IdKind.TRAINABLE_CONTENT, numbers[name]) for name in ("hidden", "own")]
    hidden += [
        other.encode(IdKind.TRAINABLE_CONTENT, numbers["item"]),
        own.encode(IdKind.CONTENT, numbers["item"]),
        "item",
    ]
    never = [own.encode(IdKind.TRAINABLE_CONTENT, 10**6), "A" * 22, "nothing", "", own.encode(IdKind.RECEIPT, 1)]
    query = "query Look($id: ID!) { node(id: $id) { __typename id } }"
    seen = {id: (await peopled.post(Role.TRAINING_CLIENT, query, {"id": id})).text for id in hidden + never}
    assert set(seen.values()) == {'{"data":{"node":null}}'}
    assert peopled.execute("SELECT count(*) FROM grounds.delivery") == [(0,)]
    for field in ("content(id: $id) { id }", "eligibility(contentId: $id) { permitted }", "account(id: $id) { id }"):
        look = f"query Look($id: ID!) {{ {field} }}"
        texts = {(await peopled.post(Role.TRAINING_CLIENT, look, {"id": id})).text for id in hidden + never}
        assert len(texts) == 1
        assert "FORBIDDEN" in texts.pop()


async def test_the_training_login_reaches_the_compiled_view_its_receipts_and_no_more(peopled: TestGateway) -> None:
    functions = peopled.execute(
        "SELECT p.proname FROM pg_proc p WHERE p.pronamespace = 'grounds'::regnamespace"
        " AND has_function_privilege('grounds_training', p.oid, 'EXECUTE') ORDER BY p.proname"
    )
    assert [name for (name,) in functions] == [
        *("acknowledge_retractions", "available_up_to", "cancel_release", "check_eligibility", "claim", "claimed"),
        *("claimed_client", "decision_time", "decisions_pending", "delivery_suspension", "hand_out_shard"),
        *("lose_shard", "offers_agree", "offers_serve", "open_lake_file", "open_shard", "publish_release"),
        *("record_run", "register_client", "release_may_be_read", "removed_from_release", "retractions_after"),
        *("start_release", "working", "write_lake_receipt", "write_receipt"),
    ]
    relations = peopled.execute(
        "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname IN ('grounds', 'public') AND c.relkind IN ('r', 'v', 'm', 'p', 'f', 'S')"
    )
    assert len(relations) > 15
    with training_login(peopled.database_url) as connection:

        def allowed(statement: str) -> bool:
            try:
                connection.execute(statement.encode())
            except (psycopg.errors.InsufficientPrivilege, psycopg.errors.ObjectNotInPrerequisiteState):
                return False
            return True

        readable = {name for schema, name in relations if allowed(f'SELECT * FROM "{schema}"."{name}" LIMIT 1')}
        assert readable == {
            *("trainable_content", "offered_content", "available_content", "delivery", "retraction_batch", "release"),
            *("release_shard", "training_run", "training_run_input"),
        }
        for schema, name in relations:
            assert not allowed(f'DELETE FROM "{schema}"."{name}"'), name
            assert not allowed(f'INSERT INTO "{schema}"."{name}" DEFAULT VALUES'), name
        for statement in (
            *("CREATE TABLE grounds.mine ()", "CREATE TABLE public.mine ()", "SET ROLE grounds_owner"),
            *("SET ROLE grounds_staff", "ALTER ROLE grounds_staff LOGIN"),
            *("COPY grounds.delivery TO PROGRAM 'true'", "SELECT pg_read_file('/etc/hostname')"),
        ):
            assert not allowed(statement), statement


async def test_the_training_login_sees_nothing_without_a_claim_and_with_one_its_own_only(peopled: TestGateway) -> None:
    await peopled.pull(client="one")
    await peopled.pull(client="two")
    (one,), (two,) = peopled.execute("SELECT id FROM grounds.client ORDER BY id")
    with training_login(peopled.database_url) as connection:
        for view in ("trainable_content", "delivery"):
            assert connection.execute(f"SELECT * FROM grounds.{view}".encode()).fetchall() == []
        connection.execute("SELECT set_config('grounds.client', %s, FALSE)", [str(one)])
        assert connection.execute("SELECT DISTINCT client FROM grounds.delivery").fetchall() == [(one,)]
        assert connection.execute("SELECT * FROM grounds.trainable_content").fetchall() == []
        connection.execute("SELECT set_config('grounds.purpose', 'GENAI_TRAINING', FALSE)")
        (row,) = connection.execute("SELECT id FROM grounds.trainable_content").fetchall()
        assert peopled.execute("SELECT platform_id FROM grounds.content WHERE id = %s", row[0]) == [("item",)]
    assert peopled.execute("SELECT client FROM grounds.delivery ORDER BY id") == [(one,), (two,)]


def training_login(database_url: str) -> "psycopg.Connection[tuple[Any, ...]]":
    """Log in as the training pool does."""
    place = urlsplit(database_url)
    return psycopg.connect(
        host=place.hostname,
        port=place.port,
        dbname=place.path.removeprefix("/"),
        user="grounds_training",
        password=role_password(SECRET, "grounds_training"),
        autocommit=True,
    )
