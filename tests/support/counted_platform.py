"""A platform of persons as facts, and what its coverage is answered over HTTP."""

from collections.abc import Sequence
from random import Random
from typing import Any

from schema.actor import Role
from tests.support.facts import NOW, fact
from tests.support.gateway import TestGateway
from tests.support.publication_attack import Item, Person

FAULTS: tuple[dict[str, Any], ...] = (
    {"deleted_at": "2026-05-01T00:00:00Z"},
    {"rights": [{"source": "TDMREP", "train_ai": "n"}]},
    {"scans": {"special_category": "FLAGGED", "safety": "CLEAR"}},
    {"scans": {"special_category": "CLEAR", "safety": "FLAGGED"}},
)
CODES = ("CONTENT_LIVE", "NO_RIGHTS_RESERVATION", "NO_SPECIAL_CATEGORY", "CONTENT_SAFE")
FILTERS = {"KIND": "kinds", "PRODUCT": "products", "COUNTRY": "countries", "LANGUAGE": "languages", "MONTH": "months"}
FILTERS["GROUND"] = "grounds"
DIMENSIONS = ("KIND", "PRODUCT", "COUNTRY", "LANGUAGE", "MONTH")
COVERAGE = """query Coverage($groupBy: [CoverageDimension!]! = [], $filter: CoverageFilter, $day: Date,
    $purpose: String) {
  coverage(groupBy: $groupBy, filter: $filter, day: $day, purpose: $purpose) {
    day takenAt policyVersion purpose purposes exact
    protection { maxItemsInTotal maxItemsInTables confidence privacyLoss greatestAdvantage }
    total { key { value } items permitted delivered retracted margin suppressed permittedShare representationRatio
      exclusions { condition total exclusive margin } }
    rows { key { dimension value } items permitted delivered retracted margin suppressed permittedShare
      representationRatio exclusions { condition total exclusive margin } }
    funnel { condition remaining margin }
  }
}"""


def generated_platform(seed: int, persons: int = 40) -> list[list[Item]]:
    """Make up persons: some have several accounts, some many items."""
    random = Random(seed)

    def item(country: str) -> Item:
        return Item(
            random.choice(("POST", "POST", "PHOTO", "AI_INTERACTION")),
            random.choice(("FACEBOOK", "FACEBOOK", "INSTAGRAM")),
            country,
            random.choice(("en", "de", "pt")),
            random.choice(("2026-01", "2026-02", "2026-03")),
            frozenset(place for place in range(4) if random.random() < 0.15),
        )

    countries = [random.choice(("IE", "IE", "DE", "PT")) for _ in range(persons)]
    return [[item(country) for _ in range(random.choice((1, 3, 8, 30)))] for country in countries]


def facts(persons: Sequence[Person]) -> list[dict[str, Any]]:
    """State a platform's items: an account of each person for each country and product."""
    records: list[dict[str, Any]] = []
    for person, items in enumerate(persons):
        for country, its_product in sorted({(item.country, item.product) for item in items}):
            account = f"{person}-{country}-{its_product}"
            named = fact("account", id=account, person=f"person {person}", country=country, product=its_product)
            records += [named, fact("notice", id=f"n-{account}", account=account)]
        records += [_content(f"item-{person}-{number}", person, item) for number, item in enumerate(items)]
    return records


def _content(id: str, person: int, item: Item) -> dict[str, Any]:
    made = f"{item.month}-01T00:00:00Z"
    stated = fact("content", id=id, account=f"{person}-{item.country}-{item.product}", kind=item.kind)
    stated |= {"language": item.language, "created_at": made, "audience_since": made}
    for place in sorted(item.failing):
        fault = FAULTS[place]
        stated["scans"] = {**stated["scans"], **{k: v for k, v in fault.get("scans", {}).items() if v == "FLAGGED"}}
        stated |= {name: value for name, value in fault.items() if name != "scans"}
    return stated | {"observed_at": "2026-05-02T00:00:00Z"}


def all_items(persons: Sequence[Person]) -> list[Item]:
    return [item for person in persons for item in person]


async def counted_gateway(gateway: TestGateway, persons: Sequence[Person]) -> TestGateway:
    gateway.set_clock(NOW)
    answer = await gateway.ingest(facts(persons))
    assert answer["total"]["rejected"] == 0
    await gateway.take_coverage()
    return gateway


async def ask(gateway: TestGateway, role: Role, *by: str, **given: Any) -> Any:
    variables = {"groupBy": list(by), **given}
    return (await gateway.ask(role, COVERAGE, variables))["coverage"]


async def refused(gateway: TestGateway, *by: str, role: Role = Role.DASHBOARD, **given: Any) -> str:
    answer = (await gateway.post(role, COVERAGE, {"groupBy": list(by), **given})).json()
    (error,) = answer["errors"]
    assert error["extensions"]["code"] == "BAD_USER_INPUT"
    return str(error["message"])


def table(answer: Any) -> dict[tuple[str, ...], tuple[int | None, int | None]]:
    return {tuple(v["value"] for v in row["key"]): (row["items"], row["permitted"]) for row in answer["rows"]}
