"""The queries of officers about many persons: a search, requests that wait, reports, and counts by day."""

import strawberry

from schema.governed import EXAMINERS, OPEN, governed
from schema.oversight.approvals import ApprovalRequest, resolve_approval_requests
from schema.oversight.coverage_series import CoverageDay, resolve_coverage_series
from schema.oversight.report import AuthorityReport, resolve_authority_report
from schema.oversight.search import SearchResult, resolve_search


@strawberry.type
class OversightQuery:
    """The root fields of queries that officers use to find their way."""

    search: list[SearchResult] = governed(
        EXAMINERS,
        resolver=resolve_search,
        description=(
            "Searches for a text, and returns at most 20 items, accounts, objections, clients and holds each."
        ),
    )
    approval_requests: list[ApprovalRequest] = governed(
        EXAMINERS,
        resolver=resolve_approval_requests,
        description="Returns the requests of officers that wait for a second officer, oldest first.",
    )
    authority_report: AuthorityReport = governed(
        EXAMINERS,
        resolver=resolve_authority_report,
        description="Returns the report for an authority about some days, with its signature.",
    )
    coverage_series: list[CoverageDay] = governed(
        OPEN,
        resolver=resolve_coverage_series,
        description=(
            "Returns the counts of all items by day, earliest first; the counts are exact for officers and auditors."
        ),
    )
