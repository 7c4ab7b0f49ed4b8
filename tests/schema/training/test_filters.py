"""A filter leaves exactly the items that fit it, of those that are permitted, whatever order the facts came in."""

from datetime import UTC, datetime
from itertools import product
from typing import Any

import pytest

from schema.actor import Role
from tests.support.facts import NOW, fact
from tests.support.gateway import TestGateway
from tests.support.ordinary_cases import ordinary_every

KINDS = ["POST", "PHOTO", "AI_INTERACTION", "VIDEO"]
PRODUCTS = ["FACEBOOK", "INSTAGRAM", "MESSENGER"]
LANGUAGES = ["de", "fr", "mt"]
MONTHS = [1, 2]
GROUND = {"POST": "PUBLIC_CONTENT", "PHOTO": "PUBLIC_CONTENT", "AI_INTERACTION": "AI_INTERACTION"}


def items() -> list[dict[str, Any]]:
    """One item of each kind, product, language and month."""
    return [
        fact(
            "content",
            day=10,
            id=f"{kind}-{of}-{language}-{month}",
            account=of,
            kind=kind,
            language=language,
            created_at=f"2026-{month:02}-03T00:00:00Z",
            **({"audience": None, "audience_since": None} if kind == "AI_INTERACTION" else {}),
        )
        for kind, of, language, month in product(KINDS, PRODUCTS, LANGUAGES, MONTHS)
    ]


@pytest.fixture
async def filled(gateway: TestGateway) -> TestGateway:
    """Items that come before their accounts, half of them, and after, the others."""
    gateway.set_clock(NOW)
    all_items = items()
    told = [fact("notice", id=f"notice-{of}", account=of) for of in PRODUCTS]
    await gateway.ingest(all_items[::2])
    await gateway.ingest([*told, *(fact("account", id=of, product=of) for of in PRODUCTS)])
    answer = await gateway.ingest(all_items[1::2])
    assert answer["total"]["rejected"] == 0
    return gateway


def permitted(kind: str, of: str) -> bool:
    return kind == "AI_INTERACTION" or (kind in GROUND and of != "MESSENGER")


@pytest.mark.parametrize(
    "filter",
    ordinary_every(
        4,
        [
            {},
            {"kinds": ["POST"]},
            {"kinds": ["POST", "AI_INTERACTION"]},
            {"kinds": []},
            {"products": ["MESSENGER"]},
            {"products": ["FACEBOOK", "MESSENGER", "FACEBOOK"]},
            {"products": ["WHATSAPP"]},
            {"products": ["MESSENGER"], "kinds": ["POST", "PHOTO"]},
            {"products": ["MESSENGER", "INSTAGRAM"], "kinds": ["POST", "AI_INTERACTION"]},
            {"languages": ["mt"]},
            {"languages": ["mt", "de"], "kinds": ["PHOTO"]},
            {"languages": ["mt", "sv", "fr", "fi", "de"]},
            {"languages": ["sv", "fi"]},
            {"languages": [f"xx{letter}" for letter in "abcdefghijklmnopqrstuvw"] + ["fr"], "kinds": ["POST", "PHOTO"]},
            {
                "languages": ["mt", "de"],
                "createdMonths": ["2026-01-01", "2026-02-01"],
                "products": ["FACEBOOK", "INSTAGRAM"],
            },
            {"grounds": ["AI_INTERACTION"]},
            {"grounds": ["AI_INTERACTION", "PUBLIC_CONTENT"], "products": ["INSTAGRAM"]},
            {"grounds": ["PUBLIC_CONTENT"], "kinds": ["AI_INTERACTION"]},
            {"createdMonths": ["2026-02-17"]},
            {"createdMonths": ["2026-01-01", "2026-01-31"], "languages": ["fr"], "grounds": ["PUBLIC_CONTENT"]},
            {"kinds": ["POST"], "products": ["FACEBOOK"], "languages": ["de"], "createdMonths": ["2026-01-01"]},
        ],
    ),
    ids=str,
)
async def test_a_filter_leaves_exactly_what_fits_it(filled: TestGateway, filter: dict[str, Any]) -> None:
    expected = {
        f"{kind}-{of}-{language}-{month}"
        for kind, of, language, month in product(KINDS, PRODUCTS, LANGUAGES, MONTHS)
        if permitted(kind, of)
        and kind in filter.get("kinds", KINDS)
        and of in filter.get("products", PRODUCTS)
        and language in filter.get("languages", LANGUAGES)
        and GROUND.get(kind) in filter.get("grounds", GROUND.values())
        and month in {int(day[5:7]) for day in filter.get("createdMonths", ["2026-01-01", "2026-02-01"])}
    }
    assert await names(filled, filter) == expected


async def test_a_field_of_a_filter_has_a_bounded_number_of_values(gateway: TestGateway) -> None:
    languages = [f"x{letter}" for letter in "abcdefghijklmnopqrstuvwxy"]
    query = "query($filter: TrainableContentFilter) { trainableContent(first: 1, filter: $filter) { nodes { id } } }"
    answer = await gateway.post(Role.TRAINING_CLIENT, query, {"filter": {"languages": languages}})
    assert (
        answer.json()["errors"][0]["message"]
        == "filter.languages: must have at most 24 values, not 25 (send several requests)"
    )


async def test_an_account_that_moves_takes_its_items_along(filled: TestGateway) -> None:
    await filled.ingest([fact("account", day=20, id="FACEBOOK", product="INSTAGRAM")])
    assert await names(filled, {"products": ["FACEBOOK"]}) == set()
    assert len(await names(filled, {"products": ["INSTAGRAM"], "kinds": ["POST"]})) == 12
    assert filled.execute(
        "SELECT DISTINCT c.product, a.product FROM grounds.content c JOIN grounds.account a ON a.id = c.account"
        " WHERE c.product IS DISTINCT FROM a.product"
    ) == []  # fmt: skip


async def names(gateway: TestGateway, filter: dict[str, Any]) -> set[str]:
    items = await gateway.pull(first=7, filter=filter)
    found = await gateway.platform_ids([item["id"] for item in items])
    assert len(found) == len(set(found))
    return set(found)


async def test_an_item_of_an_account_that_is_not_known_has_no_product(gateway: TestGateway) -> None:
    gateway.set_clock(datetime(2026, 6, 1, tzinfo=UTC))
    await gateway.ingest([fact("content")])
    assert gateway.execute("SELECT product FROM grounds.content") == [(None,)]
    await gateway.ingest([fact("account", product="INSTAGRAM")])
    assert gateway.execute("SELECT product FROM grounds.content") == [("INSTAGRAM",)]
