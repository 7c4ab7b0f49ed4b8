"""Nobody can keep others from objecting or signing in: limits are per address, and a link may always object."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path

import httpx
import pytest

from app.auth.dev_issuer import DevelopmentIssuer
from app.auth.signed_links import LinkAction, sign_link
from app.web.dashboard.layout import SIGN_IN
from app.web.privacy.objection_form import OBJECTIONS_PER_MINUTE
from app.web.privacy.rendering import texts_of
from schema.actor import Role
from tests.app.http.test_middleware import opened
from tests.support.command import serving
from tests.support.facts import NOW
from tests.support.flood import flood
from tests.support.gateway import SECRET, TestGateway, new_client

PROXIES = frozenset({ip_network("127.0.0.0/8")})


@pytest.fixture
async def proxied(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[TestGateway]:
    """A gateway behind a proxy that it trusts, with a form that answers as soon as it can."""
    monkeypatch.setattr("app.web.privacy.objection_form.SECONDS_OF_AN_ANSWER", 0)
    async with opened(database_url, tmp_path / "data", trusted_proxies=PROXIES) as gateway:
        gateway.set_clock(NOW)
        yield gateway


async def file_objection(gateway: TestGateway, name: str, address: str, **params: str) -> httpx.Response:
    headers = {"X-Forwarded-For": address}
    return await gateway.client.post("/object", data={"who": name}, params=params, headers=headers)


async def test_an_address_is_limited_and_no_other_and_what_was_filed_is_never_refused(proxied: TestGateway) -> None:
    names = [f"account-{number}" for number in range(OBJECTIONS_PER_MINUTE + 20)]
    answers = [await file_objection(proxied, name, "198.51.100.7", lang="fr") for name in names]
    refused = [answer for answer in answers if answer.status_code == 429]
    assert 10 <= len(refused) <= 20
    assert (refused[-1].headers["retry-after"], refused[-1].history) == ("60", [])
    assert texts_of("fr")["errors"]["too_many"] in refused[-1].text
    assert [(await file_objection(proxied, name, "198.51.100.7")).status_code for name in names[:10]] == [303] * 10
    assert (await file_objection(proxied, "other", "198.51.100.8")).status_code == 303


async def test_an_address_is_that_of_the_client_and_of_ipv6_its_network(proxied: TestGateway) -> None:
    async def exhaust(address: str) -> None:
        for number in range(3 * OBJECTIONS_PER_MINUTE):
            if (await file_objection(proxied, f"name-{number}-{hash(address)}", address)).status_code == 429:
                return
        raise AssertionError(f"{address} is not limited")

    for address, same, other in (
        ("2001:db8:1:2::7", ("2001:db8:1:2:ffff::1",), ("2001:db8:1:3::7",)),
        # What a client says of itself stands before what the proxy saw of it.
        ("203.0.113.9", ("198.51.100.1, 203.0.113.9", "::ffff:203.0.113.9"), ("203.0.113.9, 198.51.100.1",)),
        ("203.0.113.10", ("203.0.113.10, 127.0.0.5",), ("nonsense",)),
    ):
        await exhaust(address)
        for each in same:
            assert (await file_objection(proxied, f"one-{hash(each)}", each)).status_code == 429, each
        for each in other:
            assert (await file_objection(proxied, f"one-{hash(each)}", each)).status_code == 303, each


async def test_none_of_those_who_behave_is_refused_beside_a_flood(proxied: TestGateway) -> None:
    await flooded(proxied, seconds=4, strangers=200, objections=30, links=30, sign_ins=10)


@pytest.fixture
async def proxied_process(database_url: str, tmp_path: Path) -> AsyncIterator[TestGateway]:
    """A gateway behind a proxy that it trusts, in a process of its own, as in production."""
    data = tmp_path / "data"
    settings = {"DATABASE_URL": database_url, "GROUNDS_SECRET": SECRET.decode()}
    with serving(data, tmp_path / "log", env=settings | {"GROUNDS_TRUSTED_PROXIES": "127.0.0.0/8"}) as server:
        async with new_client(server.address) as client:
            gateway = TestGateway(server.address, database_url, DevelopmentIssuer.open(data), client)
            gateway.set_clock(NOW)
            yield gateway


@pytest.mark.long
async def test_none_of_those_who_behave_is_refused_beside_two_hundred_strangers_a_second(
    proxied_process: TestGateway,
) -> None:
    """The flood takes a minute, and the strangers must really reach their rate."""
    began = time.monotonic()
    await flooded(proxied_process, seconds=60, strangers=12_000, objections=100, links=1000, sign_ins=20)
    assert time.monotonic() - began < 75, "the strangers sent fewer than 160 requests per second"


async def again_while_busy(send: Callable[[], Awaitable[int]]) -> int:
    """Send again where every connection is in use, as the answer asks: on a slow machine that happens."""
    for _ in range(30):
        if (status := await send()) != 503:
            break
    return status


async def flooded(
    proxied: TestGateway, *, seconds: float, strangers: int, objections: int, links: int, sign_ins: int
) -> None:
    """Let strangers of two addresses and many who behave come within some seconds: none of these is refused.

    All strangers have two addresses, so that many of them are refused.
    """
    chance = random.Random(3)
    officer = proxied.token(Role.PRIVACY_OFFICER)
    own_page = {"Origin": proxied.address, "Sec-Fetch-Site": "same-origin"}

    async def honest(number: int) -> int:
        return (await file_objection(proxied, f"honest-{number}", f"10.0.{number}.1")).status_code

    async def by_link(number: int) -> int:
        token = sign_link(SECRET, f"linked-{number}", LinkAction.OBJECT, NOW + timedelta(days=1))
        answer = await proxied.client.post("/object", params={"t": token}, data={"scope": "ALL"})
        return answer.status_code

    async def sign_in(number: int) -> int:
        headers = own_page | {"X-Forwarded-For": f"10.1.{number}.1"}
        return (await proxied.client.post(SIGN_IN, data={"token": officer}, headers=headers)).status_code

    async def spread(each: Callable[[int], Awaitable[int]], number: int) -> int:
        await asyncio.sleep(chance.random() * seconds)
        return await each(number)

    async def patient(each: Callable[[int], Awaitable[int]], number: int) -> int:
        return await again_while_busy(lambda: spread(each, number))

    strangers_answers = asyncio.create_task(flood(proxied.address, strangers, seconds))
    behaving = [(honest, objections), (by_link, links), (sign_in, sign_ins)]
    came = [patient(each, number) for each, count in behaving for number in range(count)]
    assert set(await asyncio.gather(*came)) == {303}
    assert (await strangers_answers)[429] > strangers / 8, "a flood that nothing stops shows nothing"


async def test_a_forged_link_costs_the_database_nothing(proxied: TestGateway) -> None:
    proxied.execute("ALTER FUNCTION grounds.decision_time() RENAME TO gone")
    assert (await proxied.client.get("/object?t=forged")).status_code == 200
    assert (await proxied.client.get("/me?t=forged")).status_code == 401
