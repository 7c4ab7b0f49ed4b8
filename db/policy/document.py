"""The policy: a document that chooses grounds and parameters. Versioned, and immutable once it was active."""

import json
from datetime import datetime
from importlib import resources
from typing import Annotated, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from db.policy.grounds import GroundCode
from db.records import PLATFORM_PRODUCTS, AccountKind, ContentKind

PRIVATE_KINDS = frozenset({ContentKind.PRIVATE_MESSAGE, ContentKind.BUSINESS_MESSAGE})

Country = Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")]
Name = Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Z0-9_]{0,63}$")]


class PolicyError(ValueError):
    """Say what is wrong with a policy document, where, and what to do."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Notice(_Part):
    """Say which notices count and how long people have after them."""

    epoch: Annotated[str, StringConstraints(pattern=r"^[0-9]{4}-(0[1-9]|1[0-2])$")] = "2025-04"
    period_days: Annotated[int, Field(ge=0, le=3650)] = 30


class Dwell(_Part):
    """Say how long a permissive act waits before it counts."""

    account_days: Annotated[int, Field(ge=0, le=3650)] = 7
    audience_days: Annotated[int, Field(ge=0, le=3650)] = 7
    content_hours: Annotated[int, Field(ge=0, le=87600)] = 24
    withdrawal_days: Annotated[int, Field(ge=0, le=3650)] = 14
    hold_hours: Annotated[int, Field(ge=0, le=87600)] = 24
    taken_back_days: Annotated[int, Field(ge=0, le=3650)] = 7


class Retraction(_Part):
    """Say how long a client has to acknowledge a retraction."""

    due_days: Annotated[int, Field(ge=1, le=365)] = 7
    urgent_hours: Annotated[int, Field(ge=1, le=8760)] = 24


class Coverage(_Part):
    """Say which kinds on which products a ground covers."""

    kinds: Annotated[tuple[ContentKind, ...], Field(min_length=1)]
    products: Annotated[tuple[Name, ...], Field(min_length=1)]


class Policy(_Part):
    """Hold a whole policy document, checked."""

    version: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    title: str = ""
    effective_from: AwareDatetime
    effective_until: AwareDatetime | None = None
    purposes: Annotated[tuple[Name, ...], Field(min_length=1)]
    regions: Annotated[tuple[Country, ...], Field(min_length=1)]
    account_kinds: Annotated[tuple[AccountKind, ...], Field(min_length=1)]
    notice: Notice = Notice()
    dwell: Dwell = Dwell()
    retraction: Retraction = Retraction()
    grounds: Annotated[dict[GroundCode, Coverage], Field(min_length=1)]

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.effective_until is not None and self.effective_until <= self.effective_from:
            raise ValueError("effective_until is not after effective_from (set it later, or to null)")
        seen: dict[ContentKind, GroundCode] = {}
        for ground, coverage in self.grounds.items():
            for kind in coverage.kinds:
                if kind in PRIVATE_KINDS:
                    raise ValueError(f"kind {kind} can belong to no ground (remove it from grounds.{ground}.kinds)")
                if seen.setdefault(kind, ground) is not ground:
                    raise ValueError(
                        f"kind {kind} stands under {seen[kind]} and {ground} (leave it under exactly one ground)"
                    )
        return self

    def ground_of(self, kind: ContentKind) -> GroundCode:
        """Give the ground that a kind is judged against: its own, or PUBLIC_CONTENT where it has none."""
        for ground, coverage in self.grounds.items():
            if kind in coverage.kinds:
                return ground
        return GroundCode.PUBLIC_CONTENT

    @property
    def products(self) -> frozenset[str]:
        """Give every product that an account may name: the platform's own and the policy's."""
        return PLATFORM_PRODUCTS.union(*(coverage.products for coverage in self.grounds.values()))

    def document(self) -> str:
        """Give the document in one canonical form, so that two that say the same are the same text."""
        return json.dumps(self.model_dump(mode="json"), sort_keys=True, ensure_ascii=False)


def parse_policy(text: str | bytes, name: str = "policy") -> Policy:
    """Read a policy document.

    Raises PolicyError with one line a fault: which policy, what is wrong, where, and what to do.
    """
    try:
        return Policy.model_validate_json(text)
    except ValidationError as error:
        raise PolicyError("\n".join(_faults(text, name, error))) from None


def default_policy() -> Policy:
    """Read the policy that is shipped with the project."""
    return parse_policy(resources.files("db.policy").joinpath("default.json").read_bytes(), "default policy")


def _faults(text: str | bytes, name: str, error: ValidationError) -> list[str]:
    try:
        document = json.loads(text)
        version = document.get("version") if isinstance(document, dict) else None
    except (ValueError, RecursionError):
        version = None
    label = f"policy {version}" if isinstance(version, str) else name
    faults = []
    for fault in error.errors(include_url=False, include_context=False, include_input=False):
        place = ".".join(str(part) for part in fault["loc"] if part != "[key]")
        message = fault["msg"].removeprefix("Value error, ")
        faults.append(f"{label}: {place}: {message}" if place else f"{label}: {message}")
    return faults


def instant(moment: datetime) -> str:
    """Write an instant as an SQL literal with its offset, so that no session's time zone can move it."""
    return f"timestamptz '{moment.isoformat()}'"
