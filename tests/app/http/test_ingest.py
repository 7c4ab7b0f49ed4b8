"""Facts over HTTP: the good lines land, each bad one is told of, and a stream that breaks off leaves nothing behind."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

import app.http.ingest
from app.http.ingest import MAX_REJECTS_SHOWN
from db.ingest.records import LINE_LIMIT
from db.ingest.staging import CHUNK_BYTES
from schema.actor import Role
from tests.support.facts import NOW, fact
from tests.support.gateway import TestGateway

NOTHING = {"accepted": 0, "unchanged": 0, "stale": 0, "rejected": 0}
CANARY = "a line that nobody may read again"
WIDTH = 8000
LINES = 4 * CHUNK_BYTES // WIDTH  # of that width, a stream of more than four chunks
BAD: list[tuple[Any, dict[str, Any], str]] = [
    (b'{"record": "content", "id": "cut', {"record": "content"}, "is not JSON, EOF while parsing a string"),
    (b"nonsense", {}, "is not JSON, expected"),
    (b"[]", {}, "must be a JSON object"),
    (b"7", {}, "must be a JSON object"),
    (b'{"record": "comment"}', {"field": "record"}, "must be one of account, content, notice, objection, consent"),
    (b'{"record": ["content"]}', {"field": "record"}, "must be one of account, content"),
    (b"{}", {"field": "record"}, "must be one of account, content"),
    (
        json.dumps(fact("content", id="utf")).encode()[:-1] + b', "\xff": 1}',
        {"record": "content", "id": "utf"},
        "is not JSON, ",
    ),
    (b"\xff\xfe\x00\x00", {}, "is not JSON, "),
    (b"[" * 200_000, {}, "is not JSON, recursion limit exceeded"),
    (
        fact("content", id="nul", text=f"{CANARY} \0"),
        {"field": "text"},
        "contains the character NUL, which cannot be stored",
    ),
    (fact("account", id="nul\0"), {"field": "id", "id": None}, "contains the character NUL, which cannot be stored"),
    (
        fact("content", id="long", text=CANARY * (5 * LINE_LIMIT // len(CANARY))),
        {},
        f"must have at most {LINE_LIMIT} bytes",
    ),
    (fact("content", id="unknown", colour="red"), {"field": "colour"}, "is not a field of this record (remove it)"),
    (fact("content", id="enum", audience="PUBLIK"), {"field": "audience"}, "Input should be 'PUBLIC', 'UNLISTED'"),
    (
        fact("content", id="day", created_at="2025-02-30T00:00:00Z"),
        {"field": "created_at"},
        "a time that does not exist",
    ),
    (
        fact("content", id="zone", created_at="2025-02-03T00:00:00"),
        {"field": "created_at"},
        "must be a time of RFC 3339 with",
    ),
    (
        fact("account", id="born", born_on="2001-02-30"),
        {"field": "born_on"},
        "is a day that does not exist (correct it)",
    ),
    (fact("account", id="mars", product="MYSPACE"), {"field": "product"}, "must be one of FACEBOOK, INSTAGRAM"),
    (fact("content", id="ahead", observed_at="2999-01-01T00:00:00Z"), {"field": "observed_at"}, "in the future"),
    (fact("notice", id="epoch", account="else", epoch="2025-13"), {"field": "epoch"}, "String should match pattern"),
    (fact("objection", id="whose"), {"field": None}, "must have an account, a person or a contact"),
    ({key: value for key, value in fact("content").items() if key != "media"}, {"field": "media"}, "is missing"),
    (fact("content", id="many", kind=7, audience=7), {"field": "kind"}, "; the record has 2 faults"),
    (fact("content", id="x" * 2049), {"field": "id", "id": None}, "is longer than 2048 bytes"),
]


async def test_each_bad_line_is_told_of_by_number_field_and_reason_and_the_good_ones_land(gateway: TestGateway) -> None:
    gateway.set_clock(NOW)
    lines: list[Any] = [fact("account"), fact("notice")]
    for bad, _, _ in BAD:
        lines += [bad, fact("content", id=f"good-{len(lines)}"), b" "]
    lines = [line if isinstance(line, bytes) else json.dumps(line, ensure_ascii=False).encode() for line in lines]
    answer = await gateway.ingest(lines)
    assert answer["total"] == {"accepted": len(BAD) + 2, "unchanged": 0, "stale": 0, "rejected": len(BAD)}
    assert len(await gateway.pull()) == len(BAD)
    for number, (rejected, (_, place, reason)) in enumerate(zip(answer["rejects"], BAD, strict=True)):
        assert rejected.keys() == {"line", "record", "id", "field", "reason", "faults"}, "and never what the line says"
        assert rejected["line"] == 3 + 3 * number
        assert rejected | place == rejected, reason
        assert reason in rejected["reason"]
    assert CANARY not in json.dumps(answer)
    again = await gateway.ingest(lines)
    assert again["total"] == {"accepted": 0, "unchanged": len(BAD) + 2, "stale": 0, "rejected": len(BAD)}
    assert again["rejects"] == answer["rejects"]


async def test_the_summary_counts_each_record(gateway: TestGateway) -> None:
    gateway.set_clock(NOW)
    objection = fact("objection", account="author")
    first = await gateway.ingest(
        [fact("account", 3), fact("notice"), fact("content"), objection, fact("consent"), "{}"]
    )
    assert list(first["records"]) == ["account", "content", "notice", "objection", "consent", "unreadable"]
    assert first["records"]["content"] == NOTHING | {"accepted": 1}
    assert first["records"]["unreadable"] == NOTHING | {"rejected": 1}
    second = [fact("account", 2), fact("content", audience="FRIENDS"), fact("content", 3), fact("notice")]
    answer = await gateway.ingest(second)
    assert answer["records"] == {
        "account": NOTHING | {"stale": 1},
        "content": NOTHING | {"accepted": 1, "rejected": 1},
        "notice": NOTHING | {"unchanged": 1},
    }
    (conflict,) = answer["rejects"]
    assert (conflict["line"], conflict["id"], conflict["field"]) == (2, "item", "observed_at")
    assert "the stored record has the same observed_at, but different values" in conflict["reason"]


async def test_more_bad_lines_than_are_shown_are_all_counted(gateway: TestGateway) -> None:
    answer = await gateway.ingest(["{}"] * (MAX_REJECTS_SHOWN + 5))
    assert answer["total"]["rejected"] == MAX_REJECTS_SHOWN + 5
    assert len(answer["rejects"]) == MAX_REJECTS_SHOWN


async def test_nothing_is_an_answer_too(gateway: TestGateway) -> None:
    for content in (b"", b"\n", b" \n\r\n\n"):
        response = await post(gateway, content)
        empty: dict[str, Any] = {"records": {}, "total": NOTHING, "rejects": [], "noticesOfUnknownCampaigns": {}}
        empty |= {"consentsNotAskedFor": 0, "changedCampaigns": [], "stillSetAside": {}, "unreadableSignals": []}
        assert (response.status_code, response.json()) == (200, empty)


async def test_only_the_platform_may_tell_facts(gateway: TestGateway) -> None:
    line = json.dumps(fact("account")).encode()
    for role in sorted(Role, key=lambda role: role is Role.PLATFORM_INGEST):
        subject = {"subject": "author"} if role is Role.DATA_SUBJECT else {}
        token = gateway.token(role, **subject)
        response = await post(gateway, line, Authorization=f"Bearer {token}")
        assert response.status_code == (200 if role is Role.PLATFORM_INGEST else 403)
        if role is not Role.PLATFORM_INGEST:
            said = f"/ingest is for PLATFORM_INGEST, and this token is for {role}"
            said += " (ask the issuer for a token with that role)"
            assert response.json() == {"errors": [{"message": said}]}
            assert gateway.execute("SELECT count(*) FROM grounds.account") == [(0,)]
    for wrong in ("", "Bearer nonsense", "Basic dTpw"):
        response = await post(gateway, line, Authorization=wrong)
        assert (response.status_code, response.headers["www-authenticate"]) == (401, "Bearer")
        assert response.json()["errors"][0]["message"]


async def test_a_compressed_stream_is_refused_rather_than_taken_for_bad_lines(gateway: TestGateway) -> None:
    response = await post(gateway, b"\x1f\x8b", Content_Encoding="gzip")
    assert response.status_code == 415
    assert response.json()["errors"][0]["message"].startswith("Content-Encoding: must be identity")


async def test_a_stream_is_merged_while_it_comes(gateway: TestGateway) -> None:
    gateway.set_clock(NOW)
    seen: list[int] = []

    async def blocks() -> AsyncIterator[bytes]:
        for number in range(LINES):
            line = json.dumps(fact("content", id=f"item-{number}", text="x" * WIDTH)).encode() + b"\n"
            for start in range(0, len(line), 7000):
                yield line[start : start + 7000]
        seen.append(await soon_merged(gateway))

    response = await post(gateway, blocks())
    assert response.json()["total"] == NOTHING | {"accepted": LINES}
    assert 0 < seen[0] < LINES, "the last block is merged when the stream has ended"


async def test_a_client_that_goes_away_leaves_what_was_merged_and_a_clean_connection(
    gateway: TestGateway, capsys: pytest.CaptureFixture[str]
) -> None:
    gateway.set_clock(NOW)
    lines = [json.dumps(fact("content", id=f"item-{number}", text="y" * WIDTH)) for number in range(LINES)]
    body = ("\n".join(lines) + '\n{"record": "content", "id": "half').encode()
    place = urlsplit(gateway.address)
    for cut in (body, body[:100], b""):
        _, writer = await asyncio.open_connection(place.hostname, place.port)
        token = gateway.token(Role.PLATFORM_INGEST)
        head = (
            "POST /ingest HTTP/1.1",
            "Host: 127.0.0.1",
            f"Authorization: Bearer {token}",
            f"Content-Length: {2 * len(body)}",
        )
        writer.write("\r\n".join([*head, "", ""]).encode() + cut)
        await writer.drain()
        if cut is body:
            assert await soon_merged(gateway)
        writer.close()
        await writer.wait_closed()
    merged = gateway.execute("SELECT count(*) FROM grounds.content")[0][0]
    assert 0 < merged <= LINES
    assert gateway.execute("SELECT count(*) FROM grounds.quarantine") == [(0,)], "half a line is not a bad line"
    for _ in range(3):  # more often than there are connections
        answer = await gateway.ingest(lines)
        assert answer["total"]["rejected"] == answer["total"]["stale"] == 0
    assert answer["total"]["unchanged"] == LINES
    assert gateway.execute("SELECT count(*), count(DISTINCT platform_id) FROM grounds.content") == [(LINES, LINES)]
    assert "Traceback" not in "".join(capsys.readouterr())


async def test_a_failure_inside_is_told_as_a_reference_only(
    gateway: TestGateway, capsys: pytest.CaptureFixture[str]
) -> None:
    gateway.set_clock(NOW)
    gateway.execute("ALTER TABLE grounds.content ADD CONSTRAINT never CHECK (kind <> 'POST')")
    response = await post(gateway, json.dumps(fact("content", text=CANARY)).encode())
    assert response.status_code == 500
    told = response.json()["errors"][0]["message"]
    assert told.startswith("an internal error occurred (give the operator the reference ")
    logged = "".join(capsys.readouterr())
    assert "CheckViolationError" in logged
    assert CANARY not in logged + response.text
    gateway.execute("ALTER TABLE grounds.content DROP CONSTRAINT never")
    assert (await gateway.ingest([fact("content")]))["total"] == NOTHING | {"accepted": 1}


async def soon_merged(gateway: TestGateway) -> int:
    """Wait until something is merged, and return how many items."""
    for _ in range(400):
        (count,) = gateway.execute("SELECT count(*) FROM grounds.content")[0]
        if count:
            return int(count)
        await asyncio.sleep(0.02)
    return 0


async def test_idle_streams_end_with_an_answer_and_keep_what_came_whole(
    gateway: TestGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app.http.ingest, "IDLE_SECONDS", 1)
    whole = json.dumps(fact("content", id="whole")).encode() + b"\n"
    silent = [await _begin(gateway, b"") for _ in range(4)]
    answer = await gateway.ingest([fact("account")])
    assert answer["total"]["accepted"] == 1, "streams that bring nothing take no connection"
    broken = await _begin(gateway, whole + whole.replace(b"whole", b"half")[:80])
    for reader, writer in (*silent, broken):
        async with asyncio.timeout(20):
            said = await reader.readuntil(b"}]}")
        writer.close()
        await writer.wait_closed()
        assert b" 408 " in said.splitlines()[0]
        assert b"the complete lines are stored (send the remaining lines in a new request)" in said
    assert gateway.execute("SELECT platform_id FROM grounds.content") == [("whole",)]
    assert gateway.execute("SELECT count(*) FROM grounds.quarantine") == [(0,)]


async def test_streams_that_drip_end_and_take_no_connection_before_they_bring_enough(
    gateway: TestGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app.http.ingest, "IDLE_SECONDS", 1)
    line = json.dumps(fact("content", id="whole")).encode() + b"\n"
    enough = line + b"\n" * app.http.ingest.MIN_BYTES
    streams = [await _begin(gateway, first) for first in (b"{", b"{", b"{", enough)]
    dripping = [asyncio.create_task(_drip(writer)) for _, writer in streams]
    assert (await gateway.ingest([fact("account")]))["total"]["accepted"] == 1
    for (reader, writer), drip in zip(streams, dripping, strict=True):
        async with asyncio.timeout(20):
            assert b" 408 " in (await reader.readuntil(b"}]}")).splitlines()[0]
        drip.cancel()
        writer.close()
    assert gateway.execute("SELECT platform_id FROM grounds.content") == [("whole",)]


async def test_a_slow_stream_goes_on_while_it_brings_enough(
    gateway: TestGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app.http.ingest, "IDLE_SECONDS", 2)
    monkeypatch.setattr(app.http.ingest, "MIN_BYTES", 400)

    async def slowly() -> AsyncIterator[bytes]:
        for number in range(8):
            yield json.dumps(fact("content", id=f"item-{number}")).encode() + b"\n"
            await asyncio.sleep(0.4)

    assert (await post(gateway, slowly())).json()["total"]["accepted"] == 8


async def _drip(writer: asyncio.StreamWriter) -> None:
    """Send a byte now and then."""
    while True:
        writer.write(b"1\r\n \r\n")
        await asyncio.sleep(0.1)


async def _begin(gateway: TestGateway, first: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Begin a stream that brings something, or nothing, and then no more; return its connection."""
    place = urlsplit(gateway.address)
    reader, writer = await asyncio.open_connection(place.hostname, place.port)
    head = f"POST /ingest HTTP/1.1\r\nHost: {place.netloc}\r\nTransfer-Encoding: chunked\r\n"
    writer.write(f"{head}Authorization: Bearer {gateway.token(Role.PLATFORM_INGEST)}\r\n\r\n".encode())
    if first:
        writer.write(b"%x\r\n%s\r\n" % (len(first), first))
    await writer.drain()
    return reader, writer


async def post(gateway: TestGateway, content: Any, **headers: str) -> httpx.Response:
    given = {"Authorization": f"Bearer {gateway.token(Role.PLATFORM_INGEST)}"}
    given |= {name.replace("_", "-"): value for name, value in headers.items()}
    return await gateway.client.post("/ingest", content=content, headers=given)
