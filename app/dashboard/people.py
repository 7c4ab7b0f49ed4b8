"""Whom notices reached, what became of objections, and the list of those that reach nobody."""

from collections import Counter
from datetime import date, timedelta
from typing import Any, Final

from starlette.responses import Response

from app.dashboard.acting import Sent, act, stated
from app.dashboard.charts import columns, length
from app.dashboard.desk import Visit
from app.dashboard.tables import Table
from schema.actor import Role

WEEKS: Final = 13
_STATES: Final = {
    "reached": "reached",
    "waiting": "waiting",
    "unknown": "not known",
    "bounced": "bounced",
    "neverReached": "never reached",
}
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
    notices = (await visit.ask("notices"))["noticeSummary"]
    latest = notices[0] if notices else None
    weeks = _weeks(summary["byDay"])
    return visit.page(
        "people.html",
        Table("weeks", "Objections received, by week", ("week from", "received"), weeks),
        _notices(notices),
        status=422 if problem else 200,
        campaign=latest,
        reach=_reach(latest),
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


def _notices(summaries: list[dict[str, Any]]) -> Table:
    """Set every count out: by campaign, country and channel."""
    columns = ("campaign", "country", "channel", "accounts", *_STATES.values())
    rows = [
        (
            each["epoch"],
            row["country"] or "all",
            row["channel"] or "all",
            row["accounts"],
            *(row[name] for name in _STATES),
        )
        for each in summaries
        for row in each["counts"]
    ]
    return Table("notices", "Accounts by what became of their notices; each counts once, by the best", columns, rows)


def _reach(summary: dict[str, Any] | None) -> list[tuple[str, int, float]]:
    """Give what became of the accounts of a campaign: in words, how many, and of which length its bar is."""
    whole = (
        next((row for row in summary["counts"] if not row["country"] and not row["channel"]), None) if summary else None
    )
    return (
        [(said, whole[name], length(whole[name], whole["accounts"])) for name, said in _STATES.items()] if whole else []
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
