"""The filter of the items that coverage counts."""

import re

import strawberry

from db.coverage.snapshot import Dimension
from schema.enums import ContentKind, GroundCode
from schema.errors import BadInput


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


def read_filter(filter: CoverageFilter | None) -> dict[Dimension, list[str]]:
    """Return the values that the filter of the API's `coverage` names, by dimension. Raises BadInput."""
    if filter is None:
        return {}
    given = {
        Dimension.KIND: filter.kinds,
        Dimension.PRODUCT: filter.products,
        Dimension.COUNTRY: filter.countries,
        Dimension.LANGUAGE: None if filter.languages is None else [language.lower() for language in filter.languages],
        Dimension.MONTH: filter.months,
        Dimension.GROUND: filter.grounds,
    }
    if any("-" in language for language in filter.languages or ()):
        raise BadInput("filter.languages: must be languages without a dialect (write de, not de-AT)")
    for month in filter.months or ():
        if not re.fullmatch(r"\d{4}-\d{2}", month):
            raise BadInput("filter.months: must be months (write them as YYYY-MM)")
    return {dimension: [str(value) for value in values] for dimension, values in given.items() if values is not None}
