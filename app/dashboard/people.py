"""Whom notices reached, what became of objections, and the list of those that reach nobody."""

from collections import Counter
from datetime import date, timedelta
from typing import Any, Final

from starlette.responses import Response

from app.dashboard.acting import Sent, act, stated
from app.dashboard.charts import columns
from app.dashboard.desk import Visit
from app.dashboard.tables import Table
from schema.actor import Role

WEEKS: Final = 13
_DONE: Final = {
    "matched": "The objection reaches that account, at once and for good.",
    "reject-asked": "You asked that the objection be set aside. It stays here until a second officer agrees.",
    "rejected": "The objection is set aside. It is kept, and still counts for whomever it names later.",
}


async def show(visit: Visit) -> Response:
    """Show notices and objections."""
    return await _page(visit, {}, None)


async def match(visit: Visit) -> Response:
    """Say whose objection it is."""
    return await act(visit, _page, "match_objection", stated("id", "account"), lambda _: "matched#objections")


async def reject(visit: Visit) -> Response:
    """Ask that an objection be set aside, or agree that it is."""

    def variables(sent: Sent) -> dict[str, Any]:
        named = stated("id", "reason")(sent)
        return named if "reason" in sent else {"id": named["id"]}

    def done(answered: dict[str, Any]) -> str:
        agreed = answered["rejectObjection"]["rejection"]["rejectedAt"]
        return "rejected#objections" if agreed else "reject-asked#objections"

    return await act(visit, _page, "reject_objection", variables, done)


async def _page(visit: Visit, typed: Sent, problem: str | None) -> Response:
    officer, unmatched = visit.actor.role is Role.PRIVACY_OFFICER, visit.asked("objections") != "all"
    found = await visit.ask("objections", after=visit.asked("after"), unmatched=unmatched, officer=officer)
    summary, listed = found["objectionSummary"], found["objections"]
    weeks = _weeks(summary["byDay"])
    return visit.page(
        "people.html",
        Table("weeks", "Objections received, by week", ("week from", "received"), weeks),
        status=422 if problem else 200,
        summary=summary,
        chart=columns([(f"{week[8:]}.{week[5:7]}.", number) for week, number in weeks]) if weeks else None,
        objections=listed["nodes"],
        unmatched=unmatched,
        more=visit.next(listed["pageInfo"], "objections"),
        officer=officer,
        typed=typed,
        problem=problem,
        done=_DONE.get(visit.asked("done") or ""),
    )


def _weeks(days: list[dict[str, Any]]) -> list[tuple[str, int]]:
    """Count by weeks, which begin on Mondays: those of the last 13 to which there is something, and all between."""
    counts: Counter[date] = Counter()
    for each in days:
        day = date.fromisoformat(each["day"])
        counts[day - timedelta(days=day.weekday())] += each["received"]
    if not counts:
        return []
    last = max(counts)
    weeks = [last - timedelta(weeks=back) for back in reversed(range(WEEKS))]
    return [(week.isoformat(), counts[week]) for week in weeks]
