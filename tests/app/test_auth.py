"""Who is let in: every kind of forgery, keys through rotation and outage, and the development issuer."""

import asyncio
import hmac
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from joserfc import jws
from joserfc.jwk import ECKey, Key, OctKey, OKPKey, RSAKey
from joserfc.util import int_to_base64, json_b64encode, urlsafe_b64encode

import app.auth
from app.auth import Authenticator, KeySource, KeysUnavailable, Unauthorized, open_keys, static_keys
from app.issuer import DEVELOPMENT_AUDIENCE, DEVELOPMENT_ISSUER, DevelopmentIssuer
from app.keys import KeyTiming
from schema.actor import Actor, Role

NOW = 1_800_000_000
ISSUER, AUDIENCE = "https://issuer.example", "grounds"
CLAIMS = {"iss": ISSUER, "aud": AUDIENCE, "sub": "somebody", "iat": NOW, "exp": NOW + 3600}
TRAINING = CLAIMS | {"role": "TRAINING_CLIENT", "client": "demo", "purpose": "GENAI_TRAINING"}
ACTOR = Actor("somebody", Role.TRAINING_CLIENT, client="demo", purpose="GENAI_TRAINING")
KEY, OTHER = (ECKey.generate_key("P-256", {"kid": "a"}) for _ in range(2))
NEW = ECKey.generate_key("P-256", {"kid": "new"})
RSA = RSAKey.generate_key(2048)
NO_INSTANTS = (None, str(NOW), True, [NOW], float("nan"), float("inf"), -1, 10**300, 10**400, 1e300)
QUICK = KeyTiming(refresh_after=60, pause=60, keep_for=60, timeout=2)
Sign = Callable[[bytes], bytes]


def public(*keys: Key, **members: str) -> dict[str, Any]:
    return {"keys": [key.as_dict(private=False, **members) for key in keys]}


def signer(key: Key = KEY, algorithm: str = "ES256") -> Sign:
    return partial(jws.JWSRegistry.algorithms[algorithm].sign, key=key)


def bearer(claims: object = TRAINING, sign: Sign | None = None, **header: Any) -> str:
    """Sign anything: the library's own encoder would refuse half of what a forger sends."""
    payload = claims if isinstance(claims, bytes) else json.dumps(claims).encode()
    signed = json_b64encode(changed({"alg": "ES256", "kid": "a"}, header)) + b"." + urlsafe_b64encode(payload)
    return f"Bearer {signed.decode()}.{urlsafe_b64encode((sign or signer())(signed)).decode()}"


