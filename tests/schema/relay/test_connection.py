"""Lists in the manner of Relay, the receipt of each page, and the two paths that answer alike."""

from typing import Any

import pytest

import schema.execution.plans
import schema.execution.row_compiler
from schema.actor import Role
from schema.relay.ids import IdKind, ids_of
from tests.support.facts import NOW, fact
from tests.support.gateway import SECRET, TestGateway

PERMITTED = 7
CONNECTIONS = ("trainableContent", "contents", "accounts", "consentEvents")
READERS = {"trainableContent": Role.TRAINING_CLIENT}
MAX_SIZES = {"trainableContent": 1000}
PAGE = """query Page($first: Int!, $after: String) {
  connection: %s(first: $first, after: $after) {
    edges { cursor node { id } } nodes { id } pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
  }
}"""
FRAGMENTS = """
query Fragments {
  page: trainableContent(first: 5) { __typename nodes { ...Item } pageInfo { endCursor } }
  edged: trainableContent(first: 5) { edges { __typename cursor item: node { ...Item } } }
}
fragment Item on TrainableContent {
  __typename key: id kind product language createdMonth text ... on Node { id }
  media { __typename type place: url sha256 } author { ...Author } author { region }
  reason { ...Reason } why: reason { summary receipt }
}
fragment Author on PseudonymousAuthor { id name: id }
fragment Reason on QualifyingReason {
  __typename ground legalBasis { __typename title link: iri } summary policyVersion decidedAt receipt
  conditions { __typename code outcome required evidence proof: evidence }
}"""
DIRECTIVES = """
query Directives($yes: Boolean = true, $no: Boolean = false) {
  trainableContent(first: 5) {
    nodes @skip(if: $no) {
      skipped: text @skip(if: $yes) kept: text @skip(if: $no) left: kind @include(if: $no) kind @include(if: $yes)
      ... @include(if: $no) { createdMonth never: language }
      ... on TrainableContent @include(if: $yes) { sometimes: language }
      reason { summary @skip(if: $yes) conditions { code evidence @include(if: $no) } }
    }
    edges @include(if: $no) { cursor }
  }
}"""
SELECTIONS = (
    "nodes { id }",
    "nodes { text }",
    "nodes { __typename }",
    "edges { cursor }",
    "edges { node { id text } }",
    "edges { __typename node { __typename } }",
    "nodes { media { url } }",
    "nodes { reason { conditions { code } } }",
    "nodes { reason { legalBasis { iri } } }",
    "edges { node { author { region } reason { decidedAt } } } nodes { createdMonth kind }",
    "nodes { a: id b: id } other: nodes { c: id }",
)


@pytest.fixture
async def filled(gateway: TestGateway) -> TestGateway:
    """A gateway with seven permitted items of several kinds, one of them with media, and some that are not."""
    gateway.set_clock(NOW)
    media = [{"type": "image/jpeg", "url": "https://media.example/1", "sha256": None, "deidentified": True}] * 2
    kinds = [{"kind": "POST"}, {"kind": "CAPTION", "parent": "item-0"}, {"kind": "PHOTO"}, {"kind": "POST"}]
    prompts: dict[str, Any] = {"kind": "AI_INTERACTION", "audience": None, "audience_since": None}
    made: list[dict[str, Any]] = [*kinds, {"kind": "PHOTO", "media": media}, prompts, {"text": None, "media": media}]
    assert len(made) == PERMITTED
    hidden = [{"audience": "FRIENDS"}, {"deleted_at": "2026-01-01T00:00:00Z"}, {"kind": "VIDEO"}]
    items = [fact("content", id=f"item-{at}", **fields) for at, fields in enumerate(made + hidden)]
    accounts = [fact("account"), *(fact("account", id=f"account-{at}") for at in range(4))]
    notices = [fact("notice"), *(fact("notice", id=f"notice-{at}", account=f"account-{at}") for at in range(4))]
    answer = await gateway.ingest([*accounts, *notices, *items])
    assert answer["total"]["rejected"] == 0
    return gateway


