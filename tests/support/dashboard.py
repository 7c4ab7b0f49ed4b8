"""Somebody at the dashboard, as tests see them: signed in by a token, sending forms as a browser does."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from app.web.dashboard.layout import SIGN_IN
from schema.actor import Role
from tests.support.gateway import TestGateway, new_client


def browser_headers(gateway: TestGateway) -> dict[str, str]:
    """Return what a browser states of a form that the dashboard's own page sends."""
    return {"Origin": gateway.address, "Sec-Fetch-Site": "same-origin"}


@asynccontextmanager
async def dashboard_browser(gateway: TestGateway, role: Role | None, **claims: Any) -> AsyncIterator[httpx.AsyncClient]:
    """Open a browser of sorts, signed in as a role; None is nobody."""
    async with new_client(gateway.address, headers=browser_headers(gateway)) as client:
        if role is not None:
            answer = await client.post(SIGN_IN, data={"token": gateway.token(role, **claims)})
            assert answer.status_code == 303, answer.text
        yield client
