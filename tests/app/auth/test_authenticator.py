"""Who is let in: every kind of forgery is refused, and what is remembered of a token ends with it."""

import hmac
import json
from functools import partial
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey
from joserfc.util import int_to_base64, urlsafe_b64encode

import app.auth.authenticator
from app.auth.authenticator import Authenticator, static_keys
from schema.actor import Actor, Role
from tests.support.tokens import (
    ACTOR,
    AUDIENCE,
    ISSUER,
    KEY,
    NOW,
    OTHER,
    authenticator,
    bearer,
    public,
    refusal,
    signer,
    stating,
)

RSA = RSAKey.generate_key(2048)
NO_INSTANTS = (None, str(NOW), True, [NOW], float("nan"), float("inf"), -1, 10**300, 10**400, 1e300)


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.TRAINING_CLIENT])
async def test_claims_that_a_role_does_not_use_are_ignored(role: Role) -> None:
    subject = "account-1" if role is Role.DATA_SUBJECT else None
    actor = await authenticator().actor(stating(role=role, client=7, purpose=[], subject=subject or 5))
    assert actor == Actor("somebody", role, subject=subject)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        *[({name: ...}, f"claim {name} is missing") for name in ("exp", "iat", "sub", "client", "purpose")],
        *[
            ({"aud": wrong}, "audience is not this gateway")
            for wrong in (..., None, "", "other", ["other"], [], [AUDIENCE, 1], 5)
        ],
        *[({"iss": wrong}, "does not trust") for wrong in (..., None, "", ISSUER + "/", [ISSUER])],
        *[
            ({name: no}, f"claim {name} is missing or is not a valid time")
            for name in ("exp", "iat", "nbf")
            for no in NO_INSTANTS
        ],
        *[({"exp": late}, "3600 seconds") for late in (NOW + 3601, NOW + 10**9, NOW, NOW - 10)],
        *[({name: NOW + 31}, "not valid yet") for name in ("iat", "nbf")],
        ({"iat": NOW - 3000, "exp": NOW - 30}, "expired"),
        *[({"sub": wrong}, "claim sub") for wrong in ("", 1, "x" * 201, "a\nb", "a\0b", "\ud800")],
        *[
            ({"role": wrong}, "claim role")
            for wrong in (
                ...,
                None,
                "",
                "training_client",
                "OWNER",
                [],
                ["OWNER"],
                ["AUDITOR", "DASHBOARD"],
                {"AUDITOR": 1},
                5,
            )
        ],
        *[({"client": wrong}, "claim client") for wrong in ("", "-a", "a b", "a\n", "x" * 65, 1, None, ["demo"])],
        *[({"purpose": wrong}, "claim purpose") for wrong in ("", "a", "1A", "A-B", "A\n", "X" * 65, 1, None)],
        *[({"role": "DATA_SUBJECT", "subject": wrong}, "claim subject") for wrong in (..., "", "x" * 2049, 1, "\0")],
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
        *[(sent, "bearer token is missing") for sent in (None, "")],
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


async def test_a_remembered_token_expires_on_time() -> None:
    now = [NOW]
    let_in, sent = authenticator(clock=lambda: now[0]), bearer()
    for now[0] in (NOW, NOW + 3600, NOW + 3629):
        assert await let_in.actor(sent) == ACTOR
    now[0] = NOW + 3630
    assert "expired" in await refusal(sent, let_in)


async def test_the_memory_for_tokens_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app.auth.authenticator, "_MAX_REMEMBERED_TOKENS", 3)
    let_in = authenticator()
    for name in "abcdefabcdef":
        assert (await let_in.actor(stating(sub=name))).name == name
    assert len(let_in._remembered) == 3


def test_authentication_without_issuer_or_audience_does_not_start() -> None:
    for issuer_name, audience in (("", AUDIENCE), (ISSUER, "")):
        with pytest.raises(ValueError, match="issuer and an audience"):
            Authenticator(static_keys(public(KEY)), issuer=issuer_name, audience=audience)