async def walk(gateway: TestGateway, name: str, first: int) -> list[dict[str, Any]]:
    pages: list[dict[str, Any]] = []
    after = None
    while not pages or pages[-1]["pageInfo"]["hasNextPage"]:
        asked = {"first": first, "after": after}
        role = READERS.get(name, Role.AUDITOR)
        pages.append((await gateway.ask(role, PAGE % name, asked))["connection"])
        after = pages[-1]["pageInfo"]["endCursor"]
    return pages


@pytest.mark.parametrize("name", CONNECTIONS)
async def test_every_list_is_walked_once_whatever_the_page_size(filled: TestGateway, name: str) -> None:
    (whole,) = await walk(filled, name, 100)
    ids = [node["id"] for node in whole["nodes"]]
    assert len(set(ids)) == len(ids) >= 5
    for first in (1, 2, len(ids) - 1, len(ids)):
        pages = await walk(filled, name, first)
        assert [node["id"] for page in pages for node in page["nodes"]] == ids
        assert [len(page["nodes"]) for page in pages[:-1]] == [first] * (len(pages) - 1)
        for number, page in enumerate(pages):
            info = page["pageInfo"]
            assert [edge["node"] for edge in page["edges"]] == page["nodes"]
            assert info["startCursor"] == page["edges"][0]["cursor"]
            assert info["endCursor"] == page["edges"][-1]["cursor"]
            assert info["hasPreviousPage"] is (number > 0)


@pytest.mark.parametrize("name", CONNECTIONS)
async def test_an_empty_list_is_a_page_without_cursors(gateway: TestGateway, name: str) -> None:
    (page,) = await walk(gateway, name, 1)
    empty = {"hasNextPage": False, "hasPreviousPage": False, "startCursor": None, "endCursor": None}
    assert page == {"edges": [], "nodes": [], "pageInfo": empty}


@pytest.mark.parametrize("name", CONNECTIONS)
async def test_a_page_size_out_of_bounds_is_refused_with_the_bounds(gateway: TestGateway, name: str) -> None:
    most = MAX_SIZES.get(name, 100)
    role = READERS.get(name, Role.AUDITOR)
    for first in (0, -1, most + 1, 1_000_000):
        (error,) = (await gateway.post(role, PAGE % name, {"first": first})).json()["errors"]
        told = f"first: must be 1 to {most}, not {first} (correct it)"
        assert (error["message"], error["extensions"]) == (told, {"code": "BAD_USER_INPUT"})
        assert error["path"] == ["connection"]
    assert "errors" not in (await gateway.post(role, PAGE % name, {"first": most})).json()


@pytest.mark.parametrize("name", CONNECTIONS)
async def test_a_cursor_that_was_not_given_out_is_refused(filled: TestGateway, name: str) -> None:
    role = READERS.get(name, Role.AUDITOR)
    page = (await filled.ask(role, PAGE % name, {"first": 1}))["connection"]
    cursor = page["pageInfo"]["endCursor"]
    flipped = cursor[:9] + ("A" if cursor[9] != "A" else "B") + cursor[10:]
    audience = "client:client" if role is Role.TRAINING_CLIENT else "staff"
    # A cursor of the order of availability is refused in other words: see test_availability.py.
    elsewhere = [kind for kind in IdKind if kind.name.endswith("_CURSOR") and kind is not IdKind.AVAILABILITY_CURSOR]
    others = [ids_of(SECRET, audience).encode(kind, 1) for kind in elsewhere]
    foreign = ids_of(SECRET, "client:other").encode(IdKind.TRAINABLE_CONTENT_CURSOR, 1)
    wrong = ["", "x", "1", "\0", cursor[:-1], cursor + "A", flipped, page["nodes"][0]["id"], foreign, *others]
    refused = 0
    for after in wrong:
        answer = (await filled.post(role, PAGE % name, {"first": 1, "after": after})).json()
        for error in answer.get("errors", []):
            refused += 1
            told = "after: must be a cursor of this list (pass pageInfo.endCursor of the previous page, unchanged)"
            assert (error["message"], error["extensions"]) == (told, {"code": "BAD_USER_INPUT"})
    assert refused == len(wrong) - 1, "one of the four kinds of cursor is this list's own"


