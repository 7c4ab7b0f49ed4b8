"""The filter of the items that coverage counts."""

import re

import strawberry

from db.coverage.snapshot import Dimension
from db.policy.document import Policy
from schema.context import Context
from schema.enums import ContentKind, GroundCode
from schema.errors import BadInput

_LANGUAGE, _COUNTRY = re.compile(r"[A-Za-z]{2,8}"), re.compile(r"[A-Z]{2}")
_MONTH = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])")
_WITHOUT_A_VALUE = ("unknown", "other")
"""The values of coverage that are no value of an item: none, and those that are too rare to be published."""


@strawberry.input(description="A filter for the items to count; the value `unknown` matches items without a value.")
class CoverageFilter:
    kinds: list[ContentKind] | None = strawberry.field(default=None, description="Count items of these kinds.")
    products: list[str] | None = strawberry.field(default=None, description="Count items of these products.")
    countries: list[str] | None = strawberry.field(
        default=None, description="Count items of authors in these countries."
    )
    languages: list[str] | None = strawberry.field(
        default=None, description="Count items in these languages, including their dialects."
    )
    months: list[str] | None = strawberry.field(
        default=None, description="Count items created in these months, as YYYY-MM."
    )
    grounds: list[GroundCode] | None = strawberry.field(
        default=None, description="Count items to which these grounds apply."
    )


async def read_filter(context: Context, filter: CoverageFilter | None) -> dict[Dimension, list[str]]:
    """Return the values that the filter of the API's `coverage` names, by dimension. Raises BadInput."""
    if filter is None:
        return {}
    if filter.products:
        _check_products(filter.products, await context.gateway.policy_in_force())
    _check_forms(filter)
    given = {
        Dimension.KIND: filter.kinds,
        Dimension.PRODUCT: filter.products,
        Dimension.COUNTRY: filter.countries,
        Dimension.LANGUAGE: None if filter.languages is None else [language.lower() for language in filter.languages],
        Dimension.MONTH: filter.months,
        Dimension.GROUND: filter.grounds,
    }
    return {dimension: [str(value) for value in values] for dimension, values in given.items() if values is not None}


def _check_products(wanted: list[str], policy: Policy) -> None:
    """Raise BadInput where the filter of `coverage` names a product that no account can have."""
    known = sorted(policy.products)
    if not set(wanted) <= {*known, *_WITHOUT_A_VALUE}:
        raise BadInput(f"filter.products: must be one or more of {', '.join([*known, 'unknown'])} (correct the list)")


def _check_forms(filter: CoverageFilter) -> None:
    """Raise BadInput where the filter of `coverage` names what no item can have."""
    if any("-" in language for language in filter.languages or ()):
        raise BadInput("filter.languages: must be language codes without a dialect (write de, not de-AT)")
    for name, wanted, form, advice in (
        ("languages", filter.languages, _LANGUAGE, "language codes (such as de)"),
        ("countries", filter.countries, _COUNTRY, "country codes (such as DE)"),
        ("months", filter.months, _MONTH, "months (written as YYYY-MM)"),
    ):
        if not all(form.fullmatch(value) or value in _WITHOUT_A_VALUE for value in wanted or ()):
            raise BadInput(f"filter.{name}: must be {advice}")
