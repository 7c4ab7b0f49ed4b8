"""Retractions are posted to the webhook that an officer registered: signed, in order, and until they are taken."""

import asyncio
import json
import time
from collections.abc import Callable
from ipaddress import ip_address, ip_network
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from standardwebhooks import Webhook
from standardwebhooks import WebhookVerificationError as StandardWebhooksError

from app.webhooks.sender import AddressNotAllowed, pin_address
from grounds_client.webhook import WebhookVerificationError, sign_webhook, verify_webhook, webhook_secret
from schema.actor import Role
from tests.app.http.test_retraction_stream import FEED
from tests.support.gateway import TestGateway
from tests.support.mutants import Killed
from tests.support.retractions import (
    REGISTER,
    alter,
    deliver,
    entries,
    fault,
    register,
    retract,
    retraction_ids,
    settled,
    supersede,
)
from tests.support.shared_server import SharedServer
from tests.support.webhook_receiver import Receiver, at_random, receiver

KEY, OTHER_KEY = webhook_secret(bytes(range(32))), webhook_secret(bytes(32))
BODY, NOW = b'{"retractions":[]}', 1_780_000_000.7
ACKNOWLEDGE = "mutation A($id: ID!) { acknowledgeRetractions(upTo: $id) { remaining } }"
WEBHOOKS = "SELECT url, failures, sent > 0 FROM grounds.webhook"
WAITS = "SELECT failures, extract(epoch FROM next_at - clock_timestamp())::float FROM grounds.webhook"


INTERNAL_HOSTS = (  # of each kind one
    *("127.0.0.1", "localhost", "10.0.0.1", "192.168.1.1", "172.16.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.0"),
    *("224.0.0.1", "[::1]", "[fe80::1]", "[fd00::1]", "[::ffff:10.0.0.1]", "[ff02::1]", "here.localhost"),
)


async def until(holds: Callable[[], bool], seconds: float = 30) -> None:
    async with asyncio.timeout(seconds):
        while not holds():  # noqa: ASYNC110 - what is waited for happens in other threads, and in the database
            await asyncio.sleep(0.05)


def hasten(gateway: TestGateway) -> None:
    """Let a webhook that failed be tried again soon."""
    alter(gateway, "record_webhook(integer,text,bigint)", ("'1 second'", "'1 millisecond'"))


def everything_came(gateway: TestGateway, receiver: Receiver) -> Callable[[], bool]:
    return lambda: set(retraction_ids(gateway)) == set(receiver.applied) != set()


