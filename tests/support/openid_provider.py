"""A little OpenID provider that a test can make lie: real HTTP, a real key, codes that are good once."""

import asyncio
import base64
import hashlib
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import uvicorn
from joserfc import jwt
from joserfc.jwk import ECKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from app.server.serve import bind_socket
from app.web.forms import read_form

CLIENT, CLIENT_SECRET = "grounds: a client", "a secret % of tests"


@dataclass
class Provider:
    """A provider; `claims` replace an ID token's, None removes one, `key` signs."""

    issuer: str
    known: ECKey = field(default_factory=lambda: ECKey.generate_key("P-256", auto_kid=True))
    key: ECKey | None = None
    claims: dict[str, Any] = field(default_factory=dict)
    stated: dict[str, Any] = field(default_factory=dict)
    returned: dict[str, str] = field(default_factory=dict)
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    async def configuration(self, _: Request) -> Response:
        places = {"authorization_endpoint": "authorize", "token_endpoint": "token", "jwks_uri": "keys"}
        known = {name: f"{self.issuer}/{path}" for name, path in places.items()}
        return JSONResponse({"issuer": self.issuer} | known | self.stated)

    async def keys(self, _: Request) -> Response:
        return JSONResponse({"keys": [self.known.as_dict(private=False, use="sig", alg="ES256")]})

    async def authorize(self, request: Request) -> Response:
        asked = dict(request.query_params)
        expected = {"client_id": CLIENT, "response_type": "code", "code_challenge_method": "S256", "scope": "openid"}
        self.faults += [name for name, value in expected.items() if asked.get(name) != value]
        code = secrets.token_urlsafe(16)
        self.codes[code] = asked
        return RedirectResponse(
            f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state']} | self.returned)}", 303
        )

    async def token(self, request: Request) -> Response:
        sent = await read_form(request, 8192)
        asked = self.codes.pop(sent["code"], None)
        basic = base64.b64encode(b"grounds%3A%20a%20client:a%20secret%20%25%20of%20tests").decode()
        digest = hashlib.sha256(sent.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        sound = (
            asked is not None
            and request.headers.get("authorization") == f"Basic {basic}"
            and challenge == asked["code_challenge"]
            and sent["redirect_uri"] == asked["redirect_uri"]
        )
        if not sound or asked is None:
            return JSONResponse({"error": "invalid_grant"}, 400)
        now = int(time.time())
        claims = {"iss": self.issuer, "aud": CLIENT, "sub": "anna", "iat": now, "exp": now + 300}
        claims |= {"nonce": asked["nonce"], "role": "PRIVACY_OFFICER"} | self.claims
        key = self.key or self.known
        header = {"alg": "ES256", "kid": self.known.kid}
        signed = jwt.encode(header, {name: value for name, value in claims.items() if value is not None}, key)
        return JSONResponse({"access_token": "a", "token_type": "Bearer", "id_token": signed})


@asynccontextmanager
async def providing() -> AsyncIterator[Provider]:
    """Run a provider on a free port."""
    listener = bind_socket("127.0.0.1", 0)
    listener.listen()
    provider = Provider(f"http://127.0.0.1:{listener.getsockname()[1]}")
    routes = [
        Route("/.well-known/openid-configuration", provider.configuration),
        Route("/keys", provider.keys),
        Route("/authorize", provider.authorize),
        Route("/token", provider.token, methods=["POST"]),
    ]
    server = uvicorn.Server(uvicorn.Config(Starlette(routes=routes), lifespan="off", log_config=None))
    async with asyncio.TaskGroup() as group:
        group.create_task(server.serve(sockets=[listener]))
        yield provider
        server.should_exit = True
