"""A file of an item is fetched from the gateway, which decides each fetch anew and passes on what the facts state."""

import asyncio
import json
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from hashlib import sha256
from typing import Any

import httpx
import pytest

import app.http.media
import schema.training.trainable_content
from schema.actor import Role
from schema.relay.ids import IdKind, ids_of
from tests.app.http.test_retraction_stream import FEED, some, stream
from tests.app.webhooks.test_sender import until
from tests.support.facts import DAY, NOW, fact
from tests.support.gateway import SECRET, TestGateway
from tests.support.media_store import ORIGIN, Store, media_store
from tests.support.mutants import Killed
from tests.support.retractions import alter, register, settled
from tests.support.shared_server import SharedServer
from tests.support.webhook_receiver import receiver

HOUR = DAY / 24
CANARY = "jane.heron"
PICTURE = bytes(range(256)) * 40
PAGE = "{ trainableContent(first: 1000) { nodes { media { type url sha256 alt } reason { receipt } } } }"
OBJECT = "mutation { fileObjection(input: {scope: ALL}) { reference } }"


@pytest.fixture
def store() -> Iterator[Store]:
    with media_store() as opened:
        opened.files["/1.png"] = PICTURE
        yield opened


@pytest.fixture
async def gateway(shared_server: SharedServer, store: Store) -> AsyncIterator[TestGateway]:
    async with shared_server.gateway(media={ORIGIN: store.address}, media_max_bytes=20_000) as opened:
        opened.set_clock(NOW)
        assert (await opened.ingest([fact("account"), fact("notice")]))["total"]["accepted"] == 2
        yield opened


def medium(path: str = "/1.png", content: bytes | None = PICTURE, **fields: Any) -> dict[str, Any]:
    digest = None if content is None else sha256(content).hexdigest()
    return {"type": "image/png", "url": f"{ORIGIN}{path}", "sha256": digest, "deidentified": True, **fields}


async def publish(gateway: TestGateway, *media: dict[str, Any], day: int = 2) -> list[str]:
    """Load the item with these media; return the addresses that a page gives for them."""
    answer = await gateway.ingest([fact("content", day, media=list(media))])
    assert answer["total"]["accepted"] == 1, answer
    return [each["url"] for each in await media_of_page(gateway)]


async def media_of_page(gateway: TestGateway, **claims: Any) -> list[dict[str, Any]]:
    nodes = (await gateway.ask(Role.TRAINING_CLIENT, PAGE, **claims))["trainableContent"]["nodes"]
    return [each for node in nodes for each in node["media"]]


async def fetch(gateway: TestGateway, address: str, *, method: str = "GET", **headers: str) -> httpx.Response:
    token = gateway.token(Role.TRAINING_CLIENT, client=headers.pop("client", "client"))
    return await gateway.client.request(method, address, headers={"Authorization": f"Bearer {token}", **headers})


def receipts(gateway: TestGateway) -> int:
    ((count,),) = gateway.execute("SELECT count(*) FROM grounds.delivery")
    return int(count)


async def test_a_file_is_fetched_by_its_address_and_each_fetch_has_a_receipt(
    gateway: TestGateway, store: Store
) -> None:
    (address,) = await publish(gateway, medium())
    before = receipts(gateway)
    answer = await fetch(gateway, address, Cookie="session=1")
    assert (answer.status_code, answer.content) == (200, PICTURE)
    assert receipts(gateway) == before + 1
    assert dict(answer.headers) | {
        "content-type": "image/png", "content-length": str(len(PICTURE)), "x-content-type-options": "nosniff",
        "content-disposition": "attachment", "accept-ranges": "bytes",
    } == dict(answer.headers)  # fmt: skip
    assert answer.headers["content-security-policy"].startswith("sandbox;")
    assert "private, no-store" in answer.headers["cache-control"]
    ((path, asked),) = store.asked
    assert path == "/1.png"
    assert not {"authorization", "cookie"} & asked.keys()