def test_a_signature_is_that_of_the_published_example() -> None:
    secret, body = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", b'{"test": 2432232314}'
    headers = sign_webhook(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", body, 1_614_265_330)
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    assert headers["webhook-timestamp"] == "1614265330"
    verify_webhook(secret, headers, body, 1_614_265_330)


def signed(secret: str = KEY, now: float = NOW, **changed: str | None) -> dict[str, str]:
    """The headers of a body, but for those that are changed, or left out."""
    headers = sign_webhook(secret, "msg_1", BODY, now) | {f"webhook-{name}": value for name, value in changed.items()}
    return {name: value for name, value in headers.items() if value is not None}


MAC = signed()["webhook-signature"]
FORGED = {
    "no headers": {},
    "no signature": signed(signature=None),
    "an empty one": signed(signature=""),
    "no id": signed(id=None),
    "no time": signed(timestamp=None),
    "another key's": signed(OTHER_KEY),
    "another id": signed(id="msg_2"),
    "another time": signed(timestamp="1780000001"),
    "an old one": signed(now=NOW - 301),
    "one of the future": signed(now=NOW + 302),
    "another version": signed(signature=MAC.replace("v1,", "v2,")),
    "no version": signed(signature=MAC.removeprefix("v1,")),
    "upper case": signed(signature=MAC.upper()),
    "a line more": signed(signature=MAC + "\n"),
    "a cut one": signed(signature=MAC[:-1]),
    "beyond ASCII": signed(signature="v1,\u0661"),
    "other digits": signed(timestamp="178000000\u0660"),
    "a fraction": signed(timestamp="1780000000.0"),
    "a negative time": signed(timestamp="-1780000000"),
}


def test_a_forged_signature_is_refused_by_an_error_that_names_the_header() -> None:
    verify_webhook(KEY, signed(), BODY, NOW)
    for headers in FORGED.values():
        with pytest.raises(WebhookVerificationError, match=r"^webhook-(id|timestamp|signature): "):
            verify_webhook(KEY, headers, BODY, NOW)
    for body in (b"", BODY + b" ", BODY.replace(b"[]", b"[1]")):
        with pytest.raises(WebhookVerificationError, match=r"^webhook-signature: .*as received"):
            verify_webhook(KEY, signed(), body, NOW)


def test_one_of_several_signatures_is_enough_and_names_of_headers_have_any_case() -> None:
    others = f"v1a,ed25519 {signed(OTHER_KEY)['webhook-signature']}"
    for signatures in (f"{MAC} {others}", f"{others} {MAC}"):
        verify_webhook(KEY, {name.title(): value for name, value in signed(signature=signatures).items()}, BODY, NOW)
    with pytest.raises(WebhookVerificationError):
        verify_webhook(KEY, signed(signature=others), BODY, NOW)


def test_a_signature_is_good_for_its_tolerance() -> None:
    verify_webhook(KEY, signed(now=NOW - 299), BODY, NOW)
    verify_webhook(KEY, signed(now=NOW + 299), BODY, NOW)
    with pytest.raises(WebhookVerificationError, match="more than 10 s from the clock"):
        verify_webhook(KEY, signed(now=NOW - 20), BODY, NOW, tolerance_seconds=10)
    with pytest.raises(WebhookVerificationError, match="more than 300 s"):
        verify_webhook(KEY, signed(), BODY)  # the clock is long past it


def test_what_is_no_secret_is_said_to_be_none_and_not_quoted() -> None:
    for secret in ("", "whsec_", "whsec_\u00e4", "whsec_a b", KEY.removeprefix("whsec_"), bytes(32).hex()):
        with pytest.raises(ValueError, match=r"^secret: must be whsec_") as error:
            verify_webhook(secret, signed(), BODY, NOW)
        assert len(secret) < 8 or secret not in str(error.value)


def test_the_published_library_accepts_what_is_signed_and_refuses_what_is_not() -> None:
    headers = signed(now=time.time())
    assert Webhook(KEY).verify(BODY, headers) == {"retractions": []}
    for secret, changed in ((OTHER_KEY, headers), (KEY, headers | {"webhook-id": "msg_2"})):
        with pytest.raises(StandardWebhooksError):
            Webhook(secret).verify(BODY, changed)


async def test_what_is_posted_is_what_the_feed_says_and_signed(gateway: TestGateway) -> None:
    names = await deliver(gateway, 3, "client", "another")
    with receiver() as hook:
        hook.secret = await register(gateway, hook.address)
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
        assert (hook.forged, len(retraction_ids(gateway, "another"))) == (0, 4)


async def test_an_answer_is_no_acknowledgement(gateway: TestGateway) -> None:
    names = await deliver(gateway, 1)
    with receiver() as hook:
        hook.secret = await register(gateway, hook.address)
        await retract(gateway, names)
        await until(everything_came(gateway, hook))
        query = "{ clients { unacknowledged } }"
        assert (await gateway.ask(Role.PRIVACY_OFFICER, query))["clients"] == [{"unacknowledged": 1}]
        left = await gateway.ask(Role.TRAINING_CLIENT, ACKNOWLEDGE, {"id": hook.applied[-1]})
        assert left == {"acknowledgeRetractions": {"remaining": 0}}


async def test_a_receiver_that_fails_at_random_misses_nothing(
    gateway: TestGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = await deliver(gateway, 40)
    hook = await post_through_failures(gateway, names, monkeypatch)
    assert fault(retraction_ids(gateway), hook.applied) is None
    assert hook.forged == 0
    assert {"well", "late", "lost", "redirect", "close", "hang"} <= hook.asked.keys()
    assert "/elsewhere" not in hook.asked, "a redirect was followed"
    assert len(hook.applied) > len(retraction_ids(gateway)), "what was applied and answered badly comes again"
    ids = [headers["webhook-id"] for headers in hook.headers]
    bodies = [json.dumps(body) for body in hook.bodies]
    assert len(set(ids)) == len(set(bodies)) == len(set(zip(ids, bodies, strict=True))), "an id is that of one body"


async def test_a_build_that_counts_a_request_as_taken_before_its_answer_is_noticed(
    gateway: TestGateway, monkeypatch: pytest.MonkeyPatch, killed: Killed
) -> None:
    from app.webhooks import sender as posting

    post = posting._post_webhook

    async def taken(*arguments: Any) -> bool:
        await post(*arguments)
        return True

    monkeypatch.setattr(posting, "_post_webhook", taken)
    names = await deliver(gateway, 40)
    hook = await post_through_failures(gateway, names, monkeypatch)
    killed("a request is taken before its answer", "app.webhooks.sender", fault(retraction_ids(gateway), hook.applied))


async def post_through_failures(gateway: TestGateway, names: list[str], monkeypatch: pytest.MonkeyPatch) -> Receiver:
    """Change facts while a receiver fails at random; return it once the gateway has posted everything."""
    monkeypatch.setattr("app.webhooks.sender.MAX_RETRACTIONS", 4)
    monkeypatch.setattr("app.webhooks.sender.RESPONSE_SECONDS", 0.3)
    hasten(gateway)
    manners = ("well", "well", "late", "lost", "redirect", "close", "hang")
    with receiver(at_random(7, *manners)) as hook:
        hook.secret = await register(gateway, hook.address)
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
    monkeypatch.setattr("app.webhooks.sender.RESPONSE_SECONDS", 25.0)
    monkeypatch.setattr("app.webhooks.sender.ROUND_SECONDS", 25.0)
    names = await deliver(gateway, 4, "client", "another")
    with receiver(lambda: "hang") as dead, receiver() as alive:
        alive.secret = await register(gateway, alive.address)
        dead.secret = await register(gateway, dead.address, "another")
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
        broken.secret = await register(gateway, broken.address)
        await retract(gateway, names[:1])
        await until(lambda: gateway.execute(WEBHOOKS) != [(broken.address, 0, False)])
        answer = await gateway.ask(Role.PRIVACY_OFFICER, 'mutation { registerClient(name: "client") { webhook } }')
        assert answer["registerClient"]["webhook"] == broken.address
        mended.secret = await register(gateway, mended.address)
        await until(everything_came(gateway, mended))
        await gateway.ask(Role.TRAINING_CLIENT, ACKNOWLEDGE, {"id": mended.applied[-1]})
        await register(gateway, None)
        assert gateway.execute(WEBHOOKS) == []
        await retract(gateway, names[1:])
        await settled(gateway)
        await register(gateway, mended.address)
        await until(lambda: len(mended.applied) == 2)
        assert mended.applied == retraction_ids(gateway)
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
    assert answer["errors"][0]["message"].startswith("name: must match ")
    one = await register(gateway, "https://hooks.example.org/x?y=1", "one")
    two = await register(gateway, "http://[::1]:8080/", "two")
    assert len({one, two, await register(gateway, None, "three")}) == 3
    assert await register(gateway, None, "one") == one
    assert json.dumps(gateway.execute("SELECT name FROM grounds.client ORDER BY 1")) == '[["one"], ["three"], ["two"]]'


async def test_an_address_that_is_not_public_is_refused_unless_the_operator_allows_it(
    shared_server: SharedServer,
) -> None:
    async with shared_server.gateway(webhook_networks=frozenset()) as gateway:
        for host in INTERNAL_HOSTS:
            answer = await gateway.post(
                Role.PRIVACY_OFFICER, REGISTER, {"name": "client", "webhook": f"https://{host}/x"}
            )
            (error,) = answer.json()["errors"]
            assert error["message"].startswith("webhook: the host must have a public address"), host
            assert host not in error["message"]
    async with shared_server.gateway(webhook_networks="10.1.0.0/16") as gateway:
        registered = {"name": "client", "webhook": "https://10.1.2.3/x"}
        assert "errors" not in (await gateway.post(Role.PRIVACY_OFFICER, REGISTER, registered)).json()


async def test_a_name_that_means_an_internal_address_is_posted_nothing() -> None:
    with receiver() as hook:
        url = hook.address.replace("127.0.0.1", "localhost")
        request = httpx.Request("POST", url, content=b"{}")
        with pytest.raises(AddressNotAllowed):
            await pin_address(request, frozenset())
        sent = await pin_address(request, [ip_network("127.0.0.0/8"), ip_network("::1")])
        assert ip_address(sent.url.host).is_loopback
        assert sent.headers["Host"] == urlsplit(url).netloc
        assert sent.extensions["sni_hostname"] == "localhost"
