"""Check a policy before it is in force: its document, its controller, and whether campaigns named all its uses."""

from collections.abc import Iterable

import orjson

from db.connection import Reader
from db.policy.document import Policy, PolicyError, Use, parse_policy

TOLD = "SELECT purpose, told::text FROM grounds.campaign_told"
"""The statement that reads the uses of campaigns: each purpose with a JSON object {"KIND PRODUCT": [epoch, …]}."""


def check_policy(text: str | bytes, name: str, told: Iterable[tuple[str, str]]) -> Policy:
    """Parse a policy document that is to be in force.

    Raises PolicyError with every fault: of the document, and of what people must be told.
    """
    told = list(told)
    try:
        policy = parse_policy(text, name)
    except PolicyError as error:
        further = [] if error.rest is None else _faults_in_force(error.rest, told)
        raise PolicyError([*error.faults, *further], error.label) from None
    raise_if_inadmissible(policy, told)
    return policy


def raise_if_inadmissible(policy: Policy, told: Iterable[tuple[str, str]]) -> None:
    """Raise PolicyError if a policy that is to be in force has no controller, or has uses that no campaign named."""
    faults = _faults_in_force(policy, told)
    if faults:
        raise PolicyError(faults, f"policy {policy.version}")


def _faults_in_force(policy: Policy, told: Iterable[tuple[str, str]]) -> list[str]:
    """Return the faults of a policy that is to be in force: no controller, or uses that no campaign named."""
    faults = []
    if policy.controller is None:
        faults.append(
            "controller: is missing (state its name, address, contact, data protection officer and authority, which"
            " GDPR Article 13(1) requires in every notice)"
        )
    return faults + _untold_faults(policy, told)


def _untold_faults(policy: Policy, told: Iterable[tuple[str, str]]) -> list[str]:
    """Return a fault for each part of a policy's uses that no campaign named; the fault names the part."""
    uses = {use for use, epochs in told_uses(told).items() if max(epochs) >= policy.notice.epoch}
    missing = policy.uses - uses
    if not missing:
        return []
    faults = []
    for place, one, known in (
        ("purposes", "purpose", {use.purpose for use in uses}),
        ("grounds", "kind", {use.kind for use in uses}),
        ("grounds", "product", {use.product for use in uses}),
    ):
        names = sorted({getattr(use, one) for use in missing} - known)
        faults += [
            f"{place}: no campaign of epoch {policy.notice.epoch} or later named the {one} {name}" for name in names
        ]
    if not faults:
        faults = [
            (
                f"grounds: no campaign of epoch {policy.notice.epoch} or later named {use.kind} on"
                f" {use.product} for {use.purpose}"
            )
            for use in sorted(missing)
        ]
    remedy = "(register a campaign that names it and send the notices, or remove it from the policy)"
    return [f"{fault} {remedy}" for fault in faults]


def warn_of_epoch(policy: Policy, told: Iterable[tuple[str, str]]) -> list[str]:
    """Return a warning if no campaign has the epoch from which on a policy counts notices."""
    known = {epoch for epochs in told_uses(told).values() for epoch in epochs}
    if policy.notice.epoch in known:
        return []
    return [
        f"notice.epoch: no campaign has the epoch {policy.notice.epoch} (write the epoch of a campaign: notices of this"
        " campaign and of later ones count)"
    ]


def told_uses(told: Iterable[tuple[str, str]]) -> dict[Use, frozenset[str]]:
    """Return the uses of policies that campaigns named, each with its epochs; `told` has the rows of TOLD."""
    return {
        Use(purpose, *use.split(" ")): frozenset(epochs)
        for purpose, uses in told
        for use, epochs in orjson.loads(uses).items()
    }


async def read_told(reader: Reader) -> list[tuple[str, str]]:
    """Read from the database the uses that campaigns named, for the check of a proposed policy; see TOLD."""
    return [(purpose, uses) for purpose, uses in await reader.fetch(TOLD)]
