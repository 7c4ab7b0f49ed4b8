"""The Notices and objections page: how far notices came, the state of objections, and objections without an account."""

from collections import Counter
from datetime import date, timedelta
from typing import Any, Final

from starlette.responses import Response

from app.web.dashboard.charts import bar_length, draw_columns
from app.web.dashboard.form_actions import FormFields, run_form_action, stripped
from app.web.pages import PageRequest
from app.web.tables import Table
from schema.actor import Role

WEEKS: Final = 13
_STATES: Final = {
    "delivered": "delivered",
    "pending": "waiting",
    "unknown": "unknown",
    "bounced": "bounced",
    "notSent": "never delivered",
}
_OUTCOMES: Final = {
    "matched": "From now on, the objection applies to the account.",
    "reject-asked": "You asked to reject the objection. It stays in this list until a second officer agrees.",
    "rejected": (
        "The objection is rejected. The gateway keeps the objection. If a matching account arrives later, the "
        "objection applies to this account."
    ),
}


async def show_notices_and_objections(request: PageRequest) -> Response:
    """Show the Notices and objections page of the dashboard."""
    return await _notices_and_objections_page(request, {}, None)


async def match_objection(request: PageRequest) -> Response:
    """Match an objection to an account by the form of the dashboard."""
    return await run_form_action(
        request,
        _notices_and_objections_page,
        "match_objection",
        stripped("id", "account"),
        lambda _: "matched#objections",
    )


async def reject_objection(request: PageRequest) -> Response:
    """Ask to reject an objection by the form of the dashboard, or agree to it as the second officer."""

    def variables(fields: FormFields) -> dict[str, Any]:
        """Return the mutation's variables from the dashboard's form; the second officer states no reason."""
        named = stripped("id", "reason")(fields)
        return named if "reason" in fields else {"id": named["id"]}

    def outcome(data: dict[str, Any]) -> str:
        """Return which message the dashboard shows after the form that rejects an objection."""
        agreed = data["rejectObjection"]["rejection"]["rejectedAt"]
        return "rejected#objections" if agreed else "reject-asked#objections"

    return await run_form_action(request, _notices_and_objections_page, "reject_objection", variables, outcome)


async def _notices_and_objections_page(request: PageRequest, fields: FormFields, problem: str | None) -> Response:
    """Build the Notices and objections page of the dashboard."""
    is_officer, unmatched = request.actor.role is Role.PRIVACY_OFFICER, request.parameter("objections") != "all"
    data = await request.execute(
        "objections", after=request.parameter("after"), unmatched=unmatched, officer=is_officer
    )
    summary, objections = data["objectionSummary"], data["objections"]
    told = await request.execute("notices")
    notices = told["noticeSummary"]
    campaign = notices[0] if notices else None
    weeks = _received_by_week(summary["byDay"])
    return request.respond(
        "notices_and_objections.html",
        Table("weeks", "Objections received, by week", ("week from", "received"), weeks),
        _notices_table(notices),
        status=422 if problem else 200,
        campaign=campaign,
        disputed=[each for each in told["campaigns"] if each["disputed"]],
        notice_states=_notice_states(campaign),
        summary=summary,
        chart=draw_columns([(f"{week[8:]}.{week[5:7]}.", number) for week, number in weeks]) if weeks else None,
        objections=objections["nodes"],
        unmatched=unmatched,
        next_objections=request.next_page_link(objections["pageInfo"], "objections"),
        is_officer=is_officer,
        fields=fields,
        problem=problem,
        outcome=_OUTCOMES.get(request.parameter("done") or ""),
    )


def _notices_table(summaries: list[dict[str, Any]]) -> Table:
    """Make the dashboard's table of all notice counts by campaign, country and channel."""
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
    return Table(
        "notices",
        (
            "Accounts by the state of their notices. Each account counts once, in the most advanced state that one "
            "of its notices has reached"
        ),
        columns,
        rows,
    )


def _notice_states(summary: dict[str, Any] | None) -> list[tuple[str, int, float]]:
    """Return a campaign's notices by state for the dashboard: label, number of accounts, length of the bar."""
    total = (
        next((row for row in summary["counts"] if not row["country"] and not row["channel"]), None) if summary else None
    )
    return (
        [(label, total[name], bar_length(total[name], total["accounts"])) for name, label in _STATES.items()]
        if total
        else []
    )


def _received_by_week(days: list[dict[str, Any]]) -> list[tuple[str, int]]:
    """Count objections by week (from Monday) for the dashboard: the 13 weeks up to the latest objection."""
    counts: Counter[date] = Counter()
    for each in days:
        day = date.fromisoformat(each["day"])
        counts[day - timedelta(days=day.weekday())] += each["received"]
    if not counts:
        return []
    last = max(counts)
    weeks = [last - timedelta(weeks=back) for back in reversed(range(WEEKS))]
    return [(week.isoformat(), counts[week]) for week in weeks]