def changed(stated: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Change what is stated; an ellipsis takes it away."""
    return {name: value for name, value in (stated | changes).items() if value is not ...}


def stating(**changes: Any) -> str:
    return bearer(changed(TRAINING, changes))


def authenticator(keys: KeySource | None = None, clock: Callable[[], float] = lambda: NOW) -> Authenticator:
    return Authenticator(keys or static_keys(public(KEY)), issuer=ISSUER, audience=AUDIENCE, clock=clock)


async def refusal(sent: str | None, by: Authenticator | None = None) -> str:
    with pytest.raises(Unauthorized) as refused:
        await (by or authenticator()).actor(sent)
    for part in [*(sent or "").split(".")[1:], "somebody", "GENAI_TRAINING"]:
        assert len(part) < 8 or part not in refused.value.reason, "a refusal quotes no token"
    return refused.value.reason


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.TRAINING_CLIENT])
async def test_claims_that_a_role_does_not_use_are_ignored(role: Role) -> None:
    subject = "account-1" if role is Role.DATA_SUBJECT else None
    actor = await authenticator().actor(stating(role=role, client=7, purpose=[], subject=subject or 5))
    assert actor == Actor("somebody", role, subject=subject)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        *[({name: ...}, f"claim {name} is missing") for name in ("exp", "iat", "sub", "client", "purpose")],
        *[({"aud": wrong}, "not meant for") for wrong in (..., None, "", "other", ["other"], [], [AUDIENCE, 1], 5)],
        *[({"iss": wrong}, "not of the issuer") for wrong in (..., None, "", ISSUER + "/", [ISSUER])],
        *[({name: no}, f"claim {name} is missing or no") for name in ("exp", "iat", "nbf") for no in NO_INSTANTS],
        *[({"exp": late}, "one hour") for late in (NOW + 3601, NOW + 10**9, NOW, NOW - 10)],
        *[({name: NOW + 31}, "not valid yet") for name in ("iat", "nbf")],
        ({"iat": NOW - 3000, "exp": NOW - 30}, "expired"),
        *[({"sub": wrong}, "claim sub") for wrong in ("", 1, "x" * 201, "a\nb", "a\0b", "\ud800")],
        *[({"role": wrong}, "claim role") for wrong in (..., None, "", "training_client", "OWNER", ["AUDITOR"], 5)],
        *[({"client": wrong}, "claim client") for wrong in ("", "-a", "a b", "a\n", "x" * 65, 1, None, ["demo"])],
        *[({"purpose": wrong}, "claim purpose") for wrong in ("", "a", "1A", "A-B", "A\n", "X" * 65, 1, None)],
        *[({"role": "DATA_SUBJECT", "subject": wrong}, "claim subject") for wrong in (..., "", "x" * 201, 1, "\0")],
    ],
    ids=lambda value: ascii(value)[:60],
)
async def test_a_claim_that_is_missing_or_wrong_is_refused(changes: dict[str, Any], reason: str) -> None:
    assert reason in await refusal(stating(**changes))


async def test_claims_at_the_edge_of_what_is_allowed_are_accepted() -> None:
    assert await authenticator().actor(bearer().replace("Bearer", "bEARER ")) == ACTOR
    long: dict[str, Any] = {"sub": "x" * 200, "client": "x" * 64, "purpose": "X" * 64, "aud": ["other", AUDIENCE]}
    for changes in (long, {"iat": NOW + 30}, {"nbf": NOW + 30}, {"iat": NOW - 3000, "exp": NOW - 29.5}):
        assert (await authenticator().actor(stating(**changes))).role is Role.TRAINING_CLIENT


async def test_claims_that_are_no_json_object_of_ours_are_refused() -> None:
    for payload in (b"[]", b"5", b"\xff", b"[" * 5000, b'{"exp": 1e999}', b'{"exp": ' + b"9" * 5000):
        assert "claims are not" in await refusal(bearer(payload)) or b"999}" in payload


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        *[(sent, "no bearer token") for sent in (None, "")],
        *[(f"Bearer{wrong}", "exactly one") for wrong in ("", " ", " .", "{token}", " {unsigned}", " {unsigned}.")],
        *[("Bearer {token}" + more, "exactly one") for more in (" {token}", ", Bearer {token}", "\n", "\u0660", ".a")],
        *[(scheme + "{token}", "exactly one") for scheme in ("", "Basic ", "Bearer Bearer ", " Bearer ")],
        *[("Bearer " + wrong, "no key") for wrong in ("{unsigned}.a", "{unsigned}.aaaa", "{token}aaaa")],
        ("{long}", "8 KiB"),
    ],
)
async def test_a_header_that_is_not_one_whole_token_is_refused(sent: str | None, reason: str) -> None:
    token, long = bearer().removeprefix("Bearer "), stating(note="x" * 8192)
    assert reason in await refusal(sent and sent.format(token=token, unsigned=token.rpartition(".")[0], long=long))


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        *[({"alg": wrong}, "algorithm") for wrong in ("none", "None", "", "HS256", "ES512", "ES256K", 1, ["ES256"])],
        *[({"crit": names, "exp": 1, "b64": False}, "crit") for names in (["b64"], ["exp", "b64"], ["b64", "kid"])],
        *[({"crit": names}, "crit") for names in ([], ["kid"], None, "kid")],
        *[({"kid": wrong}, "malformed") for wrong in (5, ["a"], None)],
        ({"b64": False}, "malformed"),
        *[({"kid": kid}, "no key") for kid in ("../../etc/passwd", "/dev/zero", "'; --", "", "A", "x" * 2000)],
        *[({"alg": other}, "no key") for other in ("ES384", "Ed25519", "EdDSA", "RS256", "PS256")],
    ],
    ids=lambda value: repr(value)[:60],
)
async def test_a_header_that_promises_something_else_is_refused(header: dict[str, Any], reason: str) -> None:
    assert reason in await refusal(bearer(**header))


async def test_a_header_that_is_no_json_object_with_an_algorithm_is_refused() -> None:
    for header in (b'["alg","b64"]', b'"alg b64"', b"5", b"{}", b"[" * 3000, b"\xff", b"null"):
        sent = ".".join([urlsafe_b64encode(header).decode(), *bearer().split(".")[1:]])
        assert "malformed" in await refusal("Bearer " + sent)


async def test_the_public_key_is_no_secret_to_sign_with() -> None:
    for secret in (KEY.as_pem(), KEY.as_der(), json.dumps(KEY.as_dict(private=False)).encode(), b""):
        keys = [{"kty": "oct", "kid": "a", "k": urlsafe_b64encode(secret).decode()}, *public(KEY)["keys"]]
        forged = bearer(alg="HS256", sign=partial(hmac.digest, secret, digest="sha256"))
        assert "algorithm" in await refusal(forged, authenticator(static_keys({"keys": keys})))


async def test_another_key_with_the_same_kid_and_the_keys_that_a_token_brings_along_open_nothing() -> None:
    brought = {"jwk": public(OTHER)["keys"][0], "jku": "http://127.0.0.1:9", "x5u": 5, "x5c": ["x" * 999]}
    for header in ({}, brought, brought | {"kid": OTHER.thumbprint()}):
        assert "no key" in await refusal(bearer(sign=signer(OTHER), **header))
    assert await authenticator().actor(bearer(**brought)) == ACTOR


async def test_every_changed_letter_of_a_token_is_refused() -> None:
    whole, strict = bearer(), authenticator()
    for place in range(len("Bearer "), len(whole)):
        await refusal(whole[:place] + ("A" if whole[place] != "A" else "B") + whole[place + 1 :], strict)
    head, _, signature = whole.split(".")
    await refusal(f"{head}.{stating(client='other').split('.')[1]}.{signature}", strict)


@pytest.mark.parametrize("algorithm", ["Ed25519", "EdDSA", "ES384", "RS256", "PS256"])
async def test_an_algorithm_is_accepted_of_the_keys_that_it_fits(algorithm: str) -> None:
    kinds: dict[str, Key] = {"Ed": OKPKey.generate_key("Ed25519"), "ES": ECKey.generate_key("P-384")}
    key = kinds.get(algorithm[:2], RSA)
    sent = bearer(sign=signer(key, algorithm), alg=algorithm, kid="k")
    for members in (dict[str, str](), {"alg": algorithm}, {"use": "sig", "kid": "k"}):
        assert await authenticator(static_keys(public(KEY, key, **members))).actor(sent) == ACTOR
    for members in ({"alg": "ES256"}, {"kid": "another"}):
        assert "no key" in await refusal(sent, authenticator(static_keys(public(key, KEY, **members))))


async def test_a_short_rsa_key_is_no_key() -> None:
    short = rsa.generate_private_key(65537, 1024)
    numbers = short.public_key().public_numbers()
    jwk = {"kty": "RSA", "kid": "a", "n": int_to_base64(numbers.n), "e": int_to_base64(numbers.e)}
    sent = bearer(sign=lambda signed: short.sign(signed, padding.PKCS1v15(), hashes.SHA256()), alg="RS256")
    assert "no key" in await refusal(sent, authenticator(static_keys({"keys": [jwk, *public(KEY)["keys"]]})))


async def test_of_two_keys_with_one_kid_either_may_have_signed_and_a_token_without_kid_may_be_of_any() -> None:
    both = authenticator(static_keys(public(OTHER, KEY)))
    for sent in (bearer(), bearer(sign=signer(OTHER)), bearer(kid=...)):
        assert await both.actor(sent) == ACTOR


async def test_a_key_set_without_a_usable_key_is_an_error_at_the_start(tmp_path: Path) -> None:
    sets: list[Any] = [{"keys": [key.as_dict(private=True)]} for key in (KEY, OctKey.generate_key(256))]
    sets += [public(ECKey.generate_key("P-521"), OKPKey.generate_key("X25519")), public(KEY, use="enc")]
    sets += [{"keys": [{"kty": "OKP", "crv": "Ed25519"}, {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}]}]
    sets += [{}, [], {"keys": {}}, {"keys": []}, {"keys": [None, 5, {}, {"kty": []}, {"kty": "RSA", "n": 5}]}]
    for jwks in sets:
        with pytest.raises(KeysUnavailable):
            static_keys(jwks)
        (tmp_path / "jwks.json").write_text(json.dumps(jwks))
        with pytest.raises(KeysUnavailable, match="GROUNDS_JWKS"):
            await open_keys(str(tmp_path / "jwks.json"))


class LocalIssuer:
    """Serve a key set on 127.0.0.1, count the requests, and fail as told."""

    url, status, delay, requests, body = "", "200 OK", 0.0, 0, b""

    def __init__(self) -> None:
        self.keys, self.asked = public(KEY), asyncio.Event()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.requests += 1
        self.asked.set()
        try:
            await reader.readuntil(b"\r\n\r\n")
            body = self.body or json.dumps(self.keys).encode()
            head = f"HTTP/1.1 {self.status}\r\nLocation: /\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
            for part in (head.encode(), body[:1], body[1:]):
                await asyncio.sleep(self.delay)
                writer.write(part)
                await writer.drain()
            await reader.read()
        finally:
            writer.transport.abort()

    async def asked_twice_more(self) -> None:
        """Wait until a request that was made from now on has been answered and seen."""
        for _ in range(2):
            self.asked.clear()
            await asyncio.wait_for(self.asked.wait(), 5)


@pytest.fixture
async def issuer(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[LocalIssuer]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    local = LocalIssuer()
    async with await asyncio.start_server(local.answer, "127.0.0.1", 0) as server:
        local.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/jwks?secret=hush"
        yield local
    await asyncio.sleep(0.05)  # the client is gone: time for the answers under way to notice


async def test_a_flood_of_unknown_kids_asks_the_issuer_once(issuer: LocalIssuer) -> None:
    async with aclosing(authenticator(await open_keys(issuer.url, QUICK))) as let_in:
        issuer.delay = 0.05
        for _ in range(2):
            flood = (refusal(bearer(kid=f"unknown-{number}"), let_in) for number in range(300))
            assert all("no key" in reason for reason in await asyncio.gather(*flood))
        assert await let_in.actor(bearer()) == ACTOR
        assert issuer.requests == 2, "one at the start, one for all the unknown"


async def test_a_rotated_key_is_found_at_once_though_the_first_to_bring_it_goes_away(issuer: LocalIssuer) -> None:
    async with aclosing(authenticator(await open_keys(issuer.url, QUICK))) as let_in:
        old = bearer()
        assert await let_in.actor(old) == ACTOR
        issuer.keys, issuer.delay = public(NEW), 0.05
        callers = [asyncio.create_task(let_in.actor(bearer(sign=signer(NEW), kid="new"))) for _ in range(2)]
        await asyncio.sleep(0.05)
        callers[0].cancel()
        assert await callers[1] == ACTOR
        assert "no key" in await refusal(old, let_in), "a remembered token goes with its key"


async def test_keys_are_fetched_anew_in_the_background(issuer: LocalIssuer) -> None:
    async with aclosing(await open_keys(issuer.url, KeyTiming(refresh_after=0.05))) as keys:
        before = keys.current()
        await issuer.asked_twice_more()
        assert keys.current() is before, "the same keys do not make the remembered tokens forgotten"
        issuer.keys = public(KEY, OTHER)
        await issuer.asked_twice_more()
        assert len(keys.current().keys) == 2


async def test_an_outage_is_bridged_and_told_safely(issuer: LocalIssuer, caplog: pytest.LogCaptureFixture) -> None:
    async with aclosing(authenticator(await open_keys(issuer.url, KeyTiming(0.05, pause=0.05, keep_for=1)))) as let_in:
        issuer.status = "503 Service Unavailable"
        await issuer.asked_twice_more()
        assert await let_in.actor(bearer()) == ACTOR
        assert "503" in caplog.text
        assert "hush" not in caplog.text
        await asyncio.sleep(1)
        assert "cannot be read" in await refusal(bearer(), let_in)
        issuer.status = "200 OK"
        await issuer.asked_twice_more()
        assert await let_in.actor(bearer()) == ACTOR


@pytest.mark.parametrize("fault", ["redirect", "slow", "huge", "no JSON", "deep", "closed"])
async def test_an_issuer_that_answers_badly_is_an_error_at_the_start(issuer: LocalIssuer, fault: str) -> None:
    huge = json.dumps(public(KEY)).encode().ljust(262_145)
    issuer.body = {"huge": huge, "no JSON": b"<html>", "deep": b"[" * 99_999}.get(fault, b"")
    issuer.status = "302 Found" if fault == "redirect" else "200 OK"
    issuer.delay = 0.1 if fault == "slow" else 0
    with pytest.raises(KeysUnavailable, match="GROUNDS_JWKS") as raised:
        await open_keys("http://127.0.0.1:9/" if fault == "closed" else issuer.url, KeyTiming(timeout=0.2))
    assert issuer.requests <= 1
    assert "hush" not in str(raised.value)


async def test_a_changed_file_counts_at_once_and_a_broken_one_changes_nothing(tmp_path: Path) -> None:
    (file := tmp_path / "jwks.json").write_text(json.dumps(public(KEY)))
    let_in, mine, others = authenticator(await open_keys(str(file))), bearer(), bearer(sign=signer(OTHER))
    assert await let_in.actor(mine) == ACTOR
    assert "no key" in await refusal(others, let_in)
    file.write_text(json.dumps(public(OTHER)) + " ")
    assert await let_in.actor(others) == ACTOR
    assert "no key" in await refusal(mine, let_in)
    file.write_text('{"keys": [')
    assert await let_in.actor(others) == ACTOR
    file.unlink()
    assert await let_in.actor(others) == ACTOR
    file.write_text('{"keys": []}')
    assert "no key" in await refusal(others, let_in), "an issuer may withdraw every key"


async def test_a_remembered_token_expires_on_time() -> None:
    now = [NOW]
    let_in, sent = authenticator(clock=lambda: now[0]), bearer()
    for now[0] in (NOW, NOW + 3600, NOW + 3629):
        assert await let_in.actor(sent) == ACTOR
    now[0] = NOW + 3630
    assert "expired" in await refusal(sent, let_in)


async def test_the_memory_for_tokens_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app.auth, "_MAX_REMEMBERED_TOKENS", 3)
    let_in = authenticator()
    for name in "abcdefabcdef":
        assert (await let_in.actor(stating(sub=name))).name == name
    assert len(let_in._remembered) == 3


def test_authentication_without_issuer_or_audience_does_not_start() -> None:
    for issuer_name, audience in (("", AUDIENCE), (ISSUER, "")):
        with pytest.raises(ValueError, match="issuer and an audience"):
            Authenticator(static_keys(public(KEY)), issuer=issuer_name, audience=audience)


async def test_a_development_token_of_every_role_is_accepted_and_states_what_the_role_uses(tmp_path: Path) -> None:
    keys = static_keys(jwks := DevelopmentIssuer.open(tmp_path).jwks())
    let_in = Authenticator(keys, issuer=DEVELOPMENT_ISSUER, audience=DEVELOPMENT_AUDIENCE)
    used = {Role.TRAINING_CLIENT: ("demo", "TEST", None), Role.DATA_SUBJECT: (None, None, "account-1")}
    for role in Role:
        token = DevelopmentIssuer.open(tmp_path).token(role, client="demo", purpose="TEST", subject="account-1")
        actor = await let_in.actor("Bearer " + token)
        assert actor.role is role
        assert (actor.client, actor.purpose, actor.subject) == used.get(role, (None, None, None))
    assert "d" not in jwks["keys"][0]
    assert (tmp_path / "issuer.json").stat().st_mode & 0o777 == 0o600


def test_a_development_token_that_would_be_refused_is_not_made(tmp_path: Path) -> None:
    wrong: list[tuple[str, Role, dict[str, Any]]] = [
        ("client", Role.TRAINING_CLIENT, {"purpose": "TEST"}),
        ("purpose", Role.TRAINING_CLIENT, {"client": "demo"}),
        ("subject", Role.DATA_SUBJECT, {}),
        *[("3600", Role.AUDITOR, {"lifetime_seconds": lifetime}) for lifetime in (0, 3601)],
    ]
    for missing, role, given in wrong:
        with pytest.raises(ValueError, match=missing):
            DevelopmentIssuer.open(tmp_path).token(role, **given)


def test_a_damaged_key_pair_is_told_and_not_replaced(tmp_path: Path) -> None:
    for content in ("", "{}", "5", '{"kty": "oct", "k": "AAAA"}', json.dumps(public(KEY)["keys"][0])):
        (tmp_path / "issuer.json").write_text(content)
        with pytest.raises(ValueError, match=r"issuer\.json"):
            DevelopmentIssuer.open(tmp_path)
        assert (tmp_path / "issuer.json").read_text() == content


def test_processes_and_threads_that_start_together_get_one_key_pair(tmp_path: Path) -> None:
    race = (
        "import pathlib, sys; from app.issuer import DevelopmentIssuer; print('ready', flush=True); sys.stdin.read(1)"
    )
    race += "; print(DevelopmentIssuer.open(pathlib.Path(sys.argv[1])).jwks()['keys'][0]['x'])"
    command = [sys.executable, "-c", race, str(tmp_path / "data")]
    runners = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    for runner in runners:
        assert runner.stdout is not None
        assert runner.stdout.readline() == "ready\n"
    with ThreadPoolExecutor(11) as pool:
        answers = [pool.submit(runner.communicate, "go\n") for runner in runners]
        opened = list(pool.map(lambda _: DevelopmentIssuer.open(tmp_path / "data").jwks(), range(8)))
    assert len({answer.result()[0].strip() for answer in answers} | {jwks["keys"][0]["x"] for jwks in opened}) == 1
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["issuer.json"]
