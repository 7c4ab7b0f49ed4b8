"""What a training client can ask for: language ranges, months, regions, media types, samples; and what is refused."""

from typing import Any

import pytest

from schema.actor import Role
from tests.support.facts import NOW, fact
from tests.support.gateway import PULL, TestGateway

LANGUAGES = {
    "plain": "de",
    "germany": "de-DE",
    "austria": "de-AT",
    "reform": "de-AT-1996",
    "other": "dea",
    "none": None,
}
REFUSED: dict[str, dict[str, Any]] = {
    "filter.languages: must be language ranges": {"languages": ["de_AT"]},
    "filter.languages: German does not begin with a language code": {"languages": ["de", "German"]},
    "filter.languages: cz-CZ does not begin with a language code": {"languages": ["cz-CZ"]},
    "filter.kinds: must be one or more of AI_INTERACTION, POST": {"kinds": ["PRIVATE_MESSAGE"]},
    "filter.kinds: must be one or more of": {"kinds": ["POST", "VIDEO"]},
    "filter.createdFromMonth: must not be after createdUntilMonth": {
        "createdFromMonth": "2026-01-01",
        "createdUntilMonth": "2025-12-31",
    },
    "filter.products: must be one or more of FACEBOOK": {"products": ["MYSPACE"]},
    "filter.grounds: must be one or more of AI_INTERACTION, PUBLIC_CONTENT": {"grounds": ["OPTED_IN"]},
    "filter.regions: must be one or more of AT, BE": {"regions": ["US"]},
    "filter.mediaTypes: must be media types": {"mediaTypes": ["jpeg"]},
    "filter.sample.share: must be above 0 and at most 1": {"sample": {"share": 0, "seed": "a"}},
    "filter.sample.seed: must have at most 200 characters": {"sample": {"share": 1, "seed": "a" * 201}},
    "filter.createdMonths: must have at most 24 values": {"createdMonths": ["2026-01-01"] * 25},
}


@pytest.fixture
async def filled(gateway: TestGateway) -> TestGateway:
    gateway.set_clock(NOW)
    media = [{"type": "image/JPEG", "url": "https://x.example/1", "sha256": "a" * 64, "deidentified": True}]
    items = [fact("content", id=name, language=language) for name, language in LANGUAGES.items()]
    items[0] |= {"media": media, "created_at": "2025-11-05T00:00:00Z", "scans": items[0]["scans"] | SCANNED}
    items += [fact("content", id="greek", account="second", language="el")]
    await gateway.ingest([fact("account"), fact("notice"), *items, fact("notice", id="n2", account="second")])
    await gateway.ingest([fact("account", id="second", country="GR")])
    return gateway


SCANNED: dict[str, str] = {}


async def names(gateway: TestGateway, **filter: Any) -> list[str]:
    return await gateway.platform_ids(item["id"] for item in await gateway.pull(3, filter))


async def test_a_filter_by_language_ranges(filled: TestGateway) -> None:
    german = ["plain", "germany", "austria", "reform"]
    for ranges, expected in (
        (["de"], german),
        (["DE"], german),
        (["de-at"], ["austria", "reform"]),
        (["de-at-1996", "de-AT"], ["austria", "reform"]),
        (["de", "de-AT"], german),
        (["da"], []),
        (["iw", "deu", "mo-MD"], []),
        (["el", "de-DE"], ["germany", "greek"]),
        (["*"], [*german, "other", "greek"]),
        ([], []),
    ):
        assert await names(filled, languages=ranges) == expected, ranges


async def test_a_filter_by_months_regions_and_media_types(filled: TestGateway) -> None:
    everything = [*LANGUAGES, "greek"]
    for filter, expected in (
        ({"createdFromMonth": "2025-11-30"}, everything),
        ({"createdFromMonth": "2025-12-01"}, everything[1:]),
        ({"createdUntilMonth": "2025-12-31"}, ["plain"]),
        ({"createdFromMonth": "2025-11-01", "createdUntilMonth": "2025-12-01"}, ["plain"]),
        ({"createdFromMonth": "1990-01-01", "createdUntilMonth": "2025-11-01"}, ["plain"]),
        ({"createdFromMonth": "2025-11-30", "createdUntilMonth": "2025-11-01"}, ["plain"]),
        ({"createdFromMonth": "2025-12-01", "createdMonths": ["2025-11-01", "2026-01-09"]}, everything[1:]),
        ({"regions": ["GR"]}, ["greek"]),
        ({"regions": ["GR", "IE"]}, everything),
        ({"mediaTypes": ["image/jpeg"]}, ["plain"]),
        ({"mediaTypes": ["image/png"]}, []),
        ({"regions": ["IE"], "languages": ["de"], "createdFromMonth": "2026-01-01"}, ["germany", "austria", "reform"]),
    ):
        assert await names(filled, **filter) == expected, filter


async def test_an_item_follows_its_account_to_another_region(filled: TestGateway) -> None:
    await filled.ingest([fact("account", 3, id="second", country="FR")])
    assert await names(filled, regions=["FR"]) == ["greek"]
    assert await names(filled, regions=["GR"]) == []


async def test_what_can_match_nothing_is_refused_by_name(filled: TestGateway) -> None:
    for message, filter in REFUSED.items():
        answer = (await filled.post(Role.TRAINING_CLIENT, PULL, {"first": 1, "filter": filter})).json()
        assert answer["errors"][0]["message"].startswith(message), answer


async def test_a_purpose_that_the_policy_does_not_have_is_an_error_that_names_those_it_has(filled: TestGateway) -> None:
    answer = await filled.post(Role.TRAINING_CLIENT, PULL, {"first": 1}, purpose="ADVERTISING", client="seller")
    (error,) = answer.json()["errors"]
    assert error["message"].startswith(
        "purpose: ADVERTISING is not a purpose of the policy (use a token for GENAI_TRAINING"
    )


async def test_a_sample_is_the_same_whatever_the_page_and_grows_with_its_share(gateway: TestGateway) -> None:
    gateway.set_clock(NOW)
    items = [fact("content", id=f"i{number}") for number in range(400)]
    await gateway.ingest([fact("account"), fact("notice"), *items])

    async def part(share: float, seed: str, first: int = 1000, client: str = "client") -> set[str]:
        filter = {"sample": {"share": share, "seed": seed}}
        pulled = await gateway.pull(first, filter, client=client)
        return (
            set(await gateway.platform_ids(item["id"] for item in pulled))
            if share < 0.2
            else {item["id"] for item in pulled}
        )

    some = await part(0.5, "a")
    assert 140 < len(some) < 260
    assert await part(0.5, "a", first=7) == some
    assert await part(0.25, "a") < some < await part(0.75, "a") < await part(1, "a")
    assert len(await part(1, "a")) == 400
    assert 0 < len(some & await part(0.5, "b")) < len(some), "another seed gives another part"
    assert await part(0.1, "a") == await part(0.1, "a", client="other"), "the part does not depend on the client"
