"""Why an item is or is not permitted, now and as of a day: every condition with its evidence."""

from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from starlette.responses import Response

from app.dashboard.desk import Visit
from app.dashboard.reading import Unanswered
from app.dashboard.tables import Table
from schema.actor import Role

SIGNS: Final = {"PASS": "✓ holds", "FAIL": "✗ does not hold", "UNKNOWN": "? not known"}
LONGEST_ID: Final = 200


@dataclass(frozen=True, slots=True)
class Result:
    """Hold a condition as it came out, now and then."""

    code: str
    sentence: str
    source: str
    now: dict[str, Any] | None
    then: dict[str, Any] | None

    @property
    def rank(self) -> int:
        """Order what excludes the item first, and what its ground does not need last."""
        stated = [each for each in (self.now, self.then) if each and each["required"]]
        return 2 if not stated else int(all(each["outcome"] == "PASS" for each in stated))


async def show(visit: Visit) -> Response:
    """Show the form, and what was found."""
    id, day, problem = visit.asked("id"), None, None
    try:
        day = _day(visit.asked("day"))
        if id is not None and len(id) > LONGEST_ID:
            raise Unanswered(f"An id has {LONGEST_ID} characters at most.", 422)
    except Unanswered as why:
        id, problem = None, why.message
    found = await _found(visit, id, day) if id else None
    results = _results(found) if found and found["content"] else []
    missing = id is not None and not results
    return visit.page(
        "explain.html",
        *([_table(results, id or "", day)] if results else []),
        status=422 if problem else 404 if missing else 200,
        id=visit.asked("id"),
        day=visit.asked("day"),
        known=visit.asked("known") or "now",
        problem=problem,
        missing=missing,
        found=found,
        results=results,
        more=visit.next(found["content"]["timeline"]["pageInfo"], "timeline") if found and results else None,
        signs=SIGNS,
    )


async def _found(visit: Visit, id: str, day: date | None) -> dict[str, Any]:
    """Ask for the item; as of a day means at its end."""
    at = f"{day}T23:59:59Z" if day else None
    known = at if visit.asked("known") == "then" else None
    return await visit.ask(
        "explain",
        id=id,
        asOf={"validAt": at, "knownAt": known} if at else None,
        past=at is not None,
        after=visit.asked("after"),
        officer=visit.actor.role is Role.PRIVACY_OFFICER,
        auditor=visit.actor.role is Role.AUDITOR,
    )


def _day(stated: str | None) -> date | None:
    try:
        return date.fromisoformat(stated) if stated else None
    except ValueError:
        raise Unanswered("That is no day. Write it like 2026-05-27.", 422) from None


def _results(found: dict[str, Any]) -> list[Result]:
    """Set each condition's outcomes side by side; what excludes the item comes first."""
    now = {each["code"]: each for each in found["content"]["eligibility"]["conditions"]}
    then = {each["code"]: each for each in (found.get("past") or {"conditions": []})["conditions"]}
    known = {each["code"]: each for each in found["conditions"]}
    results = [
        Result(
            code,
            known.get(code, {"sentence": code})["sentence"],
            known.get(code, {"source": ""})["source"],
            now.get(code),
            then.get(code),
        )
        for code in dict.fromkeys([*now, *then])
    ]
    return sorted(results, key=lambda result: result.rank)


def _table(results: list[Result], id: str, day: date | None) -> Table:
    def said(outcome: dict[str, Any] | None) -> tuple[str, str]:
        return (outcome["outcome"], outcome["evidence"] or "") if outcome else ("", "")

    columns = ("condition", "now", "evidence now", f"at the end of {day}", "evidence then")
    rows = [(result.code, *said(result.now), *said(result.then)) for result in results]
    shown = len(columns) if day else 3
    return Table("conditions", f"Every condition of {id}", columns[:shown], [row[:shown] for row in rows])
