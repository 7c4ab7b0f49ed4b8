"""The policy document: grounds and parameters, versioned, and immutable once it was in force."""

import json
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from importlib import resources
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from db.policy.faults import describe_fault, without_faults
from db.policy.grounds import GroundCode
from db.vocabulary import (
    COUNTRIES,
    EUROPEAN_ECONOMIC_AREA,
    PLATFORM_PRODUCTS,
    PRIVATE_KINDS,
    AccountKind,
    ContentKind,
)

MIN_NOTICE_DAYS = 14
MIN_WITHDRAWAL_DAYS = 1
DEADLINE_YEARS = range(2000, 9001)
"""The years that a deadline can have. In these years, every time that is computed from the deadline is a valid date."""
_DAY_OR_INSTANT = re.compile(r"\d{4}-\d\d-\d\d(T.*)?", re.ASCII)


def _known_country(code: str) -> str:
    """Check a country of a policy document."""
    if code not in COUNTRIES:
        raise ValueError(f"{code} is not an ISO 3166-1 country code (Greece is GR, the United Kingdom is GB)")
    return code


def _last_instant(text: str) -> str:
    """Check a deadline of a policy document."""
    try:
        moment = datetime.fromisoformat(text) if _DAY_OR_INSTANT.fullmatch(text) else None
    except ValueError:
        moment = None
    if moment is None or (len(text) > len("2026-05-27") and moment.tzinfo is None):
        raise ValueError("must be a day or a time (write it like 2026-05-27 or 2026-05-27T12:00:00Z)")
    if moment.year not in DEADLINE_YEARS:
        first, last = DEADLINE_YEARS[0], DEADLINE_YEARS[-1]
        raise ValueError(f"must be in a year from {first} to {last} (correct it)")
    return text


Country = Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$"), AfterValidator(_known_country)]
Words = Annotated[str, StringConstraints(min_length=1, max_length=500, strip_whitespace=True)]
Statement = Annotated[
    dict[
        Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}$")],
        Annotated[str, StringConstraints(min_length=1, max_length=2000, strip_whitespace=True)],
    ],
    Field(min_length=1),
]
"""A statement of the controller, by language."""
Deadline = Annotated[str, AfterValidator(_last_instant)]
"""A day or an instant. A day counts as ended when it has ended in UTC+14, the earliest time zone."""
Name = Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Z0-9_]{0,63}$")]


class PolicyError(ValueError):
    """The faults of a policy document: what is wrong, where, and what to do.

    `label` names the document, and `rest` is a policy of its sound parts, if there is one.
    """

    def __init__(self, faults: Sequence[str], label: str, rest: "Policy | None" = None) -> None:
        super().__init__("\n".join(f"{label}: {fault}" for fault in faults))
        self.faults, self.label, self.rest = faults, label, rest


