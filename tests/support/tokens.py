"""Tokens of an issuer, right and forged, and how an authenticator refuses one."""

import json
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from joserfc import jws
from joserfc.jwk import ECKey, Key
from joserfc.util import json_b64encode, urlsafe_b64encode

from app.auth.authenticator import Authenticator, TrustedKeys, Unauthorized, static_keys
from schema.actor import Actor, Role

NOW = 1_800_000_000
ISSUER, AUDIENCE = "https://issuer.example", "grounds"
CLAIMS = {"iss": ISSUER, "aud": AUDIENCE, "sub": "somebody", "iat": NOW, "exp": NOW + 3600}
TRAINING = CLAIMS | {"role": "TRAINING_CLIENT", "client": "demo", "purpose": "GENAI_TRAINING"}
ACTOR = Actor("somebody", Role.TRAINING_CLIENT, client="demo", purpose="GENAI_TRAINING")
KEY, OTHER = (ECKey.generate_key("P-256", {"kid": "a"}) for _ in range(2))
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


def authenticator(keys: TrustedKeys | None = None, clock: Callable[[], float] = lambda: NOW) -> Authenticator:
    return Authenticator(keys or static_keys(public(KEY)), issuer=ISSUER, audience=AUDIENCE, clock=clock)


async def refusal(sent: str | None, by: Authenticator | None = None) -> str:
    with pytest.raises(Unauthorized) as refused:
        await (by or authenticator()).actor(sent)
    for part in [*(sent or "").split(".")[1:], "somebody", "GENAI_TRAINING"]:
        assert len(part) < 8 or part not in refused.value.reason, "a refusal quotes no token"
    return refused.value.reason
