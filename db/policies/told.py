"""Compare a policy with what campaigns told, and name the uses that no campaign told of."""

from collections.abc import Iterable

import orjson

from db.connection import Reader
from db.policy.document import Policy, PolicyError, Use

TOLD = "SELECT purpose, told::text FROM grounds.campaign_told"
"""What the campaigns told of: a purpose, and its {"KIND PRODUCT": [epoch, …]} as JSON."""


def raise_if_untold(policy: Policy, told: Iterable[tuple[str, str]]) -> None:
    """Raise PolicyError if no campaign told of some uses of a policy that is to be in force; it names them."""
    uses = {use for use, epochs in told_uses(told).items() if max(epochs) >= policy.notice.epoch}
    missing = policy.uses - uses
    if not missing:
        return
    faults = []
    for place, one, known in (
        ("purposes", "purpose", {use.purpose for use in uses}),
        ("grounds", "kind", {use.kind for use in uses}),
        ("grounds", "product", {use.product for use in uses}),
    ):
        names = sorted({getattr(use, one) for use in missing} - known)
        faults += [
            f"{place}: no campaign of epoch {policy.notice.epoch} or later announced the {one} {name}" for name in names
        ]
    if not faults:
        faults = [
            (
                f"grounds: no campaign of epoch {policy.notice.epoch} or later announced {use.kind} on"
                f" {use.product} for {use.purpose}"
            )
            for use in sorted(missing)
        ]
    remedy = "(register a campaign that announces it and send the notices, or remove it from the policy)"
    raise PolicyError("\n".join(f"policy {policy.version}: {fault} {remedy}" for fault in faults))


def told_uses(told: Iterable[tuple[str, str]]) -> dict[Use, frozenset[str]]:
    """Return the uses of policies that campaigns told of, each with their epochs; `told` has the rows of TOLD."""
    return {
        Use(purpose, *use.split(" ")): frozenset(epochs)
        for purpose, uses in told
        for use, epochs in orjson.loads(uses).items()
    }


async def refuse_untold(reader: Reader, policy: Policy) -> None:
    """Raise PolicyError if no campaign in the database told of some uses of a proposed policy."""
    raise_if_untold(policy, [(purpose, uses) for purpose, uses in await reader.fetch(TOLD)])
