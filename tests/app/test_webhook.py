"""Retractions are posted to the webhook that an officer registered: signed, in order, and until they are taken."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from app.webhook import sign, verify
from schema.actor import Role
from tests.app.test_events import FEED
from tests.gateway import TestGateway
from tests.mutants import Killed
from tests.receiving import Receiver, at_random, receiver
from tests.retracting import (
    REGISTER,
    alter,
    deliver,
    entries,
    fault,
    register,
    retract,
    settled,
    supersede,
    told,
)

KEY, BODY, NOW = bytes(range(32)), b'{"retractions":[]}', 1_780_000_000.7
ACKNOWLEDGE = "mutation A($id: ID!) { acknowledgeRetractions(upTo: $id) { left } }"
WEBHOOKS = "SELECT url, failures, sent > 0 FROM grounds.webhook"
WAITS = "SELECT failures, extract(epoch FROM next_at - clock_timestamp())::float FROM grounds.webhook"


async def until(holds: Callable[[], bool], seconds: float = 30) -> None:
    async with asyncio.timeout(seconds):
        while not holds():  # noqa: ASYNC110 - what is waited for happens in other threads, and in the database
            await asyncio.sleep(0.05)


def hasten(gateway: TestGateway) -> None:
    """Let a webhook that failed be tried again soon."""
    alter(gateway, "record_webhook(integer,text,bigint)", ("'1 second'", "'1 millisecond'"))


def everything_came(gateway: TestGateway, receiver: Receiver) -> Callable[[], bool]:
    return lambda: set(told(gateway)) == set(receiver.applied) != set()


def test_a_signature_is_what_the_documentation_says() -> None:
    # printf '1780000000.{"retractions":[]}' | openssl dgst -sha256 -mac HMAC -macopt hexkey:000102...1f
    mac = "f6f2eeeeb48669c057f416618de1240b03e3a3fc6f5cdf5167629dd4d90eb6a2"
    assert sign(KEY, BODY, NOW) == f"t=1780000000,v1={mac}"


FORGED = {
    "no signature": (None, BODY),
    "an empty one": ("", BODY),
    "another key's": (sign(KEY[::-1], BODY, NOW), BODY),
    "another body": (sign(KEY, BODY, NOW), BODY.replace(b"[]", b"[1]")),
    "a byte more": (sign(KEY, BODY, NOW), BODY + b" "),
    "another time": (sign(KEY, BODY, NOW).replace("t=1780000000", "t=1780000001"), BODY),
    "an old one": (sign(KEY, BODY, NOW - 301), BODY),
    "one of the future": (sign(KEY, BODY, NOW + 302), BODY),
    "two signatures": (f"{sign(KEY, BODY, NOW)},v1={'0' * 64}", BODY),
    "upper case": (sign(KEY, BODY, NOW).upper(), BODY),
    "a line more": (sign(KEY, BODY, NOW) + "\n", BODY),
    "other digits": (sign(KEY, BODY, NOW).replace("1", "\u0661", 1), BODY),
    "no time": (sign(KEY, BODY, NOW).partition(",")[2], BODY),
    "a cut one": (sign(KEY, BODY, NOW)[:-1], BODY),
}


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_signature_is_refused(name: str) -> None:
    header, body = FORGED[name]
    assert verify(KEY, sign(KEY, BODY, NOW), BODY, NOW)
    assert not verify(KEY, header, body, NOW)


def test_a_signature_is_good_for_its_tolerance() -> None:
    assert verify(KEY, sign(KEY, BODY, NOW - 299), BODY, NOW)
    assert verify(KEY, sign(KEY, BODY, NOW + 299), BODY, NOW)
    assert not verify(KEY, sign(KEY, BODY, NOW - 20), BODY, NOW, tolerance_seconds=10)


async def test_what_is_posted_is_what_the_feed_says_and_signed(gateway: TestGateway) -> None:
    names = await deliver(gateway, 3, "client", "another")
    with receiver() as hook:
        hook.key = await register(gateway, hook.address)
        await supersede(gateway, names[:1])
        await settled(gateway)
        await retract(gateway, names)
        await settled(gateway)
        await until(everything_came(gateway, hook))
        shown = entries(await gateway.ask(Role.TRAINING_CLIENT, FEED))
        posted = [entry for body in hook.bodies for entry in body["retractions"]]
        assert posted == [{key: value for key, value in entry.items() if key != "cursor"} for entry in shown]
        assert {body["cursor"] for body in hook.bodies} <= {entry["cursor"] for entry in shown}
        assert hook.bodies[-1]["cursor"] == shown[-1]["cursor"]
        assert {headers["Content-Type"] for headers in hook.headers} == {"application/json"}
        assert (hook.forged, len(told(gateway, "another"))) == (0, 4)


async def test_an_answer_is_no_acknowledgement(gateway: TestGateway) -> None:
    names = await deliver(gateway, 1)
    with receiver() as hook:
        hook.key = await register(gateway, hook.address)
        await retract(gateway, names)
        await until(everything_came(gateway, hook))
        query = "{ clients { unacknowledged } }"
        assert (await gateway.ask(Role.PRIVACY_OFFICER, query))["clients"] == [{"unacknowledged": 1}]
        left = await gateway.ask(Role.TRAINING_CLIENT, ACKNOWLEDGE, {"id": hook.applied[-1]})
        assert left == {"acknowledgeRetractions": {"left": 0}}


async def test_a_receiver_that_fails_at_random_misses_nothing(
    gateway: TestGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = await deliver(gateway, 40)
    hook = await post_through_failures(gateway, names, monkeypatch)
    assert fault(told(gateway), hook.applied) is None
    assert hook.forged == 0
    assert {"well", "late", "lost", "redirect", "close", "hang"} <= hook.asked.keys()
    assert "/elsewhere" not in hook.asked, "a redirect was followed"
    assert len(hook.applied) > len(told(gateway)), "what was applied and answered badly comes again"


async def test_a_build_that_counts_a_request_as_taken_before_its_answer_is_noticed(
    gateway: TestGateway, monkeypatch: pytest.MonkeyPatch, killed: Killed
) -> None:
    from app import posting

    post = posting._post

    async def taken(*arguments: Any) -> bool:
        await post(*arguments)
        return True

    monkeypatch.setattr(posting, "_post", taken)
    names = await deliver(gateway, 40)
    hook = await post_through_failures(gateway, names, monkeypatch)
    killed("a request is taken before its answer", "app.posting", fault(told(gateway), hook.applied))


async def post_through_failures(gateway: TestGateway, names: list[str], monkeypatch: pytest.MonkeyPatch) -> Receiver:
    """Let facts change while a receiver fails at random; give it when everything was posted, as the gateway sees it."""
    monkeypatch.setattr("app.posting.RETRACTIONS", 4)
    monkeypatch.setattr("app.posting.ANSWER_SECONDS", 0.3)
    hasten(gateway)
    manners = ("well", "well", "late", "lost", "redirect", "close", "hang")
    with receiver(at_random(7, *manners)) as hook:
        hook.key = await register(gateway, hook.address)
        for place in range(0, len(names), 5):
            await retract(gateway, names[place : place + 5])
            await asyncio.sleep(0.1)
        await settled(gateway)
        rest = (
            "SELECT count(*) FROM grounds.webhook w JOIN grounds.retraction r ON r.client = w.client AND r.id > w.sent"
        )
        await until(lambda: gateway.execute(rest) == [(0,)], 60)
    return hook


async def test_a_dead_webhook_is_in_nobodys_way(gateway: TestGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.posting.ANSWER_SECONDS", 25.0)
    monkeypatch.setattr("app.posting.ROUND_SECONDS", 25.0)
    names = await deliver(gateway, 4, "client", "another")
    with receiver(lambda: "hang") as dead, receiver() as alive:
        alive.key = await register(gateway, alive.address)
        dead.key = await register(gateway, dead.address, "another")
        await retract(gateway, names[:1])
        await until(lambda: dead.asked.get("hang") == 1)
        for name in names:
            await retract(gateway, [name])
            await settled(gateway)
            await until(everything_came(gateway, alive), 20)
        assert dead.asked["hang"] == 1  # still the same request


async def test_a_webhook_that_fails_is_tried_again_later_and_later(gateway: TestGateway) -> None:
    await register(gateway, "http://127.0.0.1:9/")
    record = "SELECT grounds.record_webhook(1, 'http://127.0.0.1:9/', {})"
    waits: dict[int, list[float]] = {}
    for _ in range(30):
        gateway.execute(record.format(0))
        for _ in range(14):
            gateway.execute(record.format("NULL"))
            ((failures, seconds),) = gateway.execute(WAITS)
            waits.setdefault(failures, []).append(seconds)
    for failures, each in waits.items():
        meant = min(2**failures, 3600)
        assert 0.75 * meant - 1 <= min(each) <= max(each) <= 1.2 * meant
        assert max(each) - min(each) > 0.1 * meant
    gateway.execute(record.format(5))
    assert gateway.execute("SELECT failures, sent FROM grounds.webhook WHERE next_at = '-infinity'") == [(0, 5)]
    gateway.execute("SELECT grounds.record_webhook(1, 'http://127.0.0.1:9/before', 9)")
    assert gateway.execute("SELECT sent FROM grounds.webhook") == [(5,)]


async def test_an_officer_mends_a_webhook_and_what_is_not_acknowledged_comes(gateway: TestGateway) -> None:
    names = await deliver(gateway, 2)
    with receiver(lambda: "lost") as broken, receiver() as mended:
        broken.key = await register(gateway, broken.address)
        await retract(gateway, names[:1])
        await until(lambda: gateway.execute(WEBHOOKS) != [(broken.address, 0, False)])
        answer = await gateway.ask(Role.PRIVACY_OFFICER, 'mutation { registerClient(name: "client") { webhook } }')
        assert answer["registerClient"]["webhook"] == broken.address
        mended.key = await register(gateway, mended.address)
        await until(everything_came(gateway, mended))
        await gateway.ask(Role.TRAINING_CLIENT, ACKNOWLEDGE, {"id": mended.applied[-1]})
        await register(gateway, None)
        assert gateway.execute(WEBHOOKS) == []
        await retract(gateway, names[1:])
        await settled(gateway)
        await register(gateway, mended.address)
        await until(lambda: len(mended.applied) == 2)
        assert mended.applied == told(gateway)
        assert mended.forged == broken.forged == 0


WRONG = {
    "http elsewhere": "http://hooks.example.org/",
    "credentials": "https://user:word@hooks.example.org/",
    "a name": "https://user@hooks.example.org/",
    "another scheme": "ftp://hooks.example.org/",
    "a file": "file:///etc/passwd",
    "no scheme": "hooks.example.org",
    "no host": "https:///path",
    "nothing": "",
    "a space": "https://hooks.example.org/a b",
    "a line end": "https://hooks.example.org/\r\nHost: x",
    "a bad port": "https://hooks.example.org:99999/",
    "a fragment": "https://hooks.example.org/#here",
    "a backslash": "http://localhost\\@hooks.example.org/",
    "letters beyond ASCII": "https://hööks.example.org/",
    "a long one": "https://hooks.example.org/" + "a" * 2000,
    "not quite localhost": "http://localhost.example.org/",
}


async def test_what_nothing_is_posted_to_is_refused_and_not_quoted(gateway: TestGateway) -> None:
    for name, url in WRONG.items():
        answer = (await gateway.post(Role.PRIVACY_OFFICER, REGISTER, {"name": "client", "webhook": url})).json()
        (error,) = answer["errors"]
        assert error["message"].startswith("webhook: "), name
        assert error["extensions"]["code"] == "BAD_USER_INPUT"
        assert "hooks" not in error["message"], name
    assert gateway.execute("SELECT count(*) FROM grounds.client") == [(0,)]


async def test_only_an_officer_registers_a_client_and_only_by_its_name(gateway: TestGateway) -> None:
    for role in (Role.AUDITOR, Role.TRAINING_CLIENT, Role.DASHBOARD):
        answer = (await gateway.post(role, REGISTER, {"name": "client"})).json()
        assert answer["errors"][0]["extensions"]["code"] == "FORBIDDEN"
    answer = (await gateway.post(Role.PRIVACY_OFFICER, REGISTER, {"name": "no name"})).json()
    assert answer["errors"][0]["message"].startswith("name: is no client's name")
    one = await register(gateway, "https://hooks.example.org/x?y=1", "one")
    two = await register(gateway, "http://[::1]:8080/", "two")
    assert len({one, two, await register(gateway, None, "three")}) == 3
    assert await register(gateway, None, "one") == one
    assert json.dumps(gateway.execute("SELECT name FROM grounds.client ORDER BY 1")) == '[["one"], ["three"], ["two"]]'