async def test_an_address_is_of_one_client_with_a_token_and_names_one_file(gateway: TestGateway) -> None:
    one, other = await publish(gateway, medium(), medium("/2.png"))
    assert one != other
    assert one.startswith("/media/")
    assert (await gateway.client.get(one)).status_code == 401
    token = {"Authorization": f"Bearer {gateway.token(Role.PRIVACY_OFFICER)}"}
    assert (await gateway.client.get(one, headers=token)).status_code == 403
    before = receipts(gateway)
    for address in (
        one[:-1] + ("A" if one[-1] != "A" else "B"),
        one[:-22],
        one[:-22] + one[7:29],
        "/media/1",
        one + "A",
    ):
        assert (await fetch(gateway, address)).status_code == 404, address
    assert (await fetch(gateway, one, client="another")).status_code == 404
    assert receipts(gateway) == before


async def test_a_file_that_was_replaced_has_another_address(gateway: TestGateway, store: Store) -> None:
    (old,) = await publish(gateway, medium())
    store.files["/1.png"] = PICTURE[::-1]
    (new,) = await publish(gateway, medium(content=PICTURE[::-1]), day=3)
    assert (await fetch(gateway, old)).status_code == 404
    assert (await fetch(gateway, new)).content == PICTURE[::-1]


@pytest.mark.parametrize("times", [20, pytest.param(1000, marks=pytest.mark.long)])
async def test_a_fetch_after_an_objection_is_404_at_the_next_request(gateway: TestGateway, times: int) -> None:
    await people_with_media(gateway, times)
    addresses = await addresses_by_account(gateway, times)
    for account, address in addresses.items():
        assert (await fetch(gateway, address)).status_code == 200
        before = receipts(gateway)
        await gateway.ask(Role.DATA_SUBJECT, OBJECT, subject=account)
        assert (await fetch(gateway, address)).status_code == 404, account
        assert receipts(gateway) == before


async def people_with_media(gateway: TestGateway, times: int) -> None:
    people = [fact("account", id=f"a-{at}") for at in range(times)]
    notices = [fact("notice", id=f"n-{at}", account=f"a-{at}") for at in range(times)]
    items = [fact("content", id=f"i-{at}", account=f"a-{at}", media=[medium()]) for at in range(times)]
    assert (await gateway.ingest([*people, *notices, *items]))["total"]["accepted"] == 3 * times


async def addresses_by_account(gateway: TestGateway, times: int) -> dict[str, str]:
    """Map each account to the address of its file, by the ids of the client."""
    ids = ids_of(SECRET, "client:client")
    rows = gateway.execute(
        "SELECT c.id, a.platform_id FROM grounds.content c JOIN grounds.account a ON a.id = c.account"
    )
    accounts = {int(item): str(account) for item, account in rows}
    found = {}
    for each in await media_of_page(gateway):
        item = ids.decode_as(IdKind.MEDIUM, each["url"].removeprefix("/media/")[:22])
        assert item is not None
        found[accounts[item]] = each["url"]
    assert len(found) == times
    return found


async def test_a_decision_that_is_remembered_is_noticed(
    gateway: TestGateway, monkeypatch: pytest.MonkeyPatch, killed: Killed
) -> None:
    remembered: dict[str, Any] = {}

    async def remember(context: Any, address: str) -> Any:
        if address not in remembered:
            remembered[address] = await schema.training.trainable_content.deliver_medium(context, address)
        return remembered[address]

    monkeypatch.setattr(app.http.media, "deliver_medium", remember)
    await people_with_media(gateway, 1)
    ((account, address),) = (await addresses_by_account(gateway, 1)).items()
    await fetch(gateway, address)
    await gateway.ask(Role.DATA_SUBJECT, OBJECT, subject=account)
    served = (await fetch(gateway, address)).status_code
    killed("a fetch decided once", "app/http/media.py", "a file after an objection" if served == 200 else None)


