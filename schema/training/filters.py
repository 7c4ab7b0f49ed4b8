"""The filter of trainable content: what a training client can narrow a page by, and how that is checked."""

import hashlib
import re
from collections.abc import Sequence
from datetime import date
from typing import TypeVar

import strawberry

from db.delivery.pages import MAX_INDEX_SCANS, Filter, Sample
from db.policy.document import Policy
from db.secrets import KeyUse, derive_key
from db.vocabulary import is_language
from schema.context import Context
from schema.enums import ContentKind, GroundCode, Region
from schema.errors import BadInput

MAX_SEED_LENGTH = 200
_LANGUAGE_RANGE = re.compile(r"\*|[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*")
_MEDIA_TYPE = re.compile(r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}/[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}")

Value = TypeVar("Value")


@strawberry.input(
    description=(
        "A reproducible sample of all items; the same seed gives the same sample on every page, for every client "
        "and on every day."
    )
)
class SampleInput:
    share: float = strawberry.field(description="The share of the items in the sample, above 0 and at most 1.")
    seed: str = strawberry.field(description="Any text; a different seed gives a different sample.")


@strawberry.input(
    description=(
        "A filter for trainable content; an item must match at least one value in each field that the filter contains."
    )
)
class TrainableContentFilter:
    kinds: list[ContentKind] | None = strawberry.field(default=None, description="Match items of these kinds.")
    products: list[str] | None = strawberry.field(default=None, description="Match items of these products.")
    languages: list[str] | None = strawberry.field(
        default=None,
        description="Match items in these language ranges of RFC 4647, where `de` matches `de` and `de-AT`.",
    )
    regions: list[Region] | None = strawberry.field(
        default=None, description="Match items of authors in these countries."
    )
    grounds: list[GroundCode] | None = strawberry.field(
        default=None, description="Match items that are permitted for these legal grounds."
    )
    created_months: list[date] | None = strawberry.field(
        default=None,
        description="Match items created in these months; to name a month, write the date of any day in it.",
    )
    created_from_month: date | None = strawberry.field(
        default=None,
        description="Match items created in this month or later; to name a month, write the date of any day in it.",
    )
    created_until_month: date | None = strawberry.field(
        default=None,
        description=("Match items created in this month or earlier; to name a month, write the date of any day in it."),
    )
    media_types: list[str] | None = strawberry.field(
        default=None, description="Match items that have media of at least one of these media types."
    )
    sample: SampleInput | None = strawberry.field(default=None, description="Match a sample of the items.")


async def narrowed_by(context: Context, filter: TrainableContentFilter) -> Filter:
    """Read the filter of `trainableContent`. Raises BadInput, naming the field, for a value that can match nothing."""
    for name, values in vars(filter).items():
        if isinstance(values, list) and len(values) > MAX_INDEX_SCANS:
            raise BadInput(
                f"filter.{_camel(name)}: must have at most {MAX_INDEX_SCANS} values, not {len(values)} (send"
                " several requests)"
            )
    policy = None
    _check_months(filter)
    if filter.kinds or filter.products or filter.regions or filter.grounds is not None:
        policy = await context.gateway.policy_in_force()
        _check_names(filter, policy)
    months = filter.created_months
    return Filter(
        kinds=_each_once(filter.kinds) if policy is None else _kinds(policy, filter),
        products=_each_once(filter.products),
        languages=_languages(filter.languages),
        regions=_each_once(filter.regions),
        grounds=_each_once(filter.grounds),
        months=None if months is None else _each_once([day.replace(day=1) for day in months]),
        from_month=filter.created_from_month,
        until_month=filter.created_until_month,
        media_types=_media_types(filter.media_types),
        sample=_sample(context.database.first_secret, filter.sample),
    )


def _check_names(filter: TrainableContentFilter, policy: Policy) -> None:
    """Raise BadInput where the filter of `trainableContent` names what the policy in force does not cover."""
    for name, wanted, known in (
        ("kinds", filter.kinds, [kind for ground in policy.grounds.values() for kind in ground.kinds]),
        ("products", filter.products, sorted(policy.products)),
        ("regions", filter.regions, policy.regions),
        ("grounds", filter.grounds, list(policy.grounds)),
    ):
        unknown = [value for value in wanted or [] if value not in known]
        if unknown:
            raise BadInput(f"filter.{name}: must be one or more of {', '.join(known)} (correct the list)")


def _check_months(filter: TrainableContentFilter) -> None:
    """Raise BadInput where the months in the filter of `trainableContent` are the wrong way round."""
    first, last = filter.created_from_month, filter.created_until_month
    if first and last and first.replace(day=1) > last:
        raise BadInput("filter.createdFromMonth: must not be after createdUntilMonth (swap them)")


def _languages(wanted: list[str] | None) -> list[str] | None:
    """Check the language ranges in the filter of `trainableContent`. Raises BadInput."""
    for language in wanted or []:
        if len(language) > 64 or not _LANGUAGE_RANGE.fullmatch(language):
            raise BadInput("filter.languages: must be language ranges (such as de, de-AT or *)")
        if language != "*" and not is_language(language.partition("-")[0]):
            raise BadInput(
                f"filter.languages: {language} does not begin with a language code of ISO 639 (write de for German"
                " and cs for Czech)"
            )
    return _each_once(wanted)


def _media_types(wanted: list[str] | None) -> list[str] | None:
    """Check the media types in the filter of `trainableContent`. Raises BadInput."""
    for media_type in wanted or []:
        if not _MEDIA_TYPE.fullmatch(media_type):
            raise BadInput("filter.mediaTypes: must be media types (such as image/jpeg)")
    return _each_once(None if wanted is None else [media_type.lower() for media_type in wanted])


def _sample(secret: bytes, wanted: SampleInput | None) -> Sample | None:
    """Derive the key of the filter's `sample` from its seed and the secret, so that shares reveal no internal ids."""
    if wanted is None:
        return None
    if not 0 < wanted.share <= 1:
        raise BadInput("filter.sample.share: must be above 0 and at most 1 (write it like 0.1)")
    if len(wanted.seed) > MAX_SEED_LENGTH:
        raise BadInput(f"filter.sample.seed: must have at most {MAX_SEED_LENGTH} characters (shorten it)")
    seed = derive_key(secret, KeyUse.SAMPLE) + wanted.seed.encode(errors="surrogatepass")
    digest = hashlib.sha256(seed).digest()
    return Sample(int.from_bytes(digest[:8], signed=True), wanted.share)


def _kinds(policy: Policy, filter: TrainableContentFilter) -> list[ContentKind] | None:
    """Return the kinds that the filter of `trainableContent` leaves under the policy in force.

    A ground follows from the kind, and not every product has every kind: what is left out here is not looked for among
    millions.
    """
    if filter.grounds is None and (filter.kinds is None or filter.products is None):
        return _each_once(filter.kinds)
    return _each_once(
        [
            kind
            for ground, coverage in policy.grounds.items()
            if filter.grounds is None or ground in filter.grounds
            if filter.products is None or set(filter.products) & set(coverage.products)
            for kind in coverage.kinds
            if filter.kinds is None or kind in filter.kinds
        ]
    )


def _each_once(values: Sequence[Value] | None) -> list[Value] | None:
    """Remove repeated values from a field in the filter of `trainableContent`."""
    return None if values is None else list(dict.fromkeys(values))


def _camel(name: str) -> str:
    """Write the name of a filter's field as the training client does, in camel case."""
    first, *others = name.split("_")
    return first + "".join(word.capitalize() for word in others)
