"""The Explain page: why an item is permitted or not, now and as of a day, with the evidence of every condition."""

from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from starlette.responses import Response

from app.web.pages import OperationError, PageRequest
from app.web.tables import Table
from schema.actor import Role

OUTCOMES: Final = {"PASS": "✓ passed", "FAIL": "✗ failed", "UNKNOWN": "? unknown"}
MAX_ID_LENGTH: Final = 2048


@dataclass(frozen=True, slots=True)
class ComparedCondition:
    """A condition with its result now and as of the chosen day."""

    code: str
    sentence: str
    source: str
    now: dict[str, Any] | None
    then: dict[str, Any] | None

    @property
    def rank(self) -> int:
        """Return a condition's place on the dashboard's Explain page: first those that exclude the item."""
        required = [each for each in (self.now, self.then) if each and each["required"]]
        return 2 if not required else int(all(each["outcome"] == "PASS" for each in required))


async def show_explanation(request: PageRequest) -> Response:
    """Show the Explain page of the dashboard: the search form and, for a known id, the decision with its evidence."""
    id, day, problem = request.parameter("id"), None, None
    try:
        day = _parse_day(request.parameter("day"))
        if id is not None and len(id) > MAX_ID_LENGTH:
            raise OperationError(f"An id has at most {MAX_ID_LENGTH} characters.", 422)
    except OperationError as why:
        id, problem = None, why.message
    data = await _read_item(request, id, day) if id else None
    results = _compare_results(data) if data and data["content"] else []
    missing = id is not None and not results
    timeline = data["content"]["timeline"]["pageInfo"] if data and results else None
    return request.respond(
        "explain.html",
        *([_results_table(results, id or "", day)] if results else []),
        status=422 if problem else 404 if missing else 200,
        id=request.parameter("id"),
        day=request.parameter("day"),
        known=request.parameter("known") or "now",
        problem=problem,
        missing=missing,
        data=data,
        results=results,
        later_entries=request.next_page_link(timeline, "timeline") if timeline else None,
        outcomes=OUTCOMES,
    )


async def _read_item(request: PageRequest, id: str, day: date | None) -> dict[str, Any]:
    """Execute the operation of the dashboard's Explain page; "as of a day" means at the end of that day."""
    at = f"{day}T23:59:59Z" if day else None
    known = at if request.parameter("known") == "then" else None
    return await request.execute(
        "explain",
        id=id,
        asOf={"validAt": at, "knownAt": known} if at else None,
        past=at is not None,
        after=request.parameter("after"),
        officer=request.actor.role is Role.PRIVACY_OFFICER,
        auditor=request.actor.role is Role.AUDITOR,
    )


def _parse_day(text: str | None) -> date | None:
    """Parse the day that was entered on the dashboard's Explain page."""
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        raise OperationError("The day is not a date. Write it like 2026-05-27.", 422) from None


def _compare_results(data: dict[str, Any]) -> list[ComparedCondition]:
    """Pair each condition's results for the dashboard's Explain page; those that exclude the item come first."""
    now = {each["code"]: each for each in data["content"]["eligibility"]["conditions"]}
    then = {each["code"]: each for each in (data.get("past") or {"conditions": []})["conditions"]}
    catalogue = {each["code"]: each for each in data["conditions"]}
    results = [
        ComparedCondition(
            code,
            catalogue.get(code, {"sentence": code})["sentence"],
            catalogue.get(code, {"source": ""})["source"],
            now.get(code),
            then.get(code),
        )
        for code in dict.fromkeys([*now, *then])
    ]
    return sorted(results, key=lambda result: result.rank)


def _results_table(results: list[ComparedCondition], id: str, day: date | None) -> Table:
    """Make the table of every condition's result for the dashboard's Explain page."""

    def cells(result: dict[str, Any] | None) -> tuple[str, str]:
        """Return the cells of a result: its outcome and its evidence."""
        return (result["outcome"], result["evidence"] or "") if result else ("", "")

    columns = ("condition", "now", "evidence now", f"at the end of {day}", "evidence then")
    rows = [(result.code, *cells(result.now), *cells(result.then)) for result in results]
    width = len(columns) if day else 3
    return Table("conditions", f"Every condition of {id}", columns[:width], [row[:width] for row in rows])