async def test_other_bytes_than_stated_break_off_and_quarantine_the_item(gateway: TestGateway, store: Store) -> None:
    (address,) = await publish(gateway, medium())
    store.files["/1.png"] = PICTURE[::-1]
    with pytest.raises(httpx.RemoteProtocolError):
        await fetch(gateway, address)
    ((stated, found),) = gateway.execute("SELECT stated, found FROM grounds.altered_medium")
    assert (stated, found) == (sha256(PICTURE).digest(), sha256(PICTURE[::-1]).digest())
    ((count,),) = gateway.execute("SELECT value FROM grounds.operating_gauges() WHERE name = 'altered_media'")
    assert count == 1
    assert (await fetch(gateway, address)).status_code == 404
    assert (await gateway.decisions())["item"][0] is False
    store.files["/1.png"] = PICTURE
    stale = await gateway.ingest([fact("content", 3, media=[medium()])])
    assert stale["total"]["accepted"] == 1
    assert (await fetch(gateway, address)).status_code == 404
    later = fact("content", media=[medium()]) | {"observed_at": "2026-06-01T13:00:00Z"}
    gateway.set_clock(NOW + 2 * HOUR)
    await gateway.ingest([later])
    assert (await gateway.decisions())["item"][2]["CONTENT_SETTLED"] == "PASS"
    assert (await fetch(gateway, address)).status_code == 200


async def test_a_part_of_other_bytes_than_stated_breaks_off_too(gateway: TestGateway, store: Store) -> None:
    (address,) = await publish(gateway, medium())
    store.files["/1.png"] = PICTURE[:-1] + b"\0"
    with pytest.raises(httpx.RemoteProtocolError):
        await fetch(gateway, address, Range="bytes=0-9")


async def test_bytes_that_nobody_compares_are_noticed(
    gateway: TestGateway, store: Store, monkeypatch: pytest.MonkeyPatch, killed: Killed
) -> None:
    async def unchecked(*_: Any) -> None: ...

    monkeypatch.setattr(app.http.media, "_check_digest", unchecked)
    (address,) = await publish(gateway, medium())
    store.files["/1.png"] = PICTURE[::-1]
    answer = await fetch(gateway, address)
    killed("bytes not compared", "app/http/media.py", "other bytes" if answer.content != PICTURE else None)


@pytest.mark.parametrize(
    ("stated", "start", "end"),
    [
        ("bytes=0-0", 0, 1), ("bytes=5-", 5, 10240), ("bytes=-10", 10230, 10240), ("bytes=10000-99999", 10000, 10240),
        ("bytes=0-1,5-6", None, None), ("lines=1-2", None, None), ("bytes=9-3", None, None), ("bytes=-", None, None),
        ("bytes=-99999", 0, 10240),
    ],
)  # fmt: skip
async def test_a_part_of_a_file_can_be_fetched(
    gateway: TestGateway, stated: str, start: int | None, end: int | None
) -> None:
    (address,) = await publish(gateway, medium())
    answer = await fetch(gateway, address, Range=stated)
    assert answer.status_code == (200 if start is None else 206)
    assert answer.content == PICTURE[start:end]
    if start is not None and end is not None:
        assert answer.headers["content-range"] == f"bytes {start}-{end - 1}/10240"


async def test_a_part_beyond_a_file_is_416_and_a_head_has_no_body(gateway: TestGateway, store: Store) -> None:
    (address,) = await publish(gateway, medium())
    beyond = await fetch(gateway, address, Range="bytes=10240-")
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, "bytes */10240")
    head = await fetch(gateway, address, method="HEAD")
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", "10240")
    assert (await fetch(gateway, address, method="POST")).status_code == 405


async def test_a_file_of_unknown_length_or_hash_is_sent_and_a_large_one_is_not(
    gateway: TestGateway, store: Store
) -> None:
    store.files["/large.png"] = b"1" * 20_001
    unhashed, large, missing = await publish(
        gateway, medium(content=None), medium("/large.png", None), medium("/missing.png")
    )
    assert (await fetch(gateway, unhashed)).content == PICTURE
    assert [(await fetch(gateway, address)).status_code for address in (large, missing)] == [502, 502]
    store.states_length = False
    answer = await fetch(gateway, unhashed, Range="bytes=0-9")
    assert (answer.status_code, answer.content) == (200, PICTURE)
    with pytest.raises(httpx.RemoteProtocolError):
        await fetch(gateway, large)