async def test_another_clients_cursor_is_refused(filled: TestGateway) -> None:
    (page, *_) = await walk(filled, "trainableContent", 1)
    asked = {"first": 1, "after": page["pageInfo"]["endCursor"]}
    answer = await filled.post(Role.TRAINING_CLIENT, PAGE % "trainableContent", asked, client="other")
    assert answer.json()["errors"][0]["message"].startswith("after: must be a cursor of this list")


async def test_a_receipt_names_exactly_the_items_of_its_page(filled: TestGateway) -> None:
    query = "query Pull($after: String) { trainableContent(first: 3, after: $after) {"
    query += " nodes { id reason { receipt } } edges { node { id } } pageInfo { endCursor hasNextPage } } }"
    ids = ids_of(SECRET, "client:client")
    delivered: dict[int, list[int]] = {}
    after, more = None, True
    while more:
        page = (await filled.ask(Role.TRAINING_CLIENT, query, {"after": after}))["trainableContent"]
        (receipt,) = {node["reason"]["receipt"] for node in page["nodes"]}
        numbers = [ids.decode_as(IdKind.TRAINABLE_CONTENT, node["id"]) for node in page["nodes"]]
        delivered[ids.decode_as(IdKind.RECEIPT, receipt) or 0] = [number or 0 for number in numbers]
        after, more = page["pageInfo"]["endCursor"], page["pageInfo"]["hasNextPage"]
    assert [len(items) for items in delivered.values()] == [3, 3, 1]
    written = filled.execute(
        "SELECT d.id, ARRAY(SELECT grounds.items_of(d)), d.lowest, d.highest, d.purpose, d.policy, k.name"
        " FROM grounds.delivery d JOIN grounds.client k ON k.id = d.client ORDER BY d.id"
    )
    facts = ("GENAI_TRAINING", "2025-05-27", "client")
    assert written == [(id, items, items[0], items[-1], *facts) for id, items in delivered.items()]


async def test_a_page_that_delivers_nothing_has_no_receipt(filled: TestGateway) -> None:
    nothing = "{ trainableContent(first: 5, filter: {products: []}) { nodes { id } } }"
    assert (await filled.ask(Role.TRAINING_CLIENT, nothing))["trainableContent"]["nodes"] == []
    assert filled.execute("SELECT count(*) FROM grounds.delivery") == [(0,)]


async def test_a_node_is_delivered_with_a_receipt_of_its_own(filled: TestGateway) -> None:
    (item, *_) = await filled.pull()
    fields = "__typename id ... on TrainableContent { text reason { receipt } }"
    query = f"query One($id: ID!) {{ node(id: $id) {{ {fields} }} }}"
    node = (await filled.ask(Role.TRAINING_CLIENT, query, {"id": item["id"]}))["node"]
    ids = ids_of(SECRET, "client:client")
    assert (node["__typename"], node["id"], node["text"]) == ("TrainableContent", item["id"], item["text"])
    receipt = ids.decode_as(IdKind.RECEIPT, node["reason"]["receipt"])
    number = ids.decode_as(IdKind.TRAINABLE_CONTENT, item["id"])
    assert filled.execute("SELECT grounds.items_of(d) FROM grounds.delivery d WHERE id = %s", receipt) == [(number,)]


async def test_the_compiled_and_the_ordinary_path_answer_alike_byte_for_byte(
    filled: TestGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    def not_compiled(*_: object) -> None:
        raise schema.execution.row_compiler.NotCompiled

    async def not_planned(*_: object) -> None:
        return None

    def without_receipts(text: str) -> str:
        """A page is a delivery of its own each time."""
        for receipt in range(1, 99):
            text = text.replace(ids_of(SECRET, "client:client").encode(IdKind.RECEIPT, receipt), "receipt")
        return text

    for query in (FRAGMENTS, DIRECTIVES, *(f"{{ trainableContent(first: 5) {{ {each} }} }}" for each in SELECTIONS)):
        compiled = await filled.post(Role.TRAINING_CLIENT, query)
        with monkeypatch.context() as patch:
            patch.setattr(schema.execution.row_compiler, "_selection_shape", not_compiled)
            patch.setattr(schema.execution.plans.Plans, "answer", not_planned)
            ordinary = await filled.post(Role.TRAINING_CLIENT, query)
        assert "errors" not in compiled.json(), compiled.json()["errors"]
        assert without_receipts(compiled.text) == without_receipts(ordinary.text)
