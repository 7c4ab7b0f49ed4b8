"""The contract commands of `grounds-client` and of the gateway's `grounds`: each returns a report, and whether it
fails."""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from graphql import GraphQLSchema

from grounds_client.contract import report
from grounds_client.contract.compatibility import (
    Finding,
    affected_operations,
    check_operation,
    newly_invalid_operations,
    schema_changes,
)
from grounds_client.contract.formats import ReportFormat, UsageFormat
from grounds_client.contract.loader import (
    read_governed_schema,
    read_operations,
    read_schema,
    require_coordinate,
    require_role,
)
from grounds_client.contract.usage import used_coordinates
from grounds_client.documents import Operation


class ContractOutcome(NamedTuple):
    """The text that a contract command prints, and whether the command fails a build."""

    text: str
    failed: bool


def checked_operations(
    places: Iterable[Path], schema: str | GraphQLSchema, client: str | None, role: str | None
) -> list[tuple[Operation, list[Finding]]]:
    """Check consumers' operations in files against a schema; with a role, against its permissions too.

    `schema` is an SDL file, the URL of a gateway, or a schema that was built from SDL. Raises ContractError.
    """
    if isinstance(schema, str):
        schema = read_schema(schema) if role is None else read_governed_schema(schema, "role")
    if role is not None:
        role = require_role(schema, role)
    return [(each, check_operation(schema, each, role)) for each in read_operations(places, client)]


def check_report(
    places: Iterable[Path],
    schema: str | GraphQLSchema,
    *,
    client: str | None,
    role: str | None,
    format: ReportFormat,
    strict: bool,
) -> ContractOutcome:
    """Report the consumers' operations that would fail, are over a limit, or use something deprecated.

    Raises ContractError.
    """
    found = checked_operations(places, schema, client, role)
    if format is ReportFormat.JSON:
        text = report.check_as_json(found)
    else:
        write = report.check_as_text if format is ReportFormat.TEXT else report.check_as_junit
        text = write(found, strict=strict)
    return ContractOutcome(text, any(report.is_failing(findings, strict=strict) for _, findings in found))


def diff_report(
    old: str, new: str, places: Iterable[Path], *, client: str | None, format: ReportFormat, strict: bool
) -> ContractOutcome:
    """Report the changes from one SDL file to another, and the consumers' operations that they affect.

    Raises ContractError.
    """
    before, after = read_governed_schema(old, "OLD"), read_governed_schema(new, "NEW")
    operations = read_operations(places, client)
    used = [(each, used_coordinates(each.own, before)) for each in operations]
    found = [(change, affected_operations(change, before, used)) for change in schema_changes(before, after)]
    broken = newly_invalid_operations(before, after, operations)
    if format is ReportFormat.JUNIT:
        text = report.diff_as_junit(found, broken, strict=strict)
    else:
        write = report.diff_as_text if format is ReportFormat.TEXT else report.diff_as_json
        text = write(found, broken)
    return ContractOutcome(text, bool(broken) or any(report.is_breaking(change, strict=strict) for change, _ in found))


def usage_report(
    field: str, places: Iterable[Path], schema: str | GraphQLSchema, *, client: str | None, format: UsageFormat
) -> str:
    """Report the consumers' operations that use a schema coordinate, such as `TrainableContent.text`.

    Raises ContractError.
    """
    against = read_schema(schema) if isinstance(schema, str) else schema
    coordinate = require_coordinate(against, field)
    operations = read_operations(places, client)
    readers = [each for each in operations if coordinate in used_coordinates(each.own, against)]
    if format is UsageFormat.JSON:
        return report.usage_as_json(coordinate, readers)
    lines = "\n".join(report.consumer_lines(readers))
    return lines or f"{coordinate}: is used by none of {len(operations)} operations"