async def test_a_type_that_is_not_of_the_list_is_not_told_and_not_sent(gateway: TestGateway) -> None:
    answer = await gateway.ingest([fact("content", media=[medium(type="image/svg+xml; by=jane@example.org")])])
    assert answer["total"]["accepted"] == 1
    (told,) = await media_of_page(gateway)
    assert told["type"] == "application/octet-stream"
    assert (await fetch(gateway, told["url"])).status_code == 404


async def test_a_store_that_redirects_stays_within_the_origins(gateway: TestGateway, store: Store) -> None:
    store.redirects = {
        "/moved.png": "/1.png", "/out.png": "https://elsewhere.example.org/1.png", "/loop.png": "/loop.png",
        "/private.png": f"{store.address}/1.png", "/file.png": "file:///etc/passwd",
    }  # fmt: skip
    moved, *refused = await publish(gateway, *(medium(path) for path in store.redirects))
    assert (await fetch(gateway, moved)).content == PICTURE
    assert [(await fetch(gateway, address)).status_code for address in refused] == [502] * 4


async def test_a_client_that_fetches_very_many_files_leaves_some_to_others(gateway: TestGateway, store: Store) -> None:
    (address,) = await publish(gateway, medium())
    store.answering.clear()
    fetching = [asyncio.create_task(fetch(gateway, address)) for _ in range(40)]
    await until(lambda: (len(store.asked), sum(each.done() for each in fetching)) == (16, 24))
    (of_other,) = {each["url"] for each in await media_of_page(gateway, client="other")}
    other = asyncio.create_task(fetch(gateway, of_other, client="other"))
    await until(lambda: len(store.asked) == 17)
    store.answering.set()
    assert Counter([each.status_code for each in await asyncio.gather(*fetching)]) == {200: 16, 429: 24}
    assert (await other).status_code == 200


async def test_the_store_is_asked_with_the_headers_of_the_command_and_keeps_no_cookie(
    shared_server: SharedServer, store: Store
) -> None:
    printing = f"{sys.executable} -c \"import sys; print('Authorization: Store ' + sys.argv[1][-5:])\""
    async with shared_server.gateway(media={ORIGIN: store.address}, media_headers=printing) as gateway:
        gateway.set_clock(NOW)
        await gateway.ingest([fact("account"), fact("notice")])
        (address,) = await publish(gateway, medium())
        store.headers = {"Set-Cookie": "store=1", "Content-Type": "text/html"}
        for _ in range(2):
            answer = await fetch(gateway, address)
            assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
            assert "set-cookie" not in answer.headers
    assert [asked["authorization"] for _, asked in store.asked] == ["Store 1.png"] * 2
    assert all("cookie" not in asked for _, asked in store.asked)


async def test_without_a_store_no_file_is_delivered(shared_server: SharedServer) -> None:
    async with shared_server.gateway() as gateway:
        assert (await fetch(gateway, "/media/1")).status_code == 503


@pytest.mark.parametrize(
    "address",
    [
        *("http://media.example.org/1", "file:///1", "data:image/png;base64,AA", "//media.example.org/1", "1.png", ""),
        *(
            "https://jane:secret@media.example.org/1",
            "https://media.example.org/1#jane",
            "https://media.example.org/ 1",
        ),
        *("https://127.0.0.1/1", "https://10.0.0.7/1", "https://169.254.169.254/1", "https://[::1]/1", "https:///1"),
        *("https://[::ffff:10.0.0.1]/1", "https://localhost/1", "https://store.local/1", "https://0x7f000001/1"),
        *("https://127.1/1", "https://2130706433/1", "https://[fe80::1]/1", "https://media.example.org:0/1"),
        *("https://store.internal./1", "https://b\u00fccher.example/1", "https://media.example.org\\1"),
    ],
)
async def test_an_address_that_is_no_public_file_is_refused_at_ingest(gateway: TestGateway, address: str) -> None:
    (reject,) = (await gateway.ingest([fact("content", media=[medium() | {"url": address}])]))["rejects"]
    assert reject["field"] == "media.0.url"