class _PolicyPart(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class NoticeRules(_PolicyPart):
    """The notices that count, and the notice period after them."""

    epoch: Annotated[str, StringConstraints(pattern=r"^[0-9]{4}-(0[1-9]|1[0-2])$")] = "2025-04"
    period_days: Annotated[int, Field(ge=MIN_NOTICE_DAYS, le=3650)] = 30


class DwellRules(_PolicyPart):
    """The waiting times after a permissive change before it counts."""

    account_days: Annotated[int, Field(ge=0, le=3650)] = 7
    audience_days: Annotated[int, Field(ge=0, le=3650)] = 7
    content_hours: Annotated[int, Field(ge=0, le=87600)] = 24
    withdrawal_days: Annotated[int, Field(ge=MIN_WITHDRAWAL_DAYS, le=3650)] = 14
    hold_hours: Annotated[int, Field(ge=0, le=87600)] = 24
    taken_back_days: Annotated[int, Field(ge=0, le=3650)] = 7


class RetractionRules(_PolicyPart):
    """The time that a client has to acknowledge a retraction."""

    due_hours: Annotated[int, Field(ge=1, le=8760)] = 24


class GroundCoverage(_PolicyPart):
    """The kinds on the products that a ground covers."""

    kinds: Annotated[tuple[ContentKind, ...], Field(min_length=1)]
    products: Annotated[tuple[Name, ...], Field(min_length=1)]


class Controller(_PolicyPart):
    """The controller, as notices and pages name it (GDPR Articles 13 and 14).

    What it states of recipients (Article 13(1)(e)), of storage (Article 13(2)(a)) and of transfers to third countries
    (Article 13(1)(f)) is by language.
    """

    name: Words
    address: Words
    contact: Words
    dpo: Words
    authority: Words
    recipients: Statement | None = None
    storage: Statement | None = None
    transfers: Statement | None = None

    def statements_in(self, language: str) -> dict[str, str]:
        """Return what a policy document states in a language, of `recipients`, `storage` and `transfers`."""
        return {name: texts[language] for name, texts in self.statements().items() if language in texts}

    def statements(self) -> dict[str, dict[str, str]]:
        """Return what a policy document states, by language, of `recipients`, `storage` and `transfers`."""
        stated = {"recipients": self.recipients, "storage": self.storage, "transfers": self.transfers}
        return {name: texts for name, texts in stated.items() if texts}


class OnOverdue(StrEnum):
    """What follows when an assessment or the review of a policy is overdue."""

    WARN = "WARN"
    STOP = "STOP"


class Assessment(_PolicyPart):
    """An assessment that the policy rests on, such as one of its data protection impact (GDPR Article 35)."""

    kind: Words
    reference: Words
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    approved_by: Words
    valid_until: Deadline
    on_overdue: OnOverdue | None = None
    """None: as the policy states it."""


class Overdue(NamedTuple):
    """What is or will be overdue, from which instant on, and whether it stops the programme."""

    name: str
    until: str
    ends_at: datetime
    stops: bool


class Use(NamedTuple):
    """What a policy uses items for: a purpose, with a kind on a product."""

    purpose: str
    kind: str
    product: str


class Policy(_PolicyPart):
    """A whole policy document, checked."""

    version: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    title: str = ""
    effective_from: AwareDatetime
    effective_until: AwareDatetime | None = None
    purposes: Annotated[tuple[Name, ...], Field(min_length=1)]
    regions: Annotated[tuple[Country, ...], Field(min_length=1)]
    account_kinds: Annotated[tuple[AccountKind, ...], Field(min_length=1)]
    notice: NoticeRules = NoticeRules()
    dwell: DwellRules = DwellRules()
    retraction: RetractionRules = RetractionRules()
    grounds: Annotated[dict[GroundCode, GroundCoverage], Field(min_length=1)]
    controller: Controller | None = None
    review_by: Deadline | None = None
    on_overdue: OnOverdue = OnOverdue.WARN
    names: Literal["required", "optional"] = "optional"
    """Whether an item qualifies only after the platform or the gateway has searched its text for names."""
    assessments: tuple[Assessment, ...] = ()

    @model_validator(mode="after")
    def _check(self) -> Self:
        """Check a policy document as a whole: its dates, grounds and kinds."""
        faults = []
        if self.effective_until is not None and self.effective_until <= self.effective_from:
            faults.append("effective_until must be after effective_from (set a later time, or null)")
        seen: dict[ContentKind, GroundCode] = {}
        for ground, coverage in self.grounds.items():
            for kind in coverage.kinds:
                if kind in PRIVATE_KINDS:
                    faults.append(f"kind {kind} cannot belong to a ground (remove it from grounds.{ground}.kinds)")
                if seen.setdefault(kind, ground) is not ground:
                    faults.append(
                        f"kind {kind} belongs to {seen[kind]} and to {ground} (leave it in exactly one ground)"
                    )
        if faults:
            raise ValueError("\n".join(faults))
        return self

    def ground_of(self, kind: ContentKind) -> GroundCode:
        """Return a policy's ground for a kind: its own, or PUBLIC_CONTENT where it has none."""
        for ground, coverage in self.grounds.items():
            if kind in coverage.kinds:
                return ground
        return GroundCode.PUBLIC_CONTENT

    @property
    def products(self) -> frozenset[str]:
        """Return every product that an account may name under a policy: the platform's own and the policy's."""
        return PLATFORM_PRODUCTS.union(*(coverage.products for coverage in self.grounds.values()))

    @property
    def uses(self) -> frozenset[Use]:
        """Return a policy's uses: every purpose with each kind on each product of its ground."""
        return frozenset(
            Use(purpose, kind, product)
            for purpose in self.purposes
            for coverage in self.grounds.values()
            for kind in coverage.kinds
            for product in coverage.products
        )

    def deadlines(self) -> Iterator[Overdue]:
        """Return what can be overdue in a policy document: each assessment, and the review."""
        for each in self.assessments:
            stops = (each.on_overdue or self.on_overdue) is OnOverdue.STOP
            yield Overdue(f"assessment {each.kind}", each.valid_until, _end_of(each.valid_until), stops)
        if self.review_by is not None:
            stops = self.on_overdue is OnOverdue.STOP
            yield Overdue("review of the policy", self.review_by, _end_of(self.review_by), stops)

    @property
    def stops_after(self) -> datetime | None:
        """Return the instant after which a policy's overdue assessment or review stops all; None for never."""
        return min((each.ends_at for each in self.deadlines() if each.stops), default=None)

    def warnings(self, now: datetime) -> list[str]:
        """Return what deserves attention in a policy document though it is not refused."""
        found = []
        if self.controller is None:
            found.append("controller: is missing (state it; without it, no notice can be sent)")
        else:
            found += [
                f"controller.{name}: is missing (state it in each language: GDPR Article {article})"
                for name, article in (("recipients", "13(1)(e)"), ("storage", "13(2)(a)"), ("transfers", "13(1)(f)"))
                if getattr(self.controller, name) is None
            ]
        found += [
            f"regions.{place}: {country} is not in the European Economic Area, for which the shipped conditions and"
            " notices were written (check that they fit)"
            for place, country in enumerate(self.regions)
            if country not in EUROPEAN_ECONOMIC_AREA
        ]
        if self.review_by is None:
            found.append("review_by: is missing (state the day by which the policy must be reviewed)")
        if not self.assessments:
            found.append("assessments: is empty (state the assessments on which the policy is based)")
        found += self.overdue(now)
        found += [
            f"dwell.{name}: is 0 (changes of this kind take effect without a waiting time)"
            for name, value in self.dwell.model_dump().items()
            if value == 0
        ]
        return found

    def overdue(self, now: datetime) -> list[str]:
        """Return which assessments of a policy document, or its review, are overdue, and what follows."""
        return [
            f"{each.name}: was valid until {each.until}"
            f" ({'no item is permitted' if each.stops else 'this is a warning only'})"
            for each in self.deadlines()
            if each.ends_at < now
        ]

    def document(self) -> str:
        """Write a policy document in canonical form, so that two that state the same are the same text."""
        return json.dumps(self.model_dump(mode="json"), sort_keys=True, ensure_ascii=False)


def parse_policy(text: str | bytes, name: str = "policy") -> Policy:
    """Parse a policy document. Raises PolicyError.

    Raises PolicyError with one line a fault: which policy, what is wrong, where, and what to do.
    """
    try:
        return Policy.model_validate_json(text)
    except ValidationError as error:
        raise _policy_error(text, name, error) from None


def default_policy() -> Policy:
    """Read the policy document that is shipped with the project."""
    return parse_policy(resources.files("db.policy").joinpath("default.json").read_bytes(), "default policy")


def _policy_error(text: str | bytes, name: str, error: ValidationError) -> PolicyError:
    """Describe every fault of a policy document by its version and place, those of its sound parts together too."""
    document = _read_object(text)
    version = document.get("version")
    label = f"policy {version}" if isinstance(version, str) else name
    faults = _describe_faults(error)
    rest = None
    if document:
        sound = json.loads(resources.files("db.policy").joinpath("default.json").read_bytes())
        for _ in range(2):  # what the parts say together is checked only where each part is sound
            details = error.errors(include_url=False, include_input=False)
            document = without_faults(document, details, sound)
            try:
                rest = Policy.model_validate_json(json.dumps(document))
                break
            except ValidationError as further:
                error = further
                faults += _describe_faults(further)
    return PolicyError(list(dict.fromkeys(faults)), label, rest)


def _describe_faults(error: ValidationError) -> list[str]:
    """Describe each fault that pydantic found in a policy document, except a list that only lacks its faulty values."""
    found = error.errors(include_url=False, include_input=False)
    faulty_lists = {fault["loc"][:-1] for fault in found if fault["loc"] and isinstance(fault["loc"][-1], int)}
    return [line for fault in found if fault["loc"] not in faulty_lists for line in describe_fault(fault).splitlines()]


def _read_object(text: str | bytes) -> dict[str, Any]:
    """Read a policy document as JSON; return an empty object if it is none."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _end_of(deadline: str) -> datetime:
    """Return the instant at which a deadline of a policy document ends; a day ends where it ends first (UTC+14)."""
    moment = datetime.fromisoformat(deadline)
    if moment.tzinfo is not None:
        return moment
    return moment.replace(tzinfo=UTC) + timedelta(days=1) - timedelta(hours=14)


def sql_instant(moment: datetime) -> str:
    """Write an instant of a policy as an SQL literal with its offset, so that no session's time zone moves it."""
    return f"timestamptz '{moment.isoformat()}'"
