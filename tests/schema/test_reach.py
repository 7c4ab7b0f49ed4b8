"""Whom notices reached: each account that they concern is counted once, in the best state of its notices."""

from typing import Any

from schema.actor import Role
from tests.campaigning import put_into_outbox
from tests.facts import NOW, fact
from tests.gateway import TestGateway

SUMMARY = """query S($epoch: String) { noticeSummary(epoch: $epoch) {
  epoch countedAt mustBeTold
  counts { country channel accounts reached waiting unknown bounced neverReached }
} }"""
NAMES = ("accounts", "reached", "waiting", "unknown", "bounced", "neverReached")


async def counted(
    gateway: TestGateway, epoch: str | None = "2025-04"
) -> dict[tuple[str | None, str | None], list[int]]:
    gateway.execute("SELECT grounds.count_notices()")
    (found,) = (await gateway.ask(Role.AUDITOR, SUMMARY, {"epoch": epoch}))["noticeSummary"]
    assert (found["epoch"], found["countedAt"]) == (epoch, NOW.isoformat())
    counts = {(each["country"], each["channel"]): [each[name] for name in NAMES] for each in found["counts"]}
    assert all(row[0] == sum(row[1:]) for row in counts.values())
    assert found["mustBeTold"] == counts[None, None][0] - counts[None, None][1]
    return counts


def notice(number: int, account: str, **fields: Any) -> dict[str, Any]:
    return fact("notice", id=f"n-{number}", account=account) | {"delivered_at": None} | fields


async def test_each_account_is_counted_once_in_its_best_state(gateway: TestGateway) -> None:
    gateway.set_clock(NOW)
    past, later = "2025-04-14T09:59:00Z", "2026-07-01T00:00:00Z"
    names = ("reached", "sent", "announced", "bounced", "never", "french", "earlier")
    others = [
        fact("account", id="minor", born_on="2012-01-01"),
        fact("account", id="objected"),
        fact("account", id="gone"),
    ]
    others[2] |= {"status": "DELETED"}
    await gateway.ingest([*(fact("account", id=name) for name in names), *others])
    await gateway.ingest([fact("account", 3, id="french", country="FR"), fact("objection", account="objected")])
    await gateway.ingest(
        [
            notice(1, "reached", channel="EMAIL", bounced_at=past, delivered_at=past),
            notice(2, "reached", delivered_at=past),
            notice(3, "sent", channel="EMAIL", sent_at=past),
            notice(4, "announced", delivered_at=later),
            notice(5, "bounced", channel="EMAIL", sent_at=past, bounced_at=past),
            notice(6, "french", channel="EMAIL", delivered_at=past, epoch="2026-01"),
            notice(7, "earlier", delivered_at=past, epoch="2025-03"),
            *(notice(8 + place, each["id"], delivered_at=past) for place, each in enumerate(others)),
        ]
    )
    counts = await counted(gateway)
    assert counts == {
        (None, None): [7, 2, 2, 0, 1, 2],
        (None, "EMAIL"): [7, 1, 1, 0, 2, 3],
        (None, "IN_APP"): [7, 1, 1, 0, 0, 5],
        ("IE", None): [6, 1, 2, 0, 1, 2],
        ("IE", "EMAIL"): [6, 0, 1, 0, 2, 3],
        ("IE", "IN_APP"): [6, 1, 1, 0, 0, 4],
        ("FR", None): [1, 1, 0, 0, 0, 0],
        ("FR", "EMAIL"): [1, 1, 0, 0, 0, 0],
        ("FR", "IN_APP"): [1, 0, 0, 0, 0, 1],
    }
    assert gateway.execute("SELECT count(*) FROM grounds.must_be_told('2025-04')") == [(5,)], "one rule for both"


async def test_what_a_campaign_has_under_way_waits_and_what_it_broke_off_is_unknown(gateway: TestGateway) -> None:
    gateway.set_clock(NOW)
    await gateway.ingest([fact("account", id=name) for name in ("a", "b", "c")])
    assert (await counted(gateway))[None, None] == [3, 0, 0, 0, 0, 3]
    await put_into_outbox(gateway)
    assert (await counted(gateway, "2026-05"))[None, "IN_APP"] == [3, 0, 3, 0, 0, 0]
    gateway.execute(
        "UPDATE grounds.notice_task SET state = 'UNKNOWN' WHERE id = (SELECT min(id) FROM grounds.notice_task)"
    )
    gateway.execute(
        "UPDATE grounds.notice_task SET state = 'FAILED' WHERE id = (SELECT max(id) FROM grounds.notice_task)"
    )
    for epoch in ("2026-05", "2025-04"):
        assert (await counted(gateway, epoch))[None, None] == [3, 0, 1, 1, 0, 1]
    both = (await gateway.ask(Role.PRIVACY_OFFICER, SUMMARY))["noticeSummary"]
    assert [each["epoch"] for each in both] == ["2026-05", "2025-04"]
    assert (await gateway.ask(Role.PRIVACY_OFFICER, SUMMARY, {"epoch": "2020-01"}))["noticeSummary"] == []


async def test_dashboards_do_not_read_exact_numbers_of_people(gateway: TestGateway) -> None:
    answer = (await gateway.post(Role.DASHBOARD, SUMMARY)).json()
    assert answer["errors"][0]["extensions"]["code"] == "FORBIDDEN"