async def test_a_canary_stops_a_fetch_as_it_stops_a_page(gateway: TestGateway, killed: Killed) -> None:
    (address,) = await publish(gateway, medium())
    gateway.execute(
        "DELETE FROM grounds.delivery; INSERT INTO grounds.canary (item, reason, planted_by, planted_at)"
        " SELECT id, 'A test.', 'operator', now() FROM grounds.content"
    )
    assert (await fetch(gateway, address)).status_code == 503  # as a page: the client is not told why
    stopped = "SELECT h.scope, h.authority FROM grounds.canary_incident i JOIN grounds.hold h ON h.id = i.hold"
    assert (gateway.execute(stopped), receipts(gateway)) == ([("GLOBAL", "Grounds")], 0)
    gateway.execute("DELETE FROM grounds.canary_incident; DELETE FROM grounds.hold")
    alter(gateway, "write_receipt(bigint[])", ("grounds.stopped_by_canary(page_items)", "FALSE"))
    status = (await fetch(gateway, address)).status_code
    killed("a planted item's file", "write_receipt()", f"status {status}" if status == 200 else None)


async def test_no_address_type_or_description_tells_who_published_a_file(
    gateway: TestGateway, monkeypatch: pytest.MonkeyPatch, killed: Killed
) -> None:
    told = medium(f"/{CANARY}/1.png?token={CANARY}", type=f"image/{CANARY}", alt=f"Write to {CANARY}@example.org")
    await publish(gateway, told)
    pages = json.dumps(await media_of_page(gateway))
    assert "Write to [EMAIL]" in pages
    assert CANARY not in pages
    as_stated = vars(schema.training.trainable_content)
    monkeypatch.setitem(as_stated, "media_of_items", lambda *given: [*map(json.loads, given[3])])
    pages = json.dumps(await media_of_page(gateway))
    killed("addresses of the store", "schema/training/media.py", "a canary in an address" if CANARY in pages else None)


PATHS = (
    PAGE,
    "{ trainableContent(first: 9) { edges { node { id media { a: type b: url c: alt d: sha256 } } } } }",
    "{ trainableContent(first: 9, filter: {kinds: [POST]}) { nodes { ...F } } }"
    " fragment F on TrainableContent { __typename author { id } media { __typename url alt type } }",
)


@pytest.mark.parametrize("offers", [False, True])
async def test_no_path_event_or_webhook_tells_where_a_file_is_stored(
    shared_server: SharedServer, store: Store, offers: bool
) -> None:
    told = medium(f"/{CANARY}/1.png?token={CANARY}", type=f"image/{CANARY}", alt=f"{CANARY}@example.org")
    with receiver() as webhook:
        async with shared_server.gateway(media={ORIGIN: store.address}, offers=offers) as gateway:
            gateway.set_clock(NOW)
            await gateway.ingest([fact("account"), fact("notice"), fact("content", media=[told])])
            webhook.secret = await register(gateway, webhook.address)
            for _ in range(600):  # the first offers are built by a job
                if (await gateway.ask(Role.TRAINING_CLIENT, PATHS[1]))["trainableContent"]["edges"]:
                    break
                await asyncio.sleep(0.1)
            answers = [(await gateway.ask(Role.TRAINING_CLIENT, path)) for path in PATHS]
            asked = {"id": answers[1]["trainableContent"]["edges"][0]["node"]["id"]}
            node = "query N($id: ID!) { node(id: $id) { ... on TrainableContent { media { type url alt } } } }"
            answers.append(await gateway.ask(Role.TRAINING_CLIENT, node, asked))
            await gateway.ask(Role.DATA_SUBJECT, OBJECT, subject="author")
            await settled(gateway)
            answers.append(await gateway.ask(Role.TRAINING_CLIENT, FEED))
            async with stream(gateway) as response:
                answers.extend(await some(response, 1))
            await until(lambda: bool(webhook.bodies))
    shown = json.dumps([*answers, *webhook.bodies])
    assert shown.count("/media/") == 4
    assert webhook.forged == 0
    assert not any(each in shown for each in (CANARY, ORIGIN, store.address))
