"""Who is responsible, for what, on which basis, and which rights there are: what notices and forms link to."""

import time
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from app.web.privacy.rendering import language_of, privacy_page
from db.policy.document import Policy
from db.policy.grounds import GROUNDS
from db.vocabulary import ContentKind
from schema.context import Gateway

SECONDS_KEPT: Final = 10.0
"""For how long a policy is shown that was read before: anybody may open the page, however often."""


class InformationPage:
    """Serve /information, to anybody, from the policy in force."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._policy: Policy | None = None
        self._kept_until = 0.0

    async def show(self, request: Request) -> Response:
        """Show the privacy page /information; without a controller in the policy there is none to show."""
        policy = await self._policy_in_force()
        if policy.controller is None:
            return privacy_page(request, "problem.html", status=404, problem="no_controller")
        used = [
            (product, sorted(kinds, key=list(ContentKind).index))
            for product, kinds in sorted(_kinds_of(policy).items())
        ]
        bases = list(dict.fromkeys(GROUNDS[ground].basis for ground in policy.grounds))
        english, own = (policy.controller.statements_in(each) for each in ("en", language_of(request)))
        stated = english | own
        return privacy_page(request, "information.html", policy=policy, used=used, bases=bases, stated=stated)

    async def _policy_in_force(self) -> Policy:
        """Return the policy in force for the privacy page /information, read again after SECONDS_KEPT."""
        if self._policy is None or time.monotonic() > self._kept_until:
            self._policy = await self._gateway.policy_in_force()
            self._kept_until = time.monotonic() + SECONDS_KEPT
        return self._policy


def _kinds_of(policy: Policy) -> dict[str, set[ContentKind]]:
    """Return the kinds of items used of each product, for the privacy page /information."""
    found: dict[str, set[ContentKind]] = {}
    for coverage in policy.grounds.values():
        for product in coverage.products:
            found.setdefault(product, set()).update(coverage.kinds)
    return found
