"""Reports of contract checks: text for people, JSON for programs, and JUnit's XML for CI servers."""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final
from xml.etree import ElementTree

from grounds_client.contract.compatibility import Finding, SchemaChange, Severity, Verdict
from grounds_client.documents import Operation

CheckedOperations = list[tuple[Operation, list[Finding]]]
AffectedOperations = list[tuple[SchemaChange, list[Operation]]]

_INVALID_IN_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def is_failing(findings: Iterable[Finding], *, strict: bool) -> bool:
    """Return whether findings fail a contract check: `fails` always does, and with `strict` each finding does."""
    return any(strict or each.verdict is Verdict.FAILS for each in findings)


def is_breaking(change: SchemaChange, *, strict: bool) -> bool:
    """Return whether a schema change fails a contract check: a breaking one does, and with `strict` a dangerous one."""
    return change.severity is Severity.BREAKING or (strict and change.severity is Severity.DANGEROUS)


def finding_line(finding: Finding) -> str:
    """Write a finding of a contract check in one line."""
    line = f"line {finding.line}: " if finding.line else ""
    return f"{finding.verdict}: {line}{finding.message}"


def check_as_text(found: CheckedOperations, *, strict: bool) -> str:
    """Write a contract check's findings for people, by consumer."""
    lines: list[str] = []
    for consumer, group in _group_by_consumer(found).items():
        lines.append(f"{consumer}: {len(group)} operation{'s' if len(group) > 1 else ''}")
        for operation, findings in group:
            lines += [f"  {operation.file}: {operation.name}: {finding_line(each)}" for each in findings]
    failing = sum(is_failing(findings, strict=strict) for _, findings in found)
    return "\n".join([*lines, f"{failing} of {len(found)} operations would fail"])


def check_as_json(found: CheckedOperations) -> str:
    """Write a contract check's findings as JSON for programs."""
    return _dump(operations=[_findings_entry(operation, findings) for operation, findings in found])


def check_as_junit(found: CheckedOperations, *, strict: bool) -> str:
    """Write a contract check's findings as JUnit's XML: a suite per consumer, a case per operation."""
    suites = ElementTree.Element("testsuites", name="contract check")
    _add_operations(suites, found, strict=strict)
    return _serialize(suites)


def diff_as_text(found: AffectedOperations, broken: CheckedOperations) -> str:
    """Write schema changes for people, each with the consumers that it affects, and the operations that would fail."""
    lines: list[str] = []
    counts = dict.fromkeys(Severity, 0)
    for change, operations in found:
        counts[change.severity] += 1
        lines.append(f"{change.severity}: {change.kind}: {change.description}")
        lines += [f"  affects {line}" for line in consumer_lines(operations)]
    lines += [f"would break {line}" for line in consumer_lines(operation for operation, _ in broken)]
    return "\n".join([*lines, ", ".join(f"{count} {severity}" for severity, count in counts.items())])


def diff_as_json(found: AffectedOperations, broken: CheckedOperations) -> str:
    """Write schema changes that affect consumers as JSON for programs."""
    return _dump(
        changes=[
            {
                **{"severity": change.severity, "kind": change.kind, "coordinate": change.coordinate},
                **{"description": change.description, "affects": [_operation_entry(each) for each in operations]},
            }
            for change, operations in found
        ],
        broken=[_findings_entry(operation, findings) for operation, findings in broken],
    )


def diff_as_junit(found: AffectedOperations, broken: CheckedOperations, *, strict: bool) -> str:
    """Write schema changes as JUnit's XML: a suite of the changes, and one per consumer whose operations would fail."""
    suites = ElementTree.Element("testsuites", name="contract diff")
    failing = sum(is_breaking(change, strict=strict) for change, _ in found)
    suite = _add_suite(suites, "schema", len(found), failing)
    for change, operations in found:
        case = ElementTree.SubElement(suite, "testcase", classname=change.kind, name=change.coordinate)
        first = f"{change.severity}: {change.description}"
        text = "\n".join([first, *(f"affects {line}" for line in consumer_lines(operations))])
        _add_text(case, text, failing=is_breaking(change, strict=strict))
    _add_operations(suites, broken, strict=strict)
    return _serialize(suites)


def usage_as_json(coordinate: str, readers: Iterable[Operation]) -> str:
    """Write which consumers' operations use a coordinate, as JSON for programs."""
    return _dump(coordinate=coordinate, operations=[_operation_entry(each) for each in readers])


def consumer_lines(operations: Iterable[Operation]) -> list[str]:
    """Write one line per consumer with its operations, for a contract report."""
    named: dict[str, list[str]] = {}
    for each in operations:
        named.setdefault(each.consumer, []).append(f"{each.name} ({each.file})")
    return [f"{consumer}: {', '.join(names)}" for consumer, names in sorted(named.items())]


def _dump(**report: Any) -> str:
    """Write a contract report as JSON."""
    return json.dumps(report, indent=2, ensure_ascii=False)


def _operation_entry(operation: Operation) -> dict[str, Any]:
    """Describe a consumer's operation in the JSON of a contract report."""
    return {"consumer": operation.consumer, "operation": operation.name, "file": operation.file}


def _findings_entry(operation: Operation, findings: list[Finding]) -> dict[str, Any]:
    """Describe the findings about a consumer's operation in the JSON of a contract report."""
    faults = [{"verdict": each.verdict, "line": each.line, "message": each.message} for each in findings]
    return {**_operation_entry(operation), "findings": faults}


def _add_operations(suites: ElementTree.Element, found: CheckedOperations, *, strict: bool) -> None:
    """Add a suite per consumer to the JUnit XML of a contract report, with a case per operation."""
    for consumer, group in _group_by_consumer(found).items():
        failing = sum(is_failing(findings, strict=strict) for _, findings in group)
        suite = _add_suite(suites, consumer, len(group), failing)
        for operation, findings in group:
            named = {"classname": f"{consumer}.{Path(operation.file).stem}", "name": operation.name}
            case = ElementTree.SubElement(suite, "testcase", {**named, "file": operation.file})
            text = "\n".join(finding_line(each) for each in findings)
            _add_text(case, text, failing=is_failing(findings, strict=strict))


def _add_suite(suites: ElementTree.Element, name: str, tests: int, failures: int) -> ElementTree.Element:
    """Add a suite to the JUnit XML of a contract report."""
    counts = {"tests": str(tests), "failures": str(failures)}
    return ElementTree.SubElement(suites, "testsuite", {"name": name, **counts})


def _add_text(case: ElementTree.Element, text: str, *, failing: bool) -> None:
    """Add the text of a case to the JUnit XML of a contract report, as its failure or its output."""
    text = _INVALID_IN_XML.sub("\N{REPLACEMENT CHARACTER}", text)
    if failing:
        ElementTree.SubElement(case, "failure", message=text.partition("\n")[0]).text = text
    elif text:
        ElementTree.SubElement(case, "system-out").text = text


def _serialize(suites: ElementTree.Element) -> str:
    """Write the JUnit XML of a contract report as text."""
    ElementTree.indent(suites)
    return ElementTree.tostring(suites, encoding="unicode", xml_declaration=True)


def _group_by_consumer(found: CheckedOperations) -> dict[str, CheckedOperations]:
    """Group checked operations by consumer for a contract report."""
    groups: dict[str, CheckedOperations] = {}
    for operation, findings in found:
        groups.setdefault(operation.consumer, []).append((operation, findings))
    return dict(sorted(groups.items()))
