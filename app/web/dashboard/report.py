"""The Report page: the figures of some days for an authority, and the signed file."""

import json
from datetime import date
from typing import Any

import orjson
from starlette.responses import Response

from app.web.pages import OperationError, PageRequest
from app.web.tables import Table


async def show_report(request: PageRequest) -> Response:
    """Show the dashboard's Report page, or respond with the signed report as a file."""
    first, last, problem, found = request.parameter("from"), request.parameter("to"), None, None
    if first and last:
        try:
            asked = {"first": _parse_report_day(first), "last": _parse_report_day(last)}
            found = (await request.execute("report", **asked))["authorityReport"]
        except OperationError as why:
            if not why.is_input_error:
                raise
            problem = why.message
    if found and request.parameter("format") == "json":
        return _signed_file(found, f"report-{first}-{last}.json")
    report = json.loads(found["document"]) if found else None
    return request.respond(
        "report.html",
        status=422 if problem else 200,
        first=first,
        last=last,
        problem=problem,
        report=report,
        signature=found["signature"] if found else None,
        figures=_report_tables(report) if report else [],
        file=request.link(format="json"),
    )


def _parse_report_day(text: str) -> str:
    """Check a day that was entered on the dashboard's Report page. Raises OperationError."""
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise OperationError("A day is wrong. Write it like 2026-05-27.", 422, is_input_error=True) from None


def _signed_file(found: dict[str, Any], name: str) -> Response:
    """Respond with the signed report of the dashboard as a file."""
    content = {"report": json.loads(found["document"])} | {key: found[key] for key in ("signature", "publicKey")}
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(orjson.dumps(content, option=orjson.OPT_INDENT_2), media_type="application/json", headers=headers)


def _report_tables(report: dict[str, Any]) -> list[Table]:
    """Make the tables of the dashboard's Report page."""
    coverage = report["coverage"] or {"byCountry": {}, "byLanguage": {}}

    def counted(values: dict[str, dict[str, int]]) -> list[tuple[str, int, int, int]]:
        """List items by a value: all, permitted and excluded."""
        return [
            (name, each["items"], each["permitted"], each["items"] - each["permitted"]) for name, each in values.items()
        ]

    return [
        Table(
            "notices",
            "Accounts that received a notice, by country",
            ("country", "accounts"),
            list(report["notices"]["byCountry"].items()),
        ),
        Table(
            "channels",
            "Objections that were received, by channel",
            ("channel", "objections"),
            [(name.replace("_", " ").lower(), count) for name, count in report["objections"]["byChannel"].items()],
        ),
        *(
            Table(key, f"Items by {name}", (name, "items", "permitted", "excluded"), counted(coverage[key]))
            for key, name in (("byCountry", "country"), ("byLanguage", "language"))
        ),
    ]
